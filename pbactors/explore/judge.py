"""What must hold in every state: the invariants of the rules, and that answers are linearizable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pbactors.explore.space import HISTORY, NODES, History, Space, State
from pbactors.linearizability import Call
from pbactors.protocol.invariants import Answered, broken
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import ViewRecord
from pbactors.workload import Workload, judge_order, outcome_of

__all__ = ["Judge", "WorldState"]


class WorldState(NamedTuple):
    """A state as the invariants look at it; see ``protocol.invariants.World``."""

    record: ViewRecord
    records: Sequence[ViewRecord]
    replicas: Mapping[str, Replica]
    answered: Answered
    view_server_runs: bool


class Judge:
    """Judges states, and remembers its verdicts on the parts that they have in common.

    Args:
        space: where states are.
        workload: whose model judges what clients saw.
    """

    def __init__(self, space: Space, workload: Workload) -> None:
        self._space = space
        self._workload = workload
        self._worlds: dict[tuple[object, ...], str | None] = {}
        self._histories: dict[int, str | None] = {}
        self._records: dict[int, ViewRecord] = {}
        self._replicas_end = NODES + 1 + len(space.stage.ensemble.replicas)

    def refuse(self, state: State) -> str | None:
        """Return what does not hold in ``state``, or None."""
        history = state[HISTORY]
        if history not in self._histories:
            self._histories[history] = self._refuse_history(self._space.histories[history])
        reason = self._histories[history]
        if reason is not None:
            return reason
        key = (
            self._record(state[NODES]),
            self._space.histories[history].answered,
            state[NODES + 1 : self._replicas_end],
        )
        if key not in self._worlds:
            self._worlds[key] = broken(self.world(state))
        return self._worlds[key]

    def _record(self, view_server: int) -> ViewRecord:
        known = self._records.get(view_server)
        if known is None:
            record = self._space.nodes[view_server].record
            known = record or self._space.stage.ensemble.first_record()
            self._records[view_server] = known
        return known

    def world(self, state: State) -> WorldState:
        """Return a state as the invariants look at it."""
        nodes = [self._space.nodes[number] for number in state[NODES : self._replicas_end]]
        record = self._record(state[NODES])
        replicas = {node.name: node.core for node in nodes if isinstance(node.core, Replica)}
        answered = self._space.history(state).answered
        return WorldState(record, [record], replicas, answered, nodes[0].core is not None)

    # -- what clients saw ---------------------------------------------------------------------

    def calls(self, history: History) -> list[Call]:
        """Return what clients called so far. A call begins when the one before it ends."""
        stage = self._space.stage
        began = {(client, place): 0.0 for client in stage.loads for place in range(stage.window)}
        ended: dict[tuple[str, int], tuple[float, object]] = {}
        done = dict.fromkeys(stage.loads, 0)
        for time, (client, call, outcome) in enumerate(history.completions, start=1):
            if outcome is not None:
                ended[client, call - 1] = (float(time), outcome_of(outcome))
            began[client, stage.window + done[client]] = time + 0.5
            done[client] += 1
        return [
            Call(client, load[place], *_result(ended.get((client, place)), time))
            for (client, place), time in began.items()
            if place < len(load := stage.loads[client])
        ]

    def _refuse_history(self, history: History) -> str | None:
        if not history.completions:
            return None
        verdict = judge_order(self._workload, self.calls(history))
        return f"not linearizable: {verdict.text}" if verdict.linearizable is False else None


def _result(ended: tuple[float, object] | None, began: float) -> tuple[object, float, float | None]:
    """Return result, beginning and end of a call."""
    return (None, began, None) if ended is None else (ended[1], began, ended[0])
