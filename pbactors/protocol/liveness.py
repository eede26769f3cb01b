"""Who lives, as far as the view server can know (R8-R10, R13, R46, R49).

A server is dead when it was silent for ``dead_pings`` ping checks (R9). That may be wrong, a live
server can be declared dead, and then nothing breaks: safety rests on the numbers of views.

A lost connection makes a server *suspect*: patience with it is short until it pings again (R49). A
killed process closes its connections within milliseconds, so this is what makes failover quick; the
full patience is for a process that is busy or hung.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import astuple, dataclass, replace

from pbactors.protocol.core import Outbox
from pbactors.protocol.events import Suspected, SuspicionVoid
from pbactors.protocol.messages import Ping, Report
from pbactors.protocol.view import FRESH, Cause, Incarnation, Member

__all__ = ["SUSPECT_CHECKS", "Liveness", "Server"]

SUSPECT_CHECKS = 2
"""A suspect that does not ping until so many ping checks are over counts as dead. Between two of
them every live server pings."""

TROUBLE_CHECKS = 4
"""After trouble of its own the view server heeds no lost connection until so many ping checks are
over: those that it costs are not all noticed in the same moment."""

CLOSED_CHECKS = 3
"""A connection that is lost while pings are still so recent was closed by the end of a process; one
that fell silent is noticed only after pings have been missing for longer."""


@dataclass(slots=True)
class Server:
    """What is known of one node name.

    Attributes:
        incarnation: its newest life.
        sequence: of the newest ping processed (R13).
        missed: ping checks since that ping.
        heard: whether it has pinged since this view service started (R46).
        suspected: ping checks since its connection was lost, counted from 1; 0 once it pings (R49).
        missed_then: ``missed`` when its connection was lost.
        number: the view it operates in, as its newest ping says; so with all below.
        filling: the view whose backup it says it is filling, 0 for none (R35).
        report: what it says of its backup (R43, R44, R50).
        about: the incarnation of that backup.
        leaving: whether it is about to end in peace (R44).
    """

    incarnation: Incarnation
    sequence: int = -1
    missed: int = 0
    heard: bool = False
    suspected: int = 0
    missed_then: int = 0
    number: int = 0
    filling: int = 0
    report: int = Report.NONE
    about: Incarnation = FRESH
    leaving: bool = False


class Liveness:
    """What a view server knows of all servers.

    Args:
        members: of the stored view; they have a fresh grace period (R46).
        dead_pings: after so many silent ping checks a server is dead.
    """

    def __init__(self, members: Iterable[Member], dead_pings: int) -> None:
        self._dead_pings = dead_pings
        self._trouble = 0  # ping checks for which a lost connection says nothing (R49)
        # in the order in which they came alive: who is longest alive is chosen first
        self._servers = {member.name: Server(member.incarnation) for member in members}

    def newest(self, name: str) -> Server | None:
        """Return what is known of the newest life of a name."""
        return self._servers.get(name)

    def of(self, member: Member) -> Server | None:
        """Return what is known of a member, unless another life of it is known."""
        server = self._servers.get(member.name)
        return server if server is not None and server.incarnation == member.incarnation else None

    # -- what happens -------------------------------------------------------------------------

    def hear(self, name: str, incarnation: Incarnation, ping: Ping, out: Outbox) -> str | None:
        """Note a ping. Returns why it is not news (R13)."""
        server = self._servers.get(name)
        if server is None or incarnation > server.incarnation:
            self._servers.pop(name, None)
            server = self._servers[name] = Server(incarnation)
        elif ping.sequence <= server.sequence:
            return "not newer than the newest ping"
        elif self._dead(server):  # it comes back to the end of the line
            self._servers[name] = self._servers.pop(name)
        if server.suspected:
            out.emit(SuspicionVoid(name))
        server.sequence = ping.sequence
        server.missed = server.suspected = 0
        server.heard = True
        server.number, server.filling = ping.number, ping.filling
        server.report, server.about, server.leaving = ping.report, ping.about, ping.leaving
        return None

    def check(self) -> None:
        """A ping check: who was silent since the last one has missed one more."""
        self._trouble = max(0, self._trouble - 1)
        for server in self._servers.values():
            server.missed = min(server.missed + 1, self._dead_pings)
            if server.suspected:
                server.suspected = min(server.suspected + 1, self._dead_pings + 1)

    def slept(self) -> None:
        """We cannot tell who was silent: everyone gets a fresh grace, and only who is heard again
        may be chosen or promoted (R46).
        """
        self._trouble = TROUBLE_CHECKS
        for server in self._servers.values():
            server.heard = False
            if not self._dead(server):
                server.missed = server.suspected = 0

    def lose(self, name: str, out: Outbox) -> None:
        """Suspect a server, unless most are lost at once: that is our own trouble (R49)."""
        server = self._servers.get(name)
        if self._trouble or server is None or not server.heard or self._dead(server):
            return
        if not server.suspected:
            server.suspected, server.missed_then = 1, server.missed
            out.emit(Suspected(name))
        living = self.alive()
        suspects = [each for each in living if self._servers[each].suspected]
        if 2 * len(suspects) > len(living):
            self._trouble = TROUBLE_CHECKS
            for suspect in suspects:
                self._servers[suspect].suspected = 0
                out.emit(SuspicionVoid(suspect, at_once=True))

    # -- who lives ----------------------------------------------------------------------------

    def _dead(self, server: Server) -> bool:
        return server.missed >= self._dead_pings or server.suspected > SUSPECT_CHECKS

    def living(self, member: Member) -> bool:
        """Heard, not silent for too long, and not restarted since (R8-R10)."""
        server = self.of(member)
        return server is not None and server.heard and not self._dead(server)

    def gone(self, member: Member) -> bool:
        """Tell whether a member is known to be dead or restarted. One not yet heard of since the
        start has its grace (R46).
        """
        server = self.of(member)
        return server is None or self._dead(server)

    def heard(self, member: Member) -> bool:
        """Tell whether a member has pinged since the view server started or slept (R46)."""
        server = self.of(member)
        return server is not None and server.heard

    def restarted(self, member: Member) -> bool:
        """Tell whether a later life of the member's name has pinged (R10)."""
        return self.of(member) is None

    def leaving(self, member: Member) -> bool:
        """Tell whether a member has said that it is about to end (R44)."""
        server = self.of(member)
        return server is not None and server.leaving

    def heard_lately(self, member: Member) -> bool:
        """Tell whether a member has pinged between the last two ping checks, or later, and is not
        suspected: what it says now is not the last word of somebody who is dead.
        """
        server = self.of(member)
        return server is not None and server.heard and server.missed <= 1 and not server.suspected

    def outlives(self, backup: Member, primary: Member) -> bool:
        """Tell whether the backup has pinged since the primary's connection was lost, where that
        alone condemned the primary (R49): what hit one of them may have hit both.
        """
        server = self.of(primary)
        if server is None or server.missed >= self._dead_pings:
            return True
        return self._servers[backup.name].missed < server.suspected - 1

    def why_gone(self, member: Member) -> Cause:
        """Return what became of a member that is gone, as far as it shows."""
        server = self.of(member)
        if server is None:
            return Cause.RESTARTED
        if server.leaving:
            return Cause.LEFT
        if server.missed >= self._dead_pings:
            return Cause.SILENT
        return Cause.KILLED if server.missed_then < CLOSED_CHECKS else Cause.FROZEN

    def candidates(self) -> Iterator[Member]:
        """Yield who may be chosen: alive and staying, the longest alive first (R8)."""
        for name, server in self._servers.items():
            member = Member(name, server.incarnation)
            if self.living(member) and not server.leaving:
                yield member

    def alive(self) -> tuple[str, ...]:
        """Return the names of all that live, sorted."""
        return tuple(
            sorted(
                name
                for name, server in self._servers.items()
                if server.heard and not self._dead(server)
            )
        )

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> Liveness:
        """Return an independent copy."""
        copy = Liveness((), self._dead_pings)
        copy._trouble = self._trouble
        copy._servers = {name: replace(server) for name, server in self._servers.items()}
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        servers = tuple((name, *astuple(server)) for name, server in self._servers.items())
        return (self._trouble, servers)
