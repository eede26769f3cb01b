"""A view service whose handlers and timer the test calls itself, as both suites do."""

from __future__ import annotations

from pbactors.config import Timing
from pbactors.protocol.core import Address, Effect, Outbox, Persist, Send, Timer
from pbactors.protocol.messages import GetView, Message, Ping, Report, ViewReply
from pbactors.protocol.view import FRESH, NO_VIEW, Member, View, ViewRecord, invalid_successor
from pbactors.protocol.view_service import ViewService

from .network import CLUSTER, CONTRACT, VIEW, incarnation

Named = tuple[str | None, str | None, int]
"""(primary, backup, number), as the cases of both suites write views."""


def named(view: View) -> Named:
    """Return a view with names for members."""
    return (
        view.primary.name if view.primary else None,
        view.backup.name if view.backup else None,
        view.number,
    )


class Servers:
    """A view service and the servers that ping it, all played by the test.

    The suites signal a restart by pinging 0. Here that becomes what it is: a new incarnation.

    Args:
        dead_pings: after so many silent checks a server is dead.
        record: what the store holds.
    """

    def __init__(self, dead_pings: int = 2, record: ViewRecord | None = None) -> None:
        self.timing = Timing(dead_pings=dead_pings)
        self.lives: dict[str, int] = {}
        self.sequences: dict[Member, int] = {}
        self.operated: set[Member] = set()
        self.start(record or ViewRecord(CLUSTER, NO_VIEW, False))

    def start(self, record: ViewRecord) -> None:
        """Start the view service, or start it again, from what is stored."""
        member = Member(VIEW, incarnation(1))
        self.core = ViewService(member, record, "123", CONTRACT, self.timing)
        self.record = record
        self.effects: list[Effect] = []
        out = Outbox()
        self.core.on_start(out)
        self._perform(out)

    @property
    def view(self) -> Named:
        """Return the current view."""
        return named(self.core.view)

    @property
    def acked(self) -> bool:
        """Return whether it is acknowledged."""
        return self.core.acked

    def member(self, name: str) -> Member:
        """Return a server in its present life."""
        return Member(name, incarnation(self.lives.setdefault(name, 1)))

    def restart(self, name: str) -> None:
        """Let a server lose its memory; it does not ping yet."""
        self.lives[name] = self.lives.get(name, 0) + 1

    def ping(
        self,
        name: str,
        number: int | None = None,
        filling: int = 0,
        report: Report = Report.NONE,
        leaving: bool = False,
    ) -> Named:
        """Ping once; 0 from a server that has operated in a view is a restart.

        Args:
            name: who pings.
            number: the view it operates in; the current one if not given.
            filling: the view whose backup it is filling.
            report: what it says of the current backup.
            leaving: whether it is about to end.
        """
        if number is None:
            number = self.core.view.number
        if number == 0 and self.member(name) in self.operated:
            self.restart(name)
        member = self.member(name)
        if number:
            self.operated.add(member)
        self.sequences[member] = self.sequences.get(member, 0) + 1
        backup = self.core.view.backup
        about = backup.incarnation if report and backup is not None else FRESH
        sequence = self.sequences[member]
        self.say(member, Ping(number, sequence, filling, CONTRACT, report, about, leaving))
        return self.view

    def say(self, member: Member, message: Message, cluster: bytes = CLUSTER) -> list[Effect]:
        """Hand over a message as it is; return what the view service does."""
        out = Outbox()
        source = Address(member.name, member.incarnation, cluster, member.name.encode())
        self.core.on_message(source, message, out)
        return self._perform(out)

    def get(self) -> Named:
        """Read the view without volunteering, as the suites' "Get"."""
        effects = self.say(Member("", incarnation(9)), GetView())
        (reply,) = [
            effect.message
            for effect in effects
            if isinstance(effect, Send) and isinstance(effect.message, ViewReply)
        ]
        return named(reply.view)

    def check(self) -> Named:
        """One ping check."""
        out = Outbox()
        self.core.on_timer(Timer.PING_CHECK, out)
        self._perform(out)
        return self.view

    def checks(self, count: int, *alive: str) -> Named:
        """``count`` checks, before each of which every server in ``alive`` pings the view."""
        for _ in range(count):
            for name in alive:
                self.ping(name)
            self.check()
        return self.view

    def _perform(self, out: Outbox) -> list[Effect]:
        for effect in out.effects:
            if isinstance(effect, Persist):
                before, self.record = self.record, effect.record
                if before.view != self.record.view and before.cluster == self.record.cluster:
                    assert invalid_successor(before.view, before.acked, self.record.view) is None
        assert self.core.invalid() is None
        done = list(out.effects)
        self.effects += done
        return done


def acknowledged_pair() -> Servers:
    """Return servers in view (1, 2, 2), acknowledged."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 1)
    servers.ping("2", 0)
    servers.ping("1", 2)
    servers.ping("2", 2)
    assert servers.view == ("1", "2", 2)
    assert servers.acked
    return servers


def pair(dead_pings: int, *idle: str) -> Servers:
    """Return servers in view (1, 2, 2), acknowledged, with idle ones that were heard."""
    servers = Servers(dead_pings=dead_pings)
    servers.ping("1", 0)
    servers.ping("1", 1)
    servers.ping("2", 0)
    servers.ping("1", 2)
    servers.ping("2", 2)
    for name in idle:
        servers.ping(name, 0)
    assert servers.view == ("1", "2", 2)
    return servers
