"""The way to a state, told as a trace: what a person reads, and what the picture is drawn from."""

from __future__ import annotations

from collections.abc import Iterable

from pbactors.explore.node import Fault, Input, Node, Packet, Step
from pbactors.explore.search import Found
from pbactors.explore.space import Action, Space, State
from pbactors.protocol.core import ConnectionLost, Timer
from pbactors.trace import Moment, Sort, Trace, describe, status_fields
from pbactors.workload import outcome_of

__all__ = ["tell"]

_SORTS = {
    Fault.CRASH: Sort.STOPPED,
    Fault.TORN: Sort.STOPPED,
    Fault.RESTART: Sort.STARTED,
    Fault.NAP: Sort.SIGNAL,
}


def tell(space: Space, found: Found) -> Trace:
    """Return the trace of the way that a search found, from its start to its end.

    Times are the numbers of steps. Messages that were sent before the start, and those that never
    arrive, are not told of otherwise.
    """
    trace = Trace()
    if found.start is None:
        return trace
    teller = _Teller(space, found.start, trace)
    for place, action in enumerate(found.path, start=1):
        teller.act(place, action)
    if found.violation is not None:
        trace.add(Moment(len(found.path), "", Sort.BROKEN, found.violation))
    return trace


class _Teller:
    """Walks a path once more, and writes down what happens."""

    def __init__(self, space: Space, start: State, trace: Trace) -> None:
        self._stage = space.stage
        self._trace = trace
        self._nodes = {name: space.node(start, name) for name in space.names}
        self._numbers: dict[tuple[str, str, bytes], int] = {}
        for packet in space.sent(start):
            self._number(packet)
        for node in self._nodes.values():
            self._status(0, None, node)

    def act(self, time: int, action: Action) -> None:
        """Tell of one action, and what follows from it."""
        name, given, torn = action
        node = self._nodes[name]
        self._trace.add(self._arrival(time, name, given))
        step = self._stage.torn(node, given) if torn else self._stage.step(node, given)
        if step is None:
            return
        if torn:
            self._trace.add(Moment(time, name, Sort.STOPPED, Fault.TORN.value))
        self._follow(time, name, step)
        self._status(time, node, step.node)
        self._nodes[name] = step.node

    def _arrival(self, time: int, name: str, given: Input) -> Moment:
        if isinstance(given, Packet):
            text, fields = describe(given.message)
            number = self._number(given)
            return Moment(time, name, Sort.RECEIVED, text, number, given.source, fields)
        if isinstance(given, Timer):
            return Moment(time, name, Sort.TIMER, f"the {given.value} timer fires")
        if isinstance(given, ConnectionLost):
            return Moment(time, name, Sort.SIGNAL, str(given))
        return Moment(time, name, _SORTS[given], given.value)

    def _follow(self, time: int, name: str, step: Step) -> None:
        for event in step.events:
            self._trace.add(Moment(time, name, Sort.EVENT, str(event)))
        for packet in step.sent:
            text, fields = describe(packet.message)
            number = self._number(packet)
            self._trace.add(Moment(time, name, Sort.SENT, text, number, packet.target, fields))
        for text in self._endings(name, step.completed):
            self._trace.add(Moment(time, name, Sort.ANSWERED, text))

    def _endings(self, name: str, completed: Iterable[tuple[int, bytes | None]]) -> Iterable[str]:
        for call, outcome in completed:
            what = self._stage.loads[name][call - 1]
            yield f"{what} is {'unknown' if outcome is None else repr(outcome_of(outcome))}"

    def _number(self, packet: Packet) -> int:
        key = (packet.source, packet.target, packet.body)
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def _status(self, time: int, before: Node | None, node: Node) -> None:
        """Tell what a node is, where that has changed."""
        if node.core is None:
            return
        status = node.core.status()
        if before is None or before.core is None or before.core.status() != status:
            text = f"{status.role.value}: {status.state}"
            self._trace.add(
                Moment(time, node.name, Sort.STATUS, text, fields=status_fields(status))
            )
