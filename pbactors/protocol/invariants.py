"""What must hold in every world, as named predicates over a set of cores.

A *world* is all that an outside observer sees at one moment: the durable view record, the history
of views, the running replicas, and how much was answered. Simulator, explorer and tests check the
same predicates after every step. Each returns which promise is broken and how, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pbactors.protocol.backup import Backup
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Member, ViewRecord, invalid_successor
from pbactors.protocol.view_service import ViewService

__all__ = ["INVARIANTS", "Answered", "World", "broken", "promotes_the_gone", "recoverable"]


class Answered(NamedTuple):
    """How far answers have gone: everything up to ``op`` may have been told to somebody.

    Attributes:
        op: the highest op number that any primary had executed when it answered.
        stamp: the stamp of that operation.
    """

    op: int
    stamp: bytes


class World(Protocol):
    """What the predicates look at."""

    @property
    def record(self) -> ViewRecord:
        """What the view server's store holds."""

    @property
    def records(self) -> Sequence[ViewRecord]:
        """Everything that was ever stored, in order."""

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """The running replicas by name; two lives of one name have keys of their own."""

    @property
    def answered(self) -> Answered:
        """How far answers have gone."""

    @property
    def view_server_runs(self) -> bool:
        """Whether the view server is up."""


def _primaries(world: World) -> Iterator[tuple[Replica, Primary]]:
    for replica in world.replicas.values():
        if isinstance(replica.role, Primary):
            yield replica, replica.role


def _at(world: World, member: Member | None) -> Replica | None:
    """Return the running replica that is this member, in this life: of one name there may be
    several.
    """
    if member is not None:
        for replica in world.replicas.values():
            if replica.member == member:
                return replica
    return None


def cores_are_valid(world: World) -> str | None:
    """Every core's own invariants hold."""
    for name, replica in world.replicas.items():
        reason = replica.invalid()
        if reason is not None:
            return f"{name}: {reason}"
    return None


def one_history(world: World) -> str | None:
    """There is one history: numbers +1, every primary from the pair before (R1, R3, R4)."""
    for before, after in zip(world.records, world.records[1:], strict=False):
        if after.view == before.view:
            if before.acked and not after.acked:
                return f"an ack of view {before.view.number} was taken back"
        else:
            reason = invalid_successor(before.view, before.acked, after.view)
            if reason is not None:
                return f"{after.view} follows {before.view}: {reason}"
    return None


def _can_commit(world: World, role: Primary) -> bool:
    """Tell whether commands of this primary can still be executed: alone, or confirmed."""
    if role.view.backup is None or role.alone:
        return True
    backup = _at(world, role.view.backup)
    return (
        backup is not None
        and isinstance(backup.role, Backup)
        and backup.view.number == role.view.number
        and backup.role.installed
    )


def one_commits(world: World) -> str | None:
    """At most one replica can commit in a view, and none in a view that a later view's primary has
    joined.
    """
    joined = max((role.view.number for _, role in _primaries(world) if role.operating), default=0)
    seen: dict[int, str] = {}
    for replica, role in _primaries(world):
        if not _can_commit(world, role):
            continue
        number = role.view.number
        if number in seen:
            return f"{seen[number]} and {replica.member.name} can both commit in view {number}"
        seen[number] = replica.member.name
        if (role.operating or role.alone) and number < joined:
            return f"{replica.member.name} can commit in view {number}, but {joined} is joined"
    return None


def backup_is_ahead(world: World) -> str | None:
    """In a view past its ack the primary's executed commands are a prefix of the backup's."""
    for replica, role in _primaries(world):
        backup = _at(world, role.view.backup)
        if not role.operating or backup is None or backup.view.number != role.view.number:
            continue
        if not isinstance(backup.role, Backup) or not backup.role.installed:
            return f"view {role.view.number} is joined, but its backup holds no state"
        if backup.state.op < replica.state.op:
            return (
                f"view {role.view.number}: the primary executed {replica.state.op}, "
                f"its backup {backup.state.op}"
            )
    return None


def copies_are_equal(world: World) -> str | None:
    """Primary and backup that executed the same commands have equal state."""
    for replica, role in _primaries(world):
        backup = _at(world, role.view.backup)
        if (
            backup is not None
            and backup.view.number == role.view.number
            and isinstance(backup.role, Backup)
            and backup.role.installed
            and backup.state.op == replica.state.op
            and backup.state.content() != replica.state.content()
        ):
            return f"view {role.view.number}: equal op {replica.state.op}, different states"
    return None


def nothing_answered_is_lost(world: World) -> str | None:
    """Every acknowledged command is in the state of every later primary, and time never goes back
    (R51).
    """
    newest = world.record.view.number
    for replica, role in _primaries(world):
        if role.view.number == newest:
            if replica.state.op < world.answered.op:
                return (
                    f"{replica.member.name} is primary of view {newest} with {replica.state.op} "
                    f"executed, but {world.answered.op} was answered"
                )
            if replica.state.stamp < world.answered.stamp:
                return f"{replica.member.name} is primary with an older stamp than was answered"
    return None


def promotes_the_gone(before: ViewRecord, after: ViewRecord, service: ViewService) -> str | None:
    """Whoever is promoted is not known to be dead or restarted (R8, R10), and was heard since the
    view server began or slept (R46), and since a suspicion alone condemned the primary (R49).

    The state would be lost although the former primary may come back. It is asked when a view is
    stored; later the promoted one may die like anybody.
    """
    promoted = after.view.primary
    if promoted is None or before.view.number == 0 or promoted == before.view.primary:
        return None
    if service.liveness.gone(promoted):
        return f"R8: {promoted.name} is promoted, and known to be dead or restarted"
    if not service.liveness.heard(promoted):
        return f"R46: {promoted.name} is promoted, and was not heard since the start"
    former = before.view.primary
    if former is None or not service.liveness.gone(former):
        return None  # it has handed over
    if not service.liveness.outlives(promoted, former):
        return f"R49: {promoted.name} is promoted on a suspicion, and was not heard since"
    return None


INVARIANTS: Mapping[str, Callable[[World], str | None]] = {
    predicate.__name__: predicate
    for predicate in (
        cores_are_valid,
        one_history,
        one_commits,
        backup_is_ahead,
        copies_are_equal,
        nothing_answered_is_lost,
    )
}
"""All predicates by name."""


def broken(world: World) -> str | None:
    """Return the first invariant that does not hold, with the reason, or None."""
    for name, predicate in INVARIANTS.items():
        reason = predicate(world)
        if reason is not None:
            return f"{name}: {reason}"
    return None


def recoverable(world: World) -> bool:
    """Tell whether the system must serve again once the network is whole and everybody runs on.

    It is false where the state is gone, or the view server is down. There the system must stay
    stuck, and say so. It is not asked how long that takes.
    """
    if not world.view_server_runs:
        return False
    view, acked = world.record.view, world.record.acked
    if view.primary is None:
        return bool(world.replicas)
    if _at(world, view.primary) is not None:
        return True
    if not acked:
        return False  # nobody else may be promoted (R4)
    return _at(world, view.backup) is not None
