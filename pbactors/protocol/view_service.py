"""The view service: decides who is primary and who is backup, one view after another (R1-R14).

It decides from pings alone. Everything rests on R4: a view does not change until its primary has
acknowledged it by pinging its number, and a primary does so only when its backup holds the complete
state. So whoever may be promoted holds everything that anyone was told.

Who lives stands in ``liveness.py``, which view follows in ``succession.py``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import ClassVar

from pbactors.config import Timing
from pbactors.errors import InvariantViolated
from pbactors.protocol.core import (
    Address,
    ConnectionLost,
    Core,
    Outbox,
    Signal,
    Slept,
    Status,
    Timer,
)
from pbactors.protocol.events import (
    GraceGiven,
    Ignored,
    RoleChanged,
    ViewAcknowledged,
    ViewInstalled,
    ViewServed,
)
from pbactors.protocol.liveness import Liveness
from pbactors.protocol.messages import (
    GetView,
    HandOver,
    Message,
    Ping,
    Reason,
    Refused,
    Superseded,
    ViewReply,
)
from pbactors.protocol.succession import Succession
from pbactors.protocol.tool_messages import Abandon, Abandoned, SwitchOver
from pbactors.protocol.view import (
    NO_VIEW,
    Member,
    Role,
    ViewRecord,
    invalid_successor,
)

__all__ = ["ViewService"]


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
        liveness: who lives.
    """

    handlers: ClassVar[Mapping[type[Message], str]] = {
        Ping: "on_ping",
        GetView: "on_get_view",
        Abandon: "on_abandon",
        SwitchOver: "on_switch_over",
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
        self.liveness = Liveness(record.view.members(), timing.dead_pings)
        self._succession = Succession(self.liveness, timing)
        self._served = 0  # the newest view whose primary is known to serve

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
        server = self.liveness.newest(source.node)
        if server is not None and source.incarnation < server.incarnation:
            out.emit(Ignored(Ping, "a superseded incarnation"))
            out.send(source, Superseded(source.incarnation, server.incarnation))
            return
        stuck = self._stuck()
        reason = self.liveness.hear(source.node, source.incarnation, ping, out)
        if reason is not None:
            out.emit(Ignored(Ping, reason))
            return
        member = Member(source.node, source.incarnation)
        self._note(member, ping)
        self._note_ack(member, ping, out)
        self._note_service(member, ping, out)  # before its ack allows the next view
        self._advance(out)
        if self._stuck() != stuck:  # for example: a new life has pinged, so the former is gone
            out.emit(RoleChanged(Role.VIEW_SERVER, self._describe()))
        self._reply(source, out)
        if member == self.view.primary and self._succession.wants_hand_over(self.view, self.acked):
            out.send(source, HandOver(self.view.number, source.incarnation))

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

    def _note(self, member: Member, ping: Ping) -> None:
        """Note what a ping says besides that its sender lives."""
        if max(ping.number, ping.filling) > self.view.number:
            self._overtaken = max(self._overtaken, ping.number, ping.filling)
        self._succession.hear(self.view, member)

    def _note_ack(self, member: Member, ping: Ping, out: Outbox) -> None:
        """The primary's ping with exactly the current number is the ack (R4)."""
        is_ack = not self.acked and ping.number == self.view.number and member == self.view.primary
        if is_ack and not self._overtaken:
            self.acked = True
            out.persist(ViewRecord(self.cluster, self.view, True))
            out.publish(self._view_reply())
            out.emit(ViewAcknowledged(self.view.number))

    def _note_service(self, member: Member, ping: Ping, out: Outbox) -> None:
        """Say once per view that clients are answered in it."""
        number = self.view.number
        serves = ping.serving and number in (ping.number, ping.filling)
        if serves and member == self.view.primary and self._served < number:
            self._served = number
            out.emit(ViewServed(number))

    def on_get_view(self, source: Address, message: GetView, out: Outbox) -> None:
        """Tell the view; asking makes nobody a volunteer (R12)."""
        self._reply(source, out)

    def on_timer(self, timer: Timer, out: Outbox) -> None:
        """The ping check: who was silent since the last one has missed one more."""
        if timer is not Timer.PING_CHECK or self.over:
            return
        out.set_timer(Timer.PING_CHECK, self._timing.ping_interval_ms)
        before = self.liveness.alive()
        self.liveness.check()
        self._succession.check(self.view, self.acked)
        self._advance(out)
        if self.liveness.alive() != before:
            out.emit(RoleChanged(Role.VIEW_SERVER, self._describe()))

    def on_signal(self, signal: Signal, out: Outbox) -> None:
        """Note what the driver noticed: that it slept, or that a connection is lost."""
        if isinstance(signal, Slept):
            self.liveness.slept()
            out.emit(GraceGiven(signal.ms))
        elif isinstance(signal, ConnectionLost):
            self.liveness.lose(signal.node, out)

    def on_switch_over(self, source: Address, message: SwitchOver, out: Outbox) -> None:
        """An operator wants another primary: try it for a while (R44)."""
        wish = self._wished(message.to)
        if isinstance(wish, str):
            out.send(source, Refused(self.view.number, Reason.CANNOT_SWITCH, wish))
            return
        self._succession.wish(wish)
        self._advance(out)
        self._reply(source, out)

    def _wished(self, name: str) -> Member | str:
        """Return who shall be primary, or why nobody of that name can be."""
        view = self.view
        if self._overtaken:
            return self._stuck() or ""
        if view.primary is None:
            return "there is no primary yet"
        if not name:
            if view.backup is None:
                return self._stuck() or "there is no backup; name another replica, or start one"
            name = view.backup.name
        if name not in self._replicas:
            return f"no replica named {name!r} in the view server's topology"
        if name == view.primary.name:
            return f"{name} is primary already"
        server = self.liveness.newest(name)
        if server is None:
            return f"{name} is not alive"
        member = Member(name, server.incarnation)
        return self._succession.refuse_wish(view, member) or member

    def on_abandon(self, source: Address, message: Abandon, out: Outbox) -> None:
        """Give up this cluster and form a new, empty one, unless its state is still there."""
        for member in self._holders():
            if not self.liveness.gone(member):
                role = self.view.role_of(member).value
                text = f"{role} {member.name} holds the state and is not known to be dead"
                out.send(source, Refused(self.view.number, Reason.STILL_SERVING, text))
                return
        out.persist(ViewRecord(message.successor, NO_VIEW, False))
        out.send(source, Abandoned(self.view.number))
        self._start_over(self.member.incarnation, "the cluster was abandoned", out)

    def on_stranger(self, source: Address, message: Message, reason: str, out: Outbox) -> None:
        """Tell a node or client of another cluster that it is one."""
        if isinstance(message, Ping | GetView | Abandon | SwitchOver):
            text = f"the view server belongs to another cluster ({reason})"
            out.send(source, Refused(self.view.number, Reason.FOREIGN_CLUSTER, text))

    def _reply(self, source: Address, out: Outbox) -> None:
        out.send(source, self._view_reply())

    def _view_reply(self) -> ViewReply:
        return ViewReply(self.view, self.acked, self._contract)

    # -- decisions ----------------------------------------------------------------------------

    def _holders(self) -> tuple[Member, ...]:
        """Return who holds the complete state: the primary, and the backup once that is acked."""
        return self.view.members() if self.acked else self.view.members()[:1]

    def _advance(self, out: Outbox) -> None:
        """Change the view as soon as the conditions hold (R11)."""
        if self._overtaken:
            return  # the store is older than the cluster: decide nothing (R46)
        change = self._succession.next_view(self.view, self.acked)
        if change is None:
            return
        after = change.view
        reason = invalid_successor(self.view, self.acked, after)
        if reason is not None:
            raise InvariantViolated(f"{reason}: {after} after {self.view}")
        self._succession.changed(self.view, change)
        self.view, self.acked = after, False
        out.persist(ViewRecord(self.cluster, after, False))
        out.publish(self._view_reply())
        out.emit(ViewInstalled(*change))

    # -- copies and people --------------------------------------------------------------------

    def clone(self) -> ViewService:
        """Return an independent copy."""
        copy = object.__new__(ViewService)
        copy.__dict__.update(self.__dict__)
        copy.liveness = self.liveness.clone()
        copy._succession = self._succession.clone(copy.liveness)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            (self.cluster, self.view, self.acked, self.over, self._overtaken),
            self._served,
            self.liveness.freeze(),
            self._succession.freeze(),
        )

    def record(self) -> ViewRecord:
        """Return what must be durable by now."""
        return ViewRecord(self.cluster, self.view, self.acked)

    def invalid(self) -> str | None:
        """Return which local invariant does not hold, or None."""
        return self.view.invalid()

    def _stuck(self) -> str | None:
        """Return why no view can follow unless somebody comes back or gives up, or None."""
        view = self.view
        if self._overtaken:
            return (
                f"a node has seen view {self._overtaken}, later than view {view.number} "
                "of this store: the store was set back"
            )
        holders = self._holders()
        if not holders or not all(map(self.liveness.gone, holders)):
            return None
        silent = [member.name for member in holders if not self.liveness.restarted(member)]
        if silent:
            return _waiting_for(silent)
        return "last holder of the state is gone; 'pbactors abandon' forms a new, empty cluster"

    def _describe(self) -> str:
        stuck = self._stuck()
        if stuck is not None:
            return f"stuck: {stuck}"
        if self.view.primary is None:
            return "no view yet"
        state = "view acknowledged" if self.acked else "waiting for the primary's acknowledgement"
        outcasts = self._succession.hold_down.outcasts()
        if outcasts:
            names = ", ".join(outcasts)
            state += f"; {names} stays out until started again: other results, three times"
        return state

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
            alive=self.liveness.alive(),
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
