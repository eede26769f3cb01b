"""The replica: what outlives a role, and the way from one role to the next.

A ``Replica`` holds its member, its view and its replicated state, pings the view server and adopts
views. What belongs to a role lives in a ``Primary`` or ``Backup`` object that is made when the role
begins and dropped when it ends.

The number it pings is the number it *operates* in (R15). For a primary with a backup that is the
new view only once the backup holds the complete state; until then it pings the last number, with
``filling`` set. The ping is the acknowledgement that allows the next change, and so the promotion
of the backup: pinging earlier would let a backup be promoted that holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import ClassVar

from pbactors.config import Limits, Timing
from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Address, Leave, Outbox, Signal, Status, Timer
from pbactors.protocol.departure import Departure
from pbactors.protocol.events import Ignored, RoleChanged, ViewInstalled
from pbactors.protocol.idle import Idle
from pbactors.protocol.machine import Machine
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    HandOver,
    Message,
    Piece,
    PieceReceived,
    Ping,
    Reason,
    Refused,
    Report,
    Request,
    Superseded,
    ViewReply,
)
from pbactors.protocol.primary import Primary
from pbactors.protocol.sessions import Sessions
from pbactors.protocol.state import ReplicatedState
from pbactors.protocol.tool_messages import Abandon
from pbactors.protocol.view import FRESH, Member, Role, View
from pbactors.protocol.view_follower import ViewFollower

__all__ = ["Replica"]


class Replica(ViewFollower):
    """The core of a replica.

    Args:
        member: this node in this life.
        view_server: name of the view server's node.
        machine: an empty machine.
        contract: what all nodes must agree on.
        timing: intervals.
        limits: bounds.
        stamps: returns a new stamp above the given last one (R26, R51).
        min_copies: how many copies of the state an answer needs: 1, or 2 to wait for a backup.
    """

    handlers: ClassVar[Mapping[type[Message], str]] = {
        ViewReply: "on_view_reply",
        Superseded: "on_superseded",
        HandOver: "on_hand_over",
        Refused: "on_refused",
        Request: "on_request",
        Forward: "on_forward",
        Confirm: "on_confirm",
        Piece: "on_piece",
        PieceReceived: "on_piece_received",
        Abandon: "on_abandon",
    }

    def __init__(
        self,
        member: Member,
        view_server: str,
        machine: Machine,
        contract: str,
        timing: Timing,
        limits: Limits,
        stamps: Callable[[bytes], bytes],
        min_copies: int = 1,
    ) -> None:
        super().__init__(member, view_server)
        self._contract = contract
        self._timing = timing
        self._limits = limits
        self._stamps = stamps
        self._min_copies = min_copies
        self._sequence = 0
        self._departure = Departure()
        self._said = (Report.NONE, False)  # report and serving, in the newest ping
        self._hinted = False
        self._resending = False
        self._refusal = ""
        self.operating = 0
        self.role: Primary | Backup | Idle = Idle(
            ReplicatedState(machine, Sessions(limits.sessions_max), member.incarnation)
        )

    @property
    def state(self) -> ReplicatedState:
        """The replicated state as this replica has it."""
        return self.role.state

    # -- pings --------------------------------------------------------------------------------

    def on_start(self, out: Outbox) -> None:
        """Volunteer."""
        self._ping(out)
        out.set_timer(Timer.PING, self._timing.ping_interval_ms)

    def on_timer(self, timer: Timer, out: Outbox) -> None:
        """Ping, or repeat what the backup has not confirmed."""
        if self.over:
            return
        if timer is Timer.PING:
            self._hinted = False
            if isinstance(self.role, Primary):
                self.role.on_ping_tick()
            self._ping(out)
            out.set_timer(Timer.PING, self._timing.ping_interval_ms)
        elif timer is Timer.RESEND:
            self._resending = False
            if isinstance(self.role, Primary):
                self.role.on_resend_tick()

    def _ping(self, out: Outbox) -> None:
        self._sequence += 1
        filling, about = 0, FRESH
        self._said = self._to_say()
        report, serving = self._said
        if isinstance(self.role, Primary) and not self.role.operating:
            filling = self.view.number
        if report and self.view.backup is not None:
            about = self.view.backup.incarnation
        out.send(
            self.view_server,
            Ping(
                self.operating,
                self._sequence,
                filling,
                self._contract,
                report,
                about,
                self._departure.asked,
                serving,
            ),
        )

    def _to_say(self) -> tuple[Report, bool]:
        """Return what a primary reports, and whether it answers clients."""
        if isinstance(self.role, Primary):
            return self.role.report, self.role.serving
        return Report.NONE, False

    def _ask(self, out: Outbox) -> None:
        """Follow a hint that there is a newer view, at most once per interval (R30)."""
        if not self._hinted:
            self._hinted = True
            self._ping(out)

    # -- views --------------------------------------------------------------------------------

    def adopted(self, before: View, out: Outbox) -> None:
        """Become what the new view makes of this member."""
        role = self.view.role_of(self.member)
        if role is Role.PRIMARY:
            self._become_primary(before, out)
        else:
            self._end_primary(out)
            if role is Role.BACKUP:
                self.role = Backup(self.view, self.state, self._was_primary(before))
            else:
                self.role = Idle(self.state)
            self.operating = 0 if self.view.names_another_life_of(self.member) else self.view.number
        out.emit(ViewInstalled(self.view))
        out.emit(RoleChanged(role, self.role.describe()))

    def _become_primary(self, before: View, out: Outbox) -> None:
        barred = self._barred_from_primary(before)
        if barred is not None:
            self._end_primary(out)
            self.role = Idle(self.state, barred)
            return
        if isinstance(self.role, Primary):
            self.role.enter(self.view)
        else:
            swapped = self.view.backup is not None and self.view.backup == before.primary
            self.role = Primary(
                self.view, self.state, self._limits, self._stamps, self._min_copies, swapped
            )
        if self.role.operating:
            self._join(out)

    def _was_primary(self, before: View) -> bool:
        """Tell whether this replica has operated as primary of the view right before this one, with
        the present primary as its backup (R45).
        """
        return (
            isinstance(self.role, Primary)
            and self.role.operating
            and before.number == self.view.number - 1
            and before.backup == self.view.primary
        )

    def _barred_from_primary(self, before: View) -> str | None:
        """Return why this replica holds no state to be primary with, or None (R36)."""
        if self.view.number == 1:
            return None
        if before.number != self.view.number - 1:
            return f"made primary of view {self.view.number} without having seen the one before"
        if isinstance(self.role, Primary):
            return None
        if isinstance(self.role, Backup) and self.role.installed:
            return None
        return f"made primary of view {self.view.number} without an installed state"

    def _join(self, out: Outbox) -> None:
        """The primary operates in its view from here on; saying so is the ack (R4, R15)."""
        self.operating = self.view.number
        self._ping(out)

    def _end_primary(self, out: Outbox) -> None:
        if isinstance(self.role, Primary):
            self.role.leave(self.view, out)

    # -- leaving ------------------------------------------------------------------------------

    def on_hand_over(self, source: Address, message: HandOver, out: Outbox) -> None:
        """The view server wants the backup to take over (R44)."""
        if source.node != self.view_server or message.target != self.member.incarnation:
            out.emit(Ignored(HandOver, "not for this life of this node"))
        elif message.view != self.view.number or not isinstance(self.role, Primary):
            out.emit(Ignored(HandOver, "not primary of this view"))
        else:
            self.role.hand_over()

    def on_signal(self, signal: Signal, out: Outbox) -> None:
        """Give up the role in peace, and say so (R44)."""
        if isinstance(signal, Leave) and not self.over:
            self._departure.asked = True
            self._ping(out)

    # -- other lives --------------------------------------------------------------------------

    def on_superseded(self, source: Address, message: Superseded, out: Outbox) -> None:
        """A newer life of this name exists: this one is over (R47)."""
        if source.node != self.view_server:
            out.emit(Ignored(Superseded, "not from the view server"))
            return
        if message.target != self.member.incarnation:
            out.emit(Ignored(Superseded, "meant for another life of this node"))
            return
        self._start_over(message.newest, "a newer incarnation of this node has pinged", out)

    def on_abandon(self, source: Address, message: Abandon, out: Outbox) -> None:
        """An operator gave up this cluster: begin anew, empty, unless its state is right here."""
        if isinstance(self.role, Primary) and self.role.operating:
            text = f"{self.member.name} serves as primary: nothing is lost"
            out.send(source, Refused(self.view.number, Reason.STILL_SERVING, text))
        else:
            self._start_over(self.member.incarnation, "the cluster was abandoned", out)

    def on_refused(self, source: Address, message: Refused, out: Outbox) -> None:
        """The view server does not want this node; keep the reason for people."""
        if source.node == self.view_server and message.text != self._refusal:
            self._refusal = message.text
            out.emit(RoleChanged(self.view.role_of(self.member), self._describe()))

    def on_view_reply(self, source: Address, reply: ViewReply, out: Outbox) -> None:
        """Follow the view server, which wants this node."""
        self._refusal = ""
        super().on_view_reply(source, reply, out)

    def on_stranger(self, source: Address, message: Message, reason: str, out: Outbox) -> None:
        """Keep the view server's refusal although it comes from another cluster."""
        if isinstance(message, Refused):
            self.on_refused(source, message, out)
        elif isinstance(message, Request):
            out.send(source, Refused(self.view.number, Reason.FOREIGN_CLUSTER, reason))

    # -- clients ------------------------------------------------------------------------------

    def on_request(self, source: Address, message: Request, out: Outbox) -> None:
        """Serve clients, as primary of one's own view only (R19)."""
        if message.view > self.view.number:
            self._ask(out)
        if isinstance(self.role, Primary):
            self.role.on_request(source, message)
        else:
            out.send(source, Refused(self.view.number, Reason.NOT_PRIMARY, "not primary"))

    # -- between replicas ---------------------------------------------------------------------

    def _ignore_peer(
        self, message: Forward | Confirm | Piece | PieceReceived, out: Outbox
    ) -> str | None:
        """Return why this message is not for us in our view, or None (R18, R23, R47)."""
        if message.target != self.member.incarnation:
            return "meant for another life of this node"
        if message.view > self.view.number:
            self._ask(out)
            return "of a later view"
        if message.view < self.view.number:
            return "of an earlier view"
        return None

    def on_forward(self, source: Address, message: Forward, out: Outbox) -> None:
        """Execute forwarded commands, as backup of the same view (R18)."""
        reason = self._ignore_peer(message, out)
        if reason is None:
            if isinstance(self.role, Backup):
                reason = self.role.on_forward(source, message, out)
            else:
                reason = "not backup of this view"
        self._note(message, reason, out)

    def on_piece(self, source: Address, message: Piece, out: Outbox) -> None:
        """Gather the state, as backup of the same view."""
        reason = self._ignore_peer(message, out)
        if reason is None:
            if isinstance(self.role, Backup):
                reason = self.role.on_piece(source, message, out)
            else:
                reason = "not backup of this view"
        self._note(message, reason, out)

    def on_confirm(self, source: Address, message: Confirm, out: Outbox) -> None:
        """Commit what the backup of this view has confirmed."""
        reason = self._ignore_peer(message, out) or self._ignore_backup(source)
        if reason is None and isinstance(self.role, Primary):
            joined = self.role.operating
            reason = self.role.on_confirm(message, out)
            if self.role.operating and not joined:
                self._join(out)
                out.emit(RoleChanged(Role.PRIMARY, self.role.describe()))
        self._note(message, reason, out)

    def on_piece_received(self, source: Address, message: PieceReceived, out: Outbox) -> None:
        """Move the window of a transfer."""
        reason = self._ignore_peer(message, out) or self._ignore_backup(source)
        if reason is None and isinstance(self.role, Primary):
            reason = self.role.on_piece_received(message)
        self._note(message, reason, out)

    def _ignore_backup(self, source: Address) -> str | None:
        """Return why the sender is not the backup of our view, or None (R34, R47)."""
        if not isinstance(self.role, Primary):
            return "not primary of this view"
        if (source.node, source.incarnation) != self.view.backup:
            return "not from the backup of this view"
        return None

    def _note(self, message: Message, reason: str | None, out: Outbox) -> None:
        if reason is not None:
            out.emit(Ignored(type(message), reason))

    # -- end of a batch -----------------------------------------------------------------------

    def flush(self, out: Outbox) -> None:
        """Emit what the role gathered; one timer repeats what stays unconfirmed (R28)."""
        if self.over:
            return
        if self._departure.asked:
            self._departure.go_on(self.role, out)
        if isinstance(self.role, Idle):
            return
        self.role.flush(out)
        if self._to_say() != self._said:
            self._ping(out)  # so that the view server need not wait for it
        if not self._resending and isinstance(self.role, Primary) and self.role.waits_for_backup():
            self._resending = True
            out.set_timer(Timer.RESEND, self._timing.resend_interval_ms)

    # -- copies and people --------------------------------------------------------------------

    def clone(self) -> Replica:
        """Return an independent copy."""
        copy = object.__new__(Replica)
        copy.__dict__.update(self.__dict__)
        copy.role = self.role.clone(self.state.clone())
        copy._departure = self._departure.clone()
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            self.member,
            self.cluster,
            self.over,
            self.view,
            self.operating,
            self._sequence,
            self._said,
            (self._hinted, self._resending),
            self._departure.freeze(),
            self.state.freeze(),
            self.role.freeze(),
        )

    def invalid(self) -> str | None:
        """Return which local invariant does not hold, or None."""
        if isinstance(self.role, Idle):
            return None if self.role.barred is None else f"R36: {self.role.barred}"
        if self.role.view != self.view:
            return "R39: the role belongs to another view"
        if isinstance(self.role, Primary):
            if self.view.primary != self.member:
                return "R19: primary of a view that names another"
            if self.role.operating != (self.operating == self.view.number):
                return "R15: pings a number it does not operate in"
        elif self.view.backup != self.member:
            return "R18: backup of a view that names another"
        return None

    def _describe(self) -> str:
        """Return the state of the role in words."""
        if self._refusal:
            return f"stuck: refused by the view server: {self._refusal}; start this node again"
        if not self.cluster:
            return "waiting for the view server"
        return self.role.describe()

    def status(self) -> Status:
        """Return what people see."""
        return Status(
            role=self.view.role_of(self.member),
            state=self._describe(),
            view=self.view,
            acked=self.acked,
            op=self.state.op,
            copies=self.role.copies if isinstance(self.role, Primary) else 0,
            stuck=self.role.stuck or bool(self._refusal),
        )
