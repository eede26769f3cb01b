"""The clients: who calls what, when, and what came of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from pbactors.machines.calls import encode_call
from pbactors.machines.state_machine import interface
from pbactors.protocol.client import Client
from pbactors.protocol.messages import Request
from pbactors.protocol.operations import Kind
from pbactors.sim.client_side import ClientSide
from pbactors.sim.process import Process
from pbactors.sim.violation import Violation
from pbactors.sim.world import World
from pbactors.trace import Sort
from pbactors.workload import Invocation, Workload, outcome_of

__all__ = ["Callers", "Made"]

_WINDOWS = (1, 2, 2, 4, 8)
_READER = "reader"
_DRAWS_MAX = 20
"""How often a call is drawn again for a client that only reads."""


@dataclass(slots=True, eq=False)
class Made:
    """One call that was made.

    Attributes:
        client: the name of the caller.
        invocation: what was called.
        body: it, encoded.
        is_query: whether it changes nothing.
        began: when, on a counter that all calls share.
        began_ms: when, in virtual time.
        ended: when it was answered, on the same counter; 0 if it was not.
        outcome: the answer; None without one.
        request: session and request number of a command that was sent.
        place: the op number of a command that was answered.
        sees: the op number up to which everything had been answered when it began.
        until: how many operations were committed when it was answered.
    """

    client: str
    invocation: Invocation
    body: bytes
    is_query: bool
    began: int
    began_ms: float
    sees: int
    ended: int = 0
    outcome: bytes | None = None
    request: tuple[int, int] = (0, 0)
    place: int = 0
    until: int = 0


@dataclass(slots=True, eq=False)
class _Caller:
    """One client, over all its lives."""

    name: str
    number: int
    random: Random
    window: int
    think_ms: float
    bursts: bool
    reads: bool
    process: Process | None = None
    leaving: bool = False
    turn: int = 0
    open: dict[int, Made] = field(default_factory=dict)
    unsent: deque[int] = field(default_factory=deque)  # commands not seen in a request yet
    session: int = 0
    sent: int = 0  # the highest request number of that session


class Callers(ClientSide):
    """All clients.

    Args:
        world: where they live.
        workload: what they call.

    Attributes:
        made: every call, in the order in which they began.
        given_up: how many calls were given up before they were sent; they are not in ``made``.
        left: how many calls are still to be made.
        answered_up_to: the highest op number of a command that was answered.
    """

    def __init__(self, world: World, workload: Workload) -> None:
        self._world = world
        self._workload = workload
        self._kinds = interface(workload.machine)
        self.made: list[Made] = []
        self.given_up = 0
        self.left = world.plan.operations
        self.answered_up_to = 0
        self._moment = 0
        self._calls = 0
        self._final: deque[Invocation] = deque()
        self._reader: _Caller | None = None
        self._callers = [self._draw(number) for number in range(world.plan.clients)]
        self._by_name = {caller.name: caller for caller in self._callers}
        world.clients = self

    @property
    def names(self) -> list[str]:
        """The names of the clients."""
        return [caller.name for caller in self._callers]

    def _draw(self, number: int) -> _Caller:
        plan = self._world.plan
        random = Random(f"{plan.seed}/client/{number}")
        window = random.choice(_WINDOWS)
        share = plan.operations / plan.clients / window
        think_ms = 0.4 * plan.horizon_ms / share
        bursts = random.random() < 0.5
        reads = number > 0 and random.random() < 0.3
        return _Caller(f"client{number + 1}", number, random, window, think_ms, bursts, reads)

    # -- lives --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all clients."""
        for caller in self._callers:
            self._begin(caller)

    def _begin(self, caller: _Caller) -> None:
        caller.process = self._world.start_client(caller.name, caller.random)
        caller.leaving = False
        for _ in range(caller.window):
            self._think(caller)

    def crash(self, name: str, away_ms: float) -> None:
        """End a client; its session is abandoned. Another one begins after a while."""
        caller = self._by_name[name]
        if caller.process is not None:
            self._end(caller)
            self._world.agenda.after(away_ms, self._begin, caller)

    def leave(self, name: str) -> None:
        """Let a client close its session; when it is closed another one begins."""
        caller = self._by_name[name]
        process = caller.process
        if process is None or caller.leaving:
            return
        caller.leaving = True
        self._world.hand_over(process)  # nothing is called after the end
        out = self._world.act(process)
        for call in self._core(process).on_close(out):
            self._forget(caller, call)
        self._world.finish(process, out)

    def closed(self, process: Process) -> None:
        """A session has ended, as its user asked: the next client of that name begins."""
        caller = self._by_name.get(process.name)
        if caller is not None and caller.process is process:
            self._world.agenda.after(0, self._replace, caller, process)

    def _replace(self, caller: _Caller, process: Process) -> None:
        if caller.process is process:
            self._end(caller)
            self._begin(caller)

    def _end(self, caller: _Caller) -> None:
        if caller.process is not None:
            self._world.crash(caller.process)
        caller.process = None
        caller.open.clear()
        caller.unsent.clear()

    def _core(self, process: Process) -> Client:
        core = process.core
        if not isinstance(core, Client):
            raise TypeError("a client's process drives a client's core")
        return core

    # -- calls --------------------------------------------------------------------------------

    def _think(self, caller: _Caller) -> None:
        random = caller.random
        share, pause_ms = random.random(), random.expovariate(1 / caller.think_ms)
        if caller.bursts:
            pause_ms = 0.0 if share < 0.8 else 5 * pause_ms
        self._world.agenda.after(pause_ms, self._call, caller, caller.process)

    def _call(self, caller: _Caller, process: Process) -> None:
        """Make the next call, in the life in which it was thought of."""
        if caller.process is not process or caller.leaving:
            return
        if caller is self._reader:
            if not self._final:
                return
            invocation = self._final.popleft()
        elif not self.left:
            return
        else:
            self.left -= 1
            invocation = self._draw_call(caller)
        self._make(caller, process, invocation)

    def _draw_call(self, caller: _Caller) -> Invocation:
        for _ in range(_DRAWS_MAX if caller.reads else 1):
            invocation = self._workload.invoke(caller.random, caller.number, caller.turn)
            if not caller.reads or self._kinds[invocation.method] == "query":
                break
        caller.turn += 1
        return invocation

    def _make(self, caller: _Caller, process: Process, invocation: Invocation) -> None:
        self._calls += 1
        self._moment += 1
        is_query = self._kinds[invocation.method] == "query"
        body = encode_call(invocation.method, invocation.arguments)
        now_ms = self._world.agenda.now_ms
        made = Made(
            caller.name, invocation, body, is_query, self._moment, now_ms, self.answered_up_to
        )
        self.made.append(made)
        caller.open[self._calls] = made
        if not is_query:
            caller.unsent.append(self._calls)
        self._note(caller, Sort.CALLED, f"{self._calls}: {invocation}")
        withdrawal = caller.random.random()
        if withdrawal < self._world.plan.mix.withdrawal and caller is not self._reader:
            patience_ms = caller.random.random() * self._world.plan.timing.dead_interval_ms
            self._world.agenda.after(patience_ms, self._withdraw, caller, process, self._calls)
        self._world.give_soon(process, (self._calls, is_query, body))

    def _note(self, caller: _Caller, sort: Sort, text: str) -> None:
        if self._world.recorder is not None:
            self._world.recorder.note(self._world, caller.name, sort, text)

    def _withdraw(self, caller: _Caller, process: Process, call: int) -> None:
        """A deadline has passed: give the call up, if it has not ended."""
        made = caller.open.get(call)
        if made is None or caller.process is not process or process.inbox:
            return
        self._world.faults["withdrawal"] += 1
        if self._core(process).withdraw(call):
            self._forget(caller, call)
        elif made.is_query:
            del caller.open[call]
        else:
            return  # it goes on being retried, and may still be answered
        self._think(caller)

    def _forget(self, caller: _Caller, call: int) -> None:
        """A call certainly did not happen (R31)."""
        made = caller.open.pop(call, None)
        if made is None:
            return
        if not made.is_query:
            if call not in caller.unsent:
                raise Violation(f"R31: {made.invocation} counts as never sent, and was sent")
            caller.unsent.remove(call)
        self.made.remove(made)
        self.given_up += 1

    # -- what clients' cores say --------------------------------------------------------------

    def requested(self, process: Process, request: Request) -> None:
        """A client sends a request: learn which call has which request number."""
        caller = self._of(process)
        for session, number, _, kind, body in request.operations:
            if kind != Kind.CALL:
                continue
            if session != caller.session:
                caller.session, caller.sent = session, 0
            if number <= caller.sent:
                continue
            if number != caller.sent + 1 or not caller.unsent:
                raise Violation(f"R40: {caller.name} sends request {number} after {caller.sent}")
            caller.sent = number
            call = caller.unsent.popleft()
            made = caller.open[call]
            made.request = (session, number)
            if made.body != body:
                raise Violation(f"R29: {caller.name} sends its calls in another order")

    def completed(self, process: Process, call: int, outcome: bytes | None) -> None:
        """A call has ended."""
        caller = self._of(process)
        made = caller.open.pop(call, None)
        if made is None:
            raise Violation(f"R31: call {call} of {process.name} ends, and is not open")
        self._note(caller, Sort.ANSWERED, f"{call}: {made.invocation} gives {_told(outcome)}")
        if outcome is not None:
            self._moment += 1
            made.ended, made.outcome = self._moment, outcome
            made.until = len(self._world.judge.log)
            if not made.is_query:
                self._place(made)
        self._think(caller)

    def _place(self, made: Made) -> None:
        """Hold an answered command against the log, and against the order of real time."""
        judge = self._world.judge
        made.place = judge.places.get(made.request, 0)
        if not made.place:
            raise Violation(f"R16: {made.invocation} is answered, but not committed")
        what = judge.log[made.place - 1]
        if what.result is None or (what.operation[4], what.result[2]) != (made.body, made.outcome):
            raise Violation(
                f"R29: {made.invocation} is answered with {_told(made.outcome)}, "
                f"but operation {made.place} is {what}"
            )
        if made.place <= made.sees:
            raise Violation(
                f"{made.invocation} is operation {made.place}, although {made.sees} was answered "
                "before it was called"
            )
        self.answered_up_to = max(self.answered_up_to, made.place)

    # -- the end ------------------------------------------------------------------------------

    def _of(self, process: Process) -> _Caller:
        return self._by_name[process.name]

    @property
    def done(self) -> bool:
        """Whether every call was made and every call of a living client has ended."""
        if self.left or self._final:
            return False
        return not any(caller.open for caller in self._by_name.values())

    def oldest(self) -> Made | None:
        """Return the open call of a living client that began first."""
        opened = [made for caller in self._by_name.values() for made in caller.open.values()]
        return min(opened, key=lambda made: made.began, default=None)

    def read_all(self) -> None:
        """Let a new client call what shows the whole state."""
        self._final.extend(self._workload.final())
        random = Random(f"{self._world.plan.seed}/client/{_READER}")
        self._reader = _Caller(_READER, len(self._callers), random, 1, 0.001, False, True)
        self._by_name[_READER] = self._reader
        self._begin(self._reader)


def _told(outcome: bytes | None) -> str:
    """Return an outcome for a person."""
    return "nothing that is known" if outcome is None else repr(outcome_of(outcome))
