"""The white-box judge: one history of operations, and every copy and every answer held against it.

The *log* is what was committed: what a primary executed, and what a backup held when it became
primary. Whoever executes the same place of the order later must execute the same thing, with the
same stamp and outcome. What only a backup executed is kept with its state until it proves to be
part of the history or is thrown away with the state.
"""

from __future__ import annotations

from pbactors.protocol.backup import Backup
from pbactors.protocol.invariants import INVARIANTS, World
from pbactors.protocol.messages import Ping, Reply, Report
from pbactors.protocol.operations import Kind
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Incarnation, Member
from pbactors.sim.process import Process
from pbactors.sim.violation import Violation
from pbactors.sim.watched import Executed, WatchedState

__all__ = ["Judge"]

_OVER_REPLICAS = (
    "one_commits",
    "backup_is_ahead",
    "nothing_answered_is_lost",
)
"""Invariants that depend on replicas' roles, views, states and op numbers, and on the record."""

_COMPARED_EVERY = 4
"""Whole states are compared whenever a role or view changes, and else every so many commits after
which primary and backup have executed the same; what came of each operation is compared always.
"""


class Judge:
    """Judges every step. Raises ``Violation`` at the first broken promise.

    Args:
        world: what invariants look at.
        min_copies: how many copies of the state an answer needs.

    Attributes:
        log: the committed operations, in order.
        places: the op number of every command that had an effect, by session and request number.
    """

    def __init__(self, world: World, min_copies: int) -> None:
        self._world = world
        self._min_copies = min_copies
        self._corrupted: dict[int, int] = {}  # by view: from which op number on results differ
        self.log: list[Executed] = []
        self.places: dict[tuple[int, int], int] = {}
        self._last_numbers: dict[int, int] = {}
        self._tokens: dict[int, bytes] = {}
        self._backups: dict[int, WatchedState] = {}  # by view: the state its backup installed
        self._acting: Replica | None = None
        self._pinged: dict[Member | None, int] = {}  # by member: the highest number it has pinged
        self._leaving: set[Member] = set()  # who hands over
        self._present: dict[Member, set[Incarnation]] = {}  # by who did: who ran when it began
        self._even = 0  # commits after which primary and backup have executed the same
        self._compares = False

    # -- executing ----------------------------------------------------------------------------

    def begins(self, core: object) -> None:
        """A core is about to be handed something."""
        self._acting = core if isinstance(core, Replica) else None

    def executed(self, state: WatchedState, op: int, what: Executed) -> None:
        """A state has executed an operation, the one of this op number."""
        role = None if self._acting is None else self._acting.role
        if type(role) is Primary and role.state is state:
            self._adopt(state)
            self._hold_against_backup(role, op, what)
            self._commit(op, what)
        elif op > len(self.log) or self.log[op - 1] != what:
            state.tail[op] = what

    def _commit(self, op: int, what: Executed) -> None:
        """Add an operation to the log, or hold it against what stands there."""
        if op <= len(self.log):
            if self.log[op - 1] != what:
                raise Violation(
                    f"R51: operation {op} was executed as {self.log[op - 1]}, and now as {what}"
                )
        elif op > len(self.log) + 1:
            raise Violation(f"operation {op} is committed, but {len(self.log)} is the last so far")
        else:
            self._append(op, what)

    def _append(self, op: int, what: Executed) -> None:
        if self.log and what.stamp < self.log[-1].stamp:
            raise Violation(f"R51: the stamp of operation {op} is older than the one before")
        self.log.append(what)
        session, number, _, kind, body = what.operation
        if what.result is None:
            return
        if kind == Kind.OPEN:
            self._tokens[what.result[0]] = body
            return
        if (session, number) in self.places:
            raise Violation(
                f"R38: request {number} of session {session} is operation "
                f"{self.places[session, number]}, and again {op}"
            )
        if number != self._last_numbers.get(session, 0) + 1:
            raise Violation(
                f"R38: request {number} of session {session} follows "
                f"{self._last_numbers.get(session, 0)}"
            )
        self._last_numbers[session] = number
        self.places[session, number] = op

    def _hold_against_backup(self, role: Primary, op: int, what: Executed) -> None:
        """R16: what the primary executes, its backup has executed before, and alike; except while
        it has never pinged the number of its view (R33).
        """
        if role.view.backup is None:
            return
        if self._pinged.get(role.view.primary, 0) < role.view.number and self._min_copies == 1:
            return
        state = self._backups.get(role.view.number)
        if state is None or state.op < op:
            held = "nothing" if state is None else f"operations up to {state.op}"
            raise Violation(
                f"R16: the primary of view {role.view.number} executes operation {op}, "
                f"but its backup holds {held}"
            )
        at_backup = state.tail.pop(op, what)
        if at_backup != what:
            raise Violation(
                f"R24: operation {op} is {what} at the primary of view {role.view.number}, "
                f"and {at_backup} at its backup"
            )

    # -- roles and states ---------------------------------------------------------------------

    def after_handling(self, process: Process) -> bool:
        """A replica was handed something; nothing of its outbox is done yet.

        Returns:
            Whether anything has changed on which invariants depend.
        """
        core = process.core
        if type(core) is not Replica:
            return False
        role = core.role
        kind, state = type(role), role.state
        if type(role) is Primary:
            self._hands_over(core.member, role.leaves_role)
        flag = isinstance(role, Primary) and role.operating
        flag = flag or (isinstance(role, Backup) and role.installed)
        seen = (role, flag, state, state.op, core.view.number)
        before, process.seen = process.seen, seen
        if seen == before:
            return False
        fresh = not before or role is not before[0] or flag is not before[1]
        if fresh or core.view.number != before[4]:
            self._compares = True
        elif kind is Primary:
            held = self._backups.get(core.view.number)
            if held is not None and held.op == state.op:
                self._even += 1
                self._compares |= self._even % _COMPARED_EVERY == 0
        if fresh:
            if kind is Backup and flag:
                self._installed(core)
            elif kind is Primary and not (before and role is before[0]):
                self._promoted(core)
        return True

    def _hands_over(self, member: Member, leaves_role: bool) -> None:
        """Note who runs when a primary begins to hand over."""
        if not leaves_role:
            self._leaving.discard(member)  # what it has sent in this step is still to be judged
        elif member not in self._leaving:
            self._leaving.add(member)
            self._present[member] = self._running()

    def _running(self) -> set[Incarnation]:
        return {replica.member.incarnation for replica in self._world.replicas.values()}

    def _installed(self, backup: Replica) -> None:
        """R20, R21, R53: the installed state is the one that the primary had at that op number."""
        state = backup.state
        if not isinstance(state, WatchedState):
            return
        self._backups[backup.view.number] = state
        for primary in self._world.replicas.values():
            if (
                primary.member == backup.view.primary
                and primary.view == backup.view
                and primary.state.op == state.op
                and primary.state.freeze() != state.freeze()
            ):
                raise Violation(
                    f"R21: the state installed in {backup.view} is not the primary's at "
                    f"operation {state.op}"
                )

    def _promoted(self, primary: Replica) -> None:
        """What it held as backup is part of the history from here on."""
        state = primary.state
        if not isinstance(state, WatchedState):
            return
        self._adopt(state)
        if state.op < len(self.log):
            raise Violation(
                f"{primary.member.name} is primary of view {primary.view.number} with {state.op} "
                f"executed, but {len(self.log)} was committed"
            )

    def _adopt(self, state: WatchedState) -> None:
        """Add what a primary executed while it was backup."""
        if state.tail:
            for op in sorted(state.tail):
                self._commit(op, state.tail[op])
            state.tail.clear()

    # -- answers and records ------------------------------------------------------------------

    def replied(self, reply: Reply) -> None:
        """A primary answers: only what is in the log, as it stands there, and on as many copies as
        it says.
        """
        if not reply.copies or reply.copies < self._min_copies:
            raise Violation(f"R33: an answer of view {reply.view} stands on {reply.copies} copies")
        backup = self._backups.get(reply.view)
        held = 0 if backup is None else backup.op
        for session, number, outcome in reply.results:
            if number == 0:
                if self._tokens.get(session) != outcome:
                    raise Violation(
                        f"R41: session {session} is given to whom it was not opened for"
                    )
                continue
            op = self.places.get((session, number))
            if reply.copies == 2 and op and op > held:
                raise Violation(
                    f"R16: operation {op} is said to stand on two copies in view {reply.view}, "
                    f"but its backup holds {held}"
                )
            if reply.copies == 2 and op and op > self._corrupted.get(reply.view, op):
                raise Violation(
                    f"R50: operation {op} is answered in view {reply.view}, whose backup has come "
                    f"to other results after operation {self._corrupted[reply.view]}"
                )
            if op is None:
                raise Violation(
                    f"R16: request {number} of session {session} is answered, but not committed"
                )
            result = self.log[op - 1].result
            if result is None or result[2] != outcome:
                raise Violation(
                    f"R29: request {number} of session {session} is answered with {outcome!r}; "
                    f"operation {op} came to {result}"
                )

    def pings(self, member: Member, ping: Ping) -> None:
        """A replica says in which view it operates, whoever hears it. A primary says that it has
        handed over only if its backup ran when that began, since it has heard it (R44).
        """
        self._pinged[member] = max(ping.number, self._pinged.get(member, 0))
        if ping.report == Report.HANDED_OVER:
            present = self._present.get(member, set()) | self._running()
            if ping.about not in present:
                raise Violation(f"R44: {member.name} hands over to a backup that was dead before")

    def corrupted(self, view: int, op: int) -> None:
        """The backup of a view has other results from here on, as far as its digest says (R50)."""
        self._corrupted.setdefault(view, op)

    def check(self) -> None:
        """Check the invariants over all replicas."""
        for name in _OVER_REPLICAS:
            self._hold(name)
        if self._compares:
            self.compare()

    def compare(self) -> None:
        """Compare the whole states of primary and backup."""
        self._compares = False
        self._hold("copies_are_equal")

    def _hold(self, name: str) -> None:
        reason = INVARIANTS[name](self._world)
        if reason is not None:
            raise Violation(f"{name}: {reason}")
