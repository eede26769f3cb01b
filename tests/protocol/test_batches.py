"""Where batch boundaries fall changes nothing but timing."""

from __future__ import annotations

from random import Random

import pytest

from pbactors.config import Limits
from pbactors.machines.calls import encode_call
from pbactors.protocol.core import Address, Complete, Core, Outbox, Send, Timer
from pbactors.protocol.messages import Forward, Message, Reply, Request, ViewReply
from pbactors.protocol.operations import Kind

from .network import CLUSTER, CONTRACT, QUERIES, VIEW, Network, Step, call_step, incarnation

PARTITIONS = 500  # for each of LIMITS
INPUTS = 5
CLIENTS = ("x", "y")
LIMITS = (
    Limits(),
    Limits(forward_operations_max=2, forwards_in_flight_max=1),
    Limits(forward_operations_max=3, forwards_in_flight_max=2, forward_bytes_max=120),
)

Outcome = tuple[object, ...]


def client_inputs(random: Random) -> list[tuple[str, Message]]:
    """Return (client, request) in the order of arrival: commands with queries in between."""
    numbers = dict.fromkeys(CLIENTS, 0)
    asked = 0
    inputs: list[tuple[str, Message]] = []
    for _ in range(20):
        client = random.choice(CLIENTS)
        session = CLIENTS.index(client) + 1
        commands, queries = [], []
        for _ in range(random.randint(1, 3)):
            if random.random() < 0.4:
                asked += 1
                queries.append((asked, session, numbers[client], encode_call("get", ("k",))))
            else:
                numbers[client] += 1
                body = encode_call("append", ("k", f"{client}{numbers[client]}."))
                commands.append((session, numbers[client], 1, Kind.CALL, body))
        inputs.append((client, Request(2, tuple(commands), tuple(queries))))
    return inputs


class Batched:
    """Two replicas whose input is cut into batches at random places.

    Each replica has one line per sender, as connections do; what is random is how much of it is
    handed over before a flush.
    """

    def __init__(self, limits: Limits, inputs: list[tuple[str, Message]], random: Random) -> None:
        self.network = Network(limits=limits)
        self.network.form("a", "b")
        for client in CLIENTS:  # their sessions are 1 and 2
            self.network.start_client(client)
            opening = (0, 0, 0, Kind.OPEN, client.encode() * 16)
            self.network.act("a", message_step(client, Request(2, (opening,), ())))
            self.network.settle()
        self.random = random
        self.inputs = list(inputs)
        self.expected_answers = sum(
            len(message.operations) + len(message.queries)
            for _, message in inputs
            if isinstance(message, Request)
        )
        self.answers: list[tuple[str, int, bytes]] = []
        self.executed: dict[int, tuple[object, ...]] = {}

    def run(self) -> Outcome:
        """Return all that must not depend on batches."""
        network = self.network
        while self.inputs or network.in_flight:
            self._collect()
            choices = [name for name in "ab" if network.waiting(target=name)]
            if self.inputs:
                choices.append("requests")
            if not choices:
                break
            chosen = self.random.choice(choices)
            if chosen == "requests":
                self._requests()
            else:
                self._batch(chosen)
        self._collect()
        states = [network.replicas[name].state.freeze() for name in "ab"]
        assert states[0] == states[1]
        assert len(self.answers) == self.expected_answers
        return (states[0], sorted(self.answers), sorted(self.executed.items()))

    def _requests(self) -> None:
        """Hand the next requests to the primary, in their order of arrival, before one flush."""
        count = self.random.randint(1, 4)
        batch, self.inputs = self.inputs[:count], self.inputs[count:]
        self.network.act("a", *(message_step(client, message) for client, message in batch))

    def _batch(self, name: str) -> None:
        """Hand over some of what has arrived from the other replica."""
        network = self.network
        batch = network.waiting(target=name)[: self.random.randint(1, 4)]
        for packet in batch:
            network.in_flight.remove(packet)
        members = {name: network.replicas[name].member for name in "ab"}
        network.act(
            name,
            *(
                message_step(packet.source, packet.message, members[packet.source].incarnation)
                for packet in batch
            ),
        )

    def _collect(self) -> None:
        """Note what clients hear and what is forwarded."""
        for packet in self.network.waiting(Reply):
            self.network.in_flight.remove(packet)
            assert isinstance(packet.message, Reply)
            self.answers += [
                (packet.target, number, outcome) for _, number, outcome in packet.message.results
            ]
            self.answers += [
                (packet.target, -query, outcome) for query, outcome in packet.message.answers
            ]
        for packet in self.network.waiting(Forward):
            assert isinstance(packet.message, Forward)
            for place, operation in enumerate(packet.message.operations):
                op = packet.message.first + place
                assert self.executed.setdefault(op, operation) == operation


def message_step(source: str, message: Message, life: bytes = incarnation(9)) -> Step:
    """Return the step that hands over a message."""
    node = source if source not in CLIENTS else ""
    address = Address(node, life, CLUSTER, source.encode())
    return lambda core, out: core.on_message(address, message, out)


@pytest.mark.parametrize("limits", LIMITS, ids=["default", "lockstep", "small"])
def test_boundaries_of_batches_change_nothing_for_two_replicas(limits: Limits) -> None:
    """“Where the group boundaries fall must change when things are answered, never what is executed
    or answered”: over random partitions of the same input, with stamps that do not tell batches
    apart.
    """
    for input_seed in range(INPUTS):
        inputs = client_inputs(Random(input_seed))
        expected = run(limits, inputs, 0)
        for seed in range(1, PARTITIONS // INPUTS):
            assert run(limits, inputs, seed) == expected, f"input {input_seed}, partition {seed}"


def run(limits: Limits, inputs: list[tuple[str, Message]], seed: int) -> Outcome:
    """Run one partition with a constant stamp."""
    batched = Batched(limits, inputs, Random(seed))
    primary = batched.network.role("a")
    primary._log._stamps = lambda last: b"s" * 16  # type: ignore[union-attr]
    return batched.run()


CALLS = [
    (method, "k", *([f"{number}."] if method not in QUERIES else []))
    for number in range(1, 30)
    for method in (["append", "get"] if number % 3 == 0 else ["append"])
]


@pytest.mark.parametrize("window", [1, 3, 4096])
def test_boundaries_of_batches_change_nothing_for_a_client(window: int) -> None:
    """The client numbers its calls alike, and every call has the same outcome, wherever its batches
    begin.
    """
    results = set()
    for seed in range(60):
        results.add(run_client(Limits(session_window=window), Random(seed)))
    assert len(results) == 1


def run_client(limits: Limits, random: Random) -> tuple[object, ...]:
    """Give all calls in batches of random sizes, and deliver at random in between."""
    network = Network(limits=limits)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    left = [call_step(number + 1, *map(str, call)) for number, call in enumerate(CALLS)]
    while left or network.in_flight:
        if left and (random.random() < 0.3 or not network.in_flight):
            size = random.randint(1, 6)
            network.act("x", *left[:size])
            left = left[size:]
        else:
            network.deliver_next()
    for _ in range(3):
        network.insist("x")
    assert len(network.outcomes) == len(CALLS)
    return tuple(network.result(number + 1) for number in range(len(CALLS)))


def test_handing_over_one_by_one_or_all_at_once_leaves_a_client_the_same() -> None:
    """What a client has sent in all, and completed, does not depend on when it was flushed."""

    def drive(core: Core, sizes: list[int], steps: list[Step]) -> tuple[object, ...]:
        out = Outbox()
        for size in sizes:
            for step in steps[:size]:
                step(core, out)
            core.flush(out)
            steps = steps[size:]
        operations: list[object] = []
        completed: list[object] = []
        for effect in out.effects:
            match effect:
                case Send(_, Request(_, some, _)):
                    operations += [operation[1] for operation in some]
                case Complete():
                    completed.append(effect)
        return (tuple(operations), tuple(completed))

    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.do("x", "append", "k", "0")
    core = network.client("x")
    steps = [call_step(100 + number, "append", "k", "1") for number in range(6)]
    view = ViewReply(network.view_service.view, True, CONTRACT)
    address = Address(VIEW, incarnation(1), CLUSTER, b"")
    steps.insert(3, lambda core, out: core.on_message(address, view, out))
    steps.append(lambda core, out: core.on_timer(Timer.PING, out))  # fires for nothing
    outcomes = {drive(core.clone(), sizes, steps) for sizes in ([8], [1] * 8, [3, 5], [2, 2, 4])}
    assert outcomes == {((2, 3, 4, 5, 6, 7), ())}
