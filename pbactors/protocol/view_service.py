"""The view service: decides who is primary and who is backup, one view after another (R1-R14).

It decides from pings alone. Everything rests on R4: a view does not change until its primary has
acknowledged it by pinging its number, and a primary does so only when its backup holds the complete
state. So whoever may be promoted holds everything that anyone was told.

A server is dead when it was silent for ``dead_pings`` ping checks (R9). That may be wrong, a live
server can be declared dead, and then nothing breaks: safety rests on the numbers.

A lost connection makes a server *suspect*: patience with it is short until it pings again (R49). A
killed process closes its connections within milliseconds, so this is what makes failover quick; the
full patience is for a process that is busy or hung.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import ClassVar

from pbactors.config import Timing
from pbactors.errors import InvariantViolated
from pbactors.protocol.core import (
    Address,
    ConnectionLost,
    Core,
    GraceGiven,
    Ignored,
    Outbox,
    RoleChanged,
    Signal,
    Slept,
    Status,
    Suspected,
    SuspicionVoid,
    Timer,
    ViewAcknowledged,
    ViewInstalled,
)
from pbactors.protocol.messages import (
    Abandon,
    Abandoned,
    GetView,
    Message,
    Ping,
    Reason,
    Refused,
    Superseded,
    ViewReply,
)
from pbactors.protocol.view import (
    NO_VIEW,
    Incarnation,
    Member,
    Role,
    View,
    ViewRecord,
    invalid_successor,
)

__all__ = ["ViewService"]


SUSPECT_CHECKS = 2
"""A suspect that does not ping until so many ping checks are over counts as dead. Between two of
them every live server pings."""

TROUBLE_CHECKS = 4
"""After trouble of its own the view service heeds no lost connection until so many ping checks are
over: those that it costs are not all noticed in the same moment."""


@dataclass(slots=True)
class Server:
    """What is known of one node name.

    Attributes:
        incarnation: its newest life.
        sequence: of the newest ping processed (R13).
        missed: ping checks since that ping.
        heard: whether it has pinged since this view service started (R46).
        filling: the view whose backup it says it is filling, 0 for none (R35).
        suspected: ping checks since its connection was lost, counted from 1; 0 once it pings (R49).
    """

    incarnation: Incarnation
    sequence: int = -1
    missed: int = 0
    heard: bool = False
    filling: int = 0
    suspected: int = 0


class ViewService(Core):
    """The core of the view server.

    Args:
        member: this node in this life.
        record: what the store holds; a new cluster's record has view 0.
        replicas: names of the nodes that may ping.
        contract: what all nodes must agree on.
        timing: intervals.

    Attributes:
        view: the current view.
        acked: whether its primary has acknowledged it.
    """

    handlers: ClassVar[Mapping[type[Message], str]] = {
        Ping: "on_ping",
        GetView: "on_get_view",
        Abandon: "on_abandon",
    }

    def __init__(
        self,
        member: Member,
        record: ViewRecord,
        replicas: Iterable[str],
        contract: str,
        timing: Timing,
    ) -> None:
        super().__init__(member, record.cluster)
        self.view = record.view
        self.acked = record.acked
        self._replicas = frozenset(replicas)
        self._contract = contract
        self._timing = timing
        self._overtaken = 0
        self._trouble = 0  # ping checks for which a lost connection says nothing (R49)
        # in the order in which they came alive: who is longest alive is chosen first
        self._servers: dict[str, Server] = {
            member.name: Server(member.incarnation) for member in record.view.members()
        }

    # -- entries ------------------------------------------------------------------------------

    def on_start(self, out: Outbox) -> None:
        """Begin to check pings. Members of the stored view have a fresh grace period (R46)."""
        out.set_timer(Timer.PING_CHECK, self._timing.ping_interval_ms)

    def on_ping(self, source: Address, ping: Ping, out: Outbox) -> None:
        """Somebody is alive, and says where it is."""
        refusal = self._refuse_ping(source, ping)
        if refusal is not None:
            # counted under a name of ours: strangers could make up texts without end
            out.emit(Ignored(Ping, refusal[0].name.lower().replace("_", " ")))
            out.send(source, Refused(self.view.number, *refusal))
            return
        server = self._servers.get(source.node)
        if server is not None and source.incarnation < server.incarnation:
            out.emit(Ignored(Ping, "a superseded incarnation"))
            out.send(source, Superseded(source.incarnation, server.incarnation))
            return
        stuck = self._stuck()
        reason = self._hear(source, ping, server, out)
        if reason is not None:
            out.emit(Ignored(Ping, reason))
            return
        self._note_ack(source, ping, out)
        self._advance(out)
        if self._stuck() != stuck:  # for example: a new life has pinged, so the former is gone
            out.emit(RoleChanged(Role.VIEW_SERVER, self._describe()))
        self._reply(source, out)

    def _refuse_ping(self, source: Address, ping: Ping) -> tuple[Reason, str] | None:
        if source.node not in self._replicas:
            return (
                Reason.UNKNOWN_NODE,
                f"no replica named {source.node!r} in the view server's topology",
            )
        if not source.cluster and (ping.number or ping.filling):
            # It would count against our number, or as an ack; both need our cluster id (R46).
            return (Reason.FOREIGN_CLUSTER, "a ping with a view number names no cluster")
        if ping.contract != self._contract:
            return (
                Reason.OTHER_CONTRACT,
                f"the topology files differ: the view server has {self._contract!r}, "
                f"this node {ping.contract!r}",
            )
        return None

    def _hear(self, source: Address, ping: Ping, server: Server | None, out: Outbox) -> str | None:
        """Note a ping. Returns why it is not news (R13)."""
        if server is None or source.incarnation > server.incarnation:
            self._servers.pop(source.node, None)
            server = self._servers[source.node] = Server(source.incarnation)
        elif ping.sequence <= server.sequence:
            return "not newer than the newest ping"
        elif self._dead(server):  # it comes back to the end of the line
            self._servers[source.node] = self._servers.pop(source.node)
        if server.suspected:
            out.emit(SuspicionVoid(source.node))
        server.sequence = ping.sequence
        server.missed = server.suspected = 0
        server.heard = True
        server.filling = ping.filling
        if max(ping.number, ping.filling) > self.view.number:
            self._overtaken = max(self._overtaken, ping.number, ping.filling)
        return None

    def _note_ack(self, source: Address, ping: Ping, out: Outbox) -> None:
        """The primary's ping with exactly the current number is the ack (R4)."""
        is_ack = (
            not self.acked
            and ping.number == self.view.number
            and (source.node, source.incarnation) == self.view.primary
        )
        if is_ack and not self._overtaken:
            self.acked = True
            out.persist(ViewRecord(self.cluster, self.view, True))
            out.publish(self._view_reply())
            out.emit(ViewAcknowledged(self.view.number))

    def on_get_view(self, source: Address, message: GetView, out: Outbox) -> None:
        """Tell the view; asking makes nobody a volunteer (R12)."""
        self._reply(source, out)

    def on_timer(self, timer: Timer, out: Outbox) -> None:
        """The ping check: who was silent since the last one has missed one more."""
        if timer is not Timer.PING_CHECK or self.over:
            return
        out.set_timer(Timer.PING_CHECK, self._timing.ping_interval_ms)
        self._trouble = max(0, self._trouble - 1)
        before = self._alive()
        for server in self._servers.values():
            server.missed = min(server.missed + 1, self._timing.dead_pings)
            if server.suspected:
                server.suspected = min(server.suspected + 1, self._timing.dead_pings + 1)
        self._advance(out)
        if self._alive() != before:
            out.emit(RoleChanged(Role.VIEW_SERVER, self._describe()))

    def on_signal(self, signal: Signal, out: Outbox) -> None:
        """Note what the driver noticed: that it slept, or that a connection is lost."""
        if isinstance(signal, Slept):
            self._on_slept()
            out.emit(GraceGiven(signal.ms))
        elif isinstance(signal, ConnectionLost):
            self._on_connection_lost(signal.node, out)

    def _on_slept(self) -> None:
        """It cannot tell who was silent: everyone gets a fresh grace, and only who is heard again
        may be chosen or promoted (R46).
        """
        self._trouble = TROUBLE_CHECKS
        for server in self._servers.values():
            server.heard = False
            if not self._dead(server):
                server.missed = server.suspected = 0

    def _on_connection_lost(self, node: str, out: Outbox) -> None:
        """Suspect a server, unless most are lost at once: that is our own trouble (R49)."""
        server = self._servers.get(node)
        if self._trouble or server is None or not server.heard or self._dead(server):
            return
        if not server.suspected:
            server.suspected = 1
            out.emit(Suspected(node))
        living = {
            name: each
            for name, each in self._servers.items()
            if each.heard and not self._dead(each)
        }
        suspects = [name for name, each in living.items() if each.suspected]
        if 2 * len(suspects) > len(living):
            self._trouble = TROUBLE_CHECKS
            for name in suspects:
                living[name].suspected = 0
                out.emit(SuspicionVoid(name))

    def on_abandon(self, source: Address, message: Abandon, out: Outbox) -> None:
        """Give up this cluster and form a new, empty one, unless its state is still there."""
        for member in self._holders():
            if not self.gone(member):
                role = self.view.role_of(member).value
                text = f"{role} {member.name} holds the state and is not known to be dead"
                out.send(source, Refused(self.view.number, Reason.STILL_SERVING, text))
                return
        out.persist(ViewRecord(message.successor, NO_VIEW, False))
        out.send(source, Abandoned(self.view.number))
        self._start_over(self.member.incarnation, "the cluster was abandoned", out)

    def on_stranger(self, source: Address, message: Message, reason: str, out: Outbox) -> None:
        """Tell a node or client of another cluster that it is one."""
        if isinstance(message, Ping | GetView | Abandon):
            text = f"the view server belongs to another cluster ({reason})"
            out.send(source, Refused(self.view.number, Reason.FOREIGN_CLUSTER, text))

    def _reply(self, source: Address, out: Outbox) -> None:
        out.send(source, self._view_reply())

    def _view_reply(self) -> ViewReply:
        return ViewReply(self.view, self.acked, self._contract)

    # -- decisions ----------------------------------------------------------------------------

    def _dead(self, server: Server) -> bool:
        return server.missed >= self._timing.dead_pings or server.suspected > SUSPECT_CHECKS

    def _living(self, member: Member) -> bool:
        """Heard, not silent for too long, and not restarted since (R8-R10)."""
        server = self._servers.get(member.name)
        return (
            server is not None
            and server.heard
            and server.incarnation == member.incarnation
            and not self._dead(server)
        )

    def gone(self, member: Member) -> bool:
        """Tell whether a member is known to be dead or restarted. One not yet heard of since the
        start has its grace (R46).
        """
        server = self._servers.get(member.name)
        return server is None or server.incarnation != member.incarnation or self._dead(server)

    def _holders(self) -> tuple[Member, ...]:
        """Return who holds the complete state: the primary, and the backup once that is acked."""
        return self.view.members() if self.acked else self.view.members()[:1]

    def heard(self, member: Member) -> bool:
        """Tell whether a member has pinged since the view server started or slept (R46)."""
        server = self._servers.get(member.name)
        return server is not None and server.incarnation == member.incarnation and server.heard

    def _restarted(self, member: Member) -> bool:
        server = self._servers.get(member.name)
        return server is None or server.incarnation != member.incarnation

    def _choose_backup(self, primary: Member) -> Member | None:
        """Return the idle server that is longest alive (R8)."""
        for name, server in self._servers.items():
            candidate = Member(name, server.incarnation)
            in_view = candidate in self.view.members()
            if name != primary.name and not in_view and self._living(candidate):
                return candidate
        return None

    def _next_view(self) -> View | None:
        """Return the view that must follow now, or None (R2-R8, R35)."""
        view = self.view
        if view.primary is None:
            for name, server in self._servers.items():
                if self._living(Member(name, server.incarnation)):
                    return View(1, Member(name, server.incarnation), None)
            return None
        if not self.acked:
            return self._next_backup_while_filling(view.primary)
        if self.gone(view.primary) and view.backup is not None:
            if not self._living(view.backup):
                return None  # both are dead, or the backup was not heard since a start (R7, R46)
            if not self.outlives(view.backup, view.primary):
                return None
            return View(view.number + 1, view.backup, self._choose_backup(view.backup))
        if self._restarted(view.primary):
            return None  # its state is gone, and nobody else ever had it (R7, R25)
        return self._next_backup(view.primary)

    def outlives(self, backup: Member, primary: Member) -> bool:
        """Tell whether the backup has pinged since the primary's connection was lost, where that
        alone condemned the primary (R49): what hit one of them may have hit both.
        """
        server = self._servers[primary.name]
        if self._restarted(primary) or server.missed >= self._timing.dead_pings:
            return True
        return self._servers[backup.name].missed < server.suspected - 1

    def _next_backup(self, primary: Member) -> View | None:
        """Same primary: replace a backup that is gone, or take a first one (R5, R6)."""
        backup = self.view.backup
        if backup is not None and not self.gone(backup):
            return None
        chosen = self._choose_backup(primary)
        if chosen == backup:
            return None  # a new number requires a different pair (R7)
        return View(self.view.number + 1, primary, chosen)

    def _next_backup_while_filling(self, primary: Member) -> View | None:
        """The view is not acked: only its backup may be replaced, and only while the primary, in
        the same life, says that it has not joined the view yet (R35).
        """
        server = self._servers.get(primary.name)
        if server is None or not self._living(primary) or server.filling != self.view.number:
            return None
        return self._next_backup(primary)

    def _advance(self, out: Outbox) -> None:
        """Change the view as soon as the conditions hold (R11)."""
        if self._overtaken:
            return  # the store is older than the cluster: decide nothing (R46)
        after = self._next_view()
        if after is None:
            return
        reason = invalid_successor(self.view, self.acked, after)
        if reason is not None:
            raise InvariantViolated(f"{reason}: {after} after {self.view}")
        self.view, self.acked = after, False
        out.persist(ViewRecord(self.cluster, after, False))
        out.publish(self._view_reply())
        out.emit(ViewInstalled(after))

    # -- copies and people --------------------------------------------------------------------

    def clone(self) -> ViewService:
        """Return an independent copy."""
        copy = object.__new__(ViewService)
        copy.__dict__.update(self.__dict__)
        copy._servers = {name: replace(server) for name, server in self._servers.items()}
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        servers = tuple((name, *astuple(server)) for name, server in self._servers.items())
        return (
            self.cluster,
            self.view,
            self.acked,
            self.over,
            self._overtaken,
            self._trouble,
            servers,
        )

    def record(self) -> ViewRecord:
        """Return what must be durable by now."""
        return ViewRecord(self.cluster, self.view, self.acked)

    def invalid(self) -> str | None:
        """Return which local invariant does not hold, or None."""
        return self.view.invalid()

    def _alive(self) -> tuple[str, ...]:
        return tuple(
            sorted(
                name
                for name, server in self._servers.items()
                if server.heard and not self._dead(server)
            )
        )

    def _stuck(self) -> str | None:
        """Return why no view can follow unless somebody comes back or gives up, or None."""
        view = self.view
        if self._overtaken:
            return (
                f"a node has seen view {self._overtaken}, later than view {view.number} "
                "of this store: the store was set back"
            )
        holders = self._holders()
        if not holders or not all(map(self.gone, holders)):
            return None
        silent = [member.name for member in holders if not self._restarted(member)]
        if silent:
            return _waiting_for(silent)
        return "last holder of the state is gone; 'pbactors abandon' forms a new, empty cluster"

    def _describe(self) -> str:
        stuck = self._stuck()
        if stuck is not None:
            return f"stuck: {stuck}"
        if self.view.primary is None:
            return "no view yet"
        return "view acknowledged" if self.acked else "waiting for the primary's acknowledgement"

    def status(self) -> Status:
        """Return what people see."""
        stuck = self._stuck() is not None
        held = 2 if self.acked and self.view.backup is not None else 1
        return Status(
            role=Role.VIEW_SERVER,
            state=self._describe(),
            view=self.view,
            acked=self.acked,
            op=0,
            copies=0 if stuck or self.view.primary is None else held,
            alive=self._alive(),
            stuck=stuck,
        )


def _waiting_for(names: list[str]) -> str:
    if len(names) == 1:
        who = f"{names[0]}, which holds the state; if its process has ended"
    else:
        who = f"{' or '.join(names)}, which hold the state; if the processes of both have ended"
    return (
        f"waiting for {who}, the state is gone, and 'pbactors abandon' forms a new, empty cluster"
    )
