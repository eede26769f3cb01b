"""What a replica is while it is backup of one view.

A ``Backup`` lives for one view and is dropped with it, so "installed" is cleared on every view
(R36) without anybody clearing it. It gathers a state, swaps it in whole, and from then on executes
what is forwarded, in order, and confirms. It promises one thing only: *in this view, as this
incarnation, my installed state holds every command up to n* (R34).
"""

from __future__ import annotations

from collections.abc import Hashable

from pbactors.protocol.core import Address, Outbox
from pbactors.protocol.events import StateInstalled
from pbactors.protocol.messages import Confirm, Forward, Piece, PieceReceived, Section
from pbactors.protocol.state import ReplicatedState
from pbactors.protocol.state_transfer import IncomingTransfer
from pbactors.protocol.view import View

__all__ = ["Backup"]


class Backup:
    """The backup of one view.

    Args:
        view: a view whose backup this replica is, in this incarnation.
        state: its own state, from former times; replaced by the transfer.
        was_primary: whether it has operated as primary of the view before, with the present primary
            as its backup, until this view began: then it may be asked to go on with its own state
            (R45).
    """

    def __init__(self, view: View, state: ReplicatedState, was_primary: bool = False) -> None:
        self.view = view
        self.state = state
        self.installed = False
        self._was_primary = was_primary
        self._other_state = 0  # the attempt in which the primary asked for a state that is not ours
        self._gathering: IncomingTransfer | None = None
        self._echo = 0
        self._greeted = False
        self._confirm_to: Address | None = None
        self._received_to: Address | None = None

    def describe(self) -> str:
        """Return the state of the role in words."""
        return "following" if self.installed else "being filled"

    @property
    def stuck(self) -> bool:
        """A backup only waits."""
        return False

    # -- messages -----------------------------------------------------------------------------

    def on_piece(self, source: Address, piece: Piece, out: Outbox) -> str | None:
        """Gather one piece; answer at flush. Returns why it changed nothing."""
        self._echo = max(self._echo, piece.confirm)
        if self.installed:  # what is installed is never discarded in this view (R34)
            self._confirm_to = source
            return "the state is installed already"
        if piece.section == Section.OWN:
            return self._keep_own(source, piece, out)
        gathering = self._gathering
        if gathering is None or piece.attempt > gathering.attempt:
            gathering = self._gathering = IncomingTransfer(piece, self.state.blank())
        if piece.attempt < gathering.attempt:
            return "a piece of an earlier attempt"
        complete = gathering.add(piece)
        self._received_to = source
        if complete is not None:
            self._install(complete, out)
        return None

    def _keep_own(self, source: Address, piece: Piece, out: Outbox) -> str | None:
        """Go on with the state from the view before, if that is the primary's too (R45)."""
        if self._gathering is not None:
            return "a piece of an earlier attempt"
        self._received_to = source
        held = (self.state.op, self.state.digest)
        if self._was_primary and held == (piece.base, piece.digest):
            self._install(self.state, out)
            return None
        self._other_state = piece.attempt
        return "holds another state"

    def _install(self, complete: ReplicatedState, out: Outbox) -> None:
        self.state = complete
        self.installed = True
        self._gathering = None
        self._confirm_to, self._received_to = self._received_to, None
        out.emit(StateInstalled(self.view.number, complete.op))

    def on_forward(self, source: Address, forward: Forward, out: Outbox) -> str | None:
        """Execute what is next in order; confirm at flush. Returns why it changed nothing."""
        self._echo = max(self._echo, forward.confirm)
        if not self.installed:
            return "the state is not installed yet"
        self._confirm_to = source
        skip = self.state.op + 1 - forward.first
        if (
            skip < 0 and forward.operations
        ):  # something before it was lost; the primary sends it again (R24)
            return "a forward ahead of its turn"
        operations = forward.operations[max(skip, 0) :]
        if operations:
            self.state.execute(forward.stamp, operations)
        return None

    def flush(self, out: Outbox) -> None:
        """Answer the primary: one confirmation for all that was executed. The first word of a new
        backup is that it has nothing yet.
        """
        primary = self.view.primary
        if primary is None:
            return
        if not self._greeted:  # what the primary sent before we knew of the view was refused
            self._greeted = True
            out.send(primary.name, PieceReceived(self.view.number, primary.incarnation, 0, 0))
        if self._confirm_to is not None:
            out.send(
                self._confirm_to,
                Confirm(
                    self.view.number,
                    primary.incarnation,
                    self.state.op,
                    self._echo,
                    self.state.digest,
                ),
            )
        elif self._received_to is not None:
            gathering = self._gathering
            attempt, received = (
                (self._other_state, 0)
                if gathering is None
                else (gathering.attempt, gathering.received)
            )
            out.send(
                self._received_to,
                PieceReceived(self.view.number, primary.incarnation, attempt, received),
            )
        self._confirm_to = self._received_to = None

    # -- copies -------------------------------------------------------------------------------

    def clone(self, state: ReplicatedState) -> Backup:
        """Return an independent copy over ``state``."""
        copy = Backup(self.view, state, self._was_primary)
        copy._other_state = self._other_state
        copy.installed = self.installed
        copy._gathering = None if self._gathering is None else self._gathering.clone()
        copy._echo = self._echo
        copy._greeted = self._greeted
        copy._confirm_to, copy._received_to = self._confirm_to, self._received_to
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        gathering = None if self._gathering is None else self._gathering.freeze()
        answers = (self._confirm_to, self._received_to)
        own = (self._was_primary, self._other_state)
        return ("backup", self.installed, gathering, self._echo, self._greeted, own, answers)
