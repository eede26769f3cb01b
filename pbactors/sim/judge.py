"""The white-box judge: one history of operations, and every copy and every answer held against it.

The *log* is what was committed: what a primary executed, and what a backup held when it became
primary. Whoever executes the same place of the order later must execute the same thing, with the
same stamp and outcome. What only a backup executed is kept with its state until it proves to be
part of the history or is thrown away with the state.
"""

from __future__ import annotations

from collections.abc import Mapping

from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Core
from pbactors.protocol.invariants import INVARIANTS, World, promotes_the_gone
from pbactors.protocol.messages import Reply
from pbactors.protocol.operations import Kind
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Incarnation, ViewRecord
from pbactors.protocol.view_service import ViewService
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
        dead_pings: after so many silent ping checks a server is dead.

    Attributes:
        log: the committed operations, in order.
        places: the op number of every command that had an effect, by session and request number.
    """

    def __init__(self, world: World, dead_pings: int) -> None:
        self._world = world
        self._dead_pings = dead_pings
        self._silent: dict[str, int] = {}  # by node: ping checks since its last ping
        self._newest: dict[str, tuple[Incarnation, int]] = {}  # by node: its newest ping
        self._without_news: dict[str, int] = {}  # by node: ping checks since that
        self._unproven: dict[str, set[str]] = {}  # by a node in doubt: who has not pinged since
        self.log: list[Executed] = []
        self.places: dict[tuple[int, int], int] = {}
        self._last_numbers: dict[int, int] = {}
        self._tokens: dict[int, bytes] = {}
        self._backups: dict[int, WatchedState] = {}  # by view: the state its backup installed
        self._acting: Replica | None = None
        self._even = 0  # commits after which primary and backup have executed the same
        self._compares = False

    # -- executing ----------------------------------------------------------------------------

    def begins(self, core: object) -> None:
        """A core is about to be handed something."""
        self._acting = core if isinstance(core, Replica) else None

    def executed(self, state: WatchedState, what: Executed) -> None:
        """A state has executed an operation."""
        role = None if self._acting is None else self._acting.role
        if type(role) is Primary and role.state is state:
            self._adopt(state)
            self._hold_against_backup(role, state.op, what)
            self._commit(state.op, what)
        elif state.op > len(self.log) or self.log[state.op - 1] != what:
            state.tail[state.op] = what

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
        """R16: what the primary executes, its backup has executed before, and alike."""
        if role.view.backup is None:
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
        """A primary answers: only what is in the log, and as it stands there."""
        for session, number, outcome in reply.results:
            if number == 0:
                if self._tokens.get(session) != outcome:
                    raise Violation(
                        f"R41: session {session} is given to whom it was not opened for"
                    )
                continue
            op = self.places.get((session, number))
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

    def stored(self, before: ViewRecord, core: Core | None) -> None:
        """The view server has stored a record: hold it against the one ``before``.

        Args:
            before: the record that stood until now.
            core: the view server's, if it knows no more than when it decided.
        """
        reason = INVARIANTS["one_history"](_LastTwo(self._world, before))
        if reason is None and isinstance(core, ViewService):
            reason = promotes_the_gone(before, self._world.record, core)
            reason = reason or self._refuse_backup(before)
            reason = reason or self._refuse_promotion(before) or self._refuse_haste(before)
        if reason is not None:
            raise Violation(f"one_history: {reason}")

    def _refuse_backup(self, before: ViewRecord) -> str | None:
        """R8: only servers that are alive now may be chosen, by a count of our own."""
        chosen = self._world.record.view.backup
        if chosen is None or chosen in before.view.members():
            return None
        silent = self._silent.get(chosen.name, 0)
        if silent <= self._dead_pings:
            return None
        return f"R8: {chosen.name} is chosen as backup, and was silent for {silent} ping checks"

    def _refuse_promotion(self, before: ViewRecord) -> str | None:
        """R49: where a suspicion condemned the primary, its backup has pinged since."""
        after, former = self._world.record.view, before.view.primary
        if former is None or after.primary is None or after.primary == former:
            return None
        hasty = self._without_news.get(former.name, 0) < self._dead_pings
        if hasty and after.primary.name in self._unproven.get(former.name, ()):
            return f"R49: {after.primary.name} is promoted on a suspicion, and was not heard since"
        return None

    def _refuse_haste(self, before: ViewRecord) -> str | None:
        """R9, R49: who is given up was silent for long, or is in doubt, or lives no more."""
        for member in before.view.members():
            if member in self._world.record.view.members():
                continue
            silent = self._without_news.get(member.name, self._dead_pings)
            if (
                silent < self._dead_pings
                and member.name not in self._unproven
                and self._newest.get(member.name, (b"", 0))[0] == member.incarnation
            ):
                return f"R49: {member.name} is given up, and was silent for {silent} ping checks"
        return None

    def pinged(self, name: str, incarnation: Incarnation, sequence: int) -> None:
        """The view server was handed a ping."""
        self._silent[name] = 0
        if (incarnation, sequence) > self._newest.get(name, (b"", 0)):
            self._newest[name] = (incarnation, sequence)
            self._without_news[name] = 0
            self._unproven.pop(name, None)
            for unproven in self._unproven.values():
                unproven.discard(name)

    def view_server_started(self) -> None:
        """To a view server that starts every ping is news, and nobody is in doubt."""
        self._newest.clear()
        self._unproven.clear()

    def doubted(self, name: str) -> None:
        """The view server's connection to a node is lost, it seems."""
        self._unproven.setdefault(name, set(self._silent))

    def checked(self) -> None:
        """The view server was told to check pings."""
        for name in self._silent:
            self._silent[name] += 1
        for name in self._without_news:
            self._without_news[name] += 1

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


class _LastTwo:
    """A world with only the last step of its history of views: what was before is judged."""

    def __init__(self, world: World, before: ViewRecord) -> None:
        self.record = world.record
        self.records = (before, world.record)
        self.replicas: Mapping[str, Replica] = world.replicas
        self.answered = world.answered
        self.view_server_runs = world.view_server_runs
