"""Random schedules of the whole, from a seed: loss, repeats, reordering, crashes, empty restarts.

A small forerunner of the simulator. Clients append unique words to one key and read it, so that
what a correct system may answer is easily told: all values ever answered are prefixes of each
other, no word stands in one twice, and a call sees every word acknowledged before it began.
"""

from __future__ import annotations

from random import Random

from pbactors.config import Limits
from pbactors.protocol.core import Slept, Timer
from pbactors.protocol.invariants import recoverable

from .network import VIEW, Network

LIMITS = Limits(
    snapshot_piece_bytes_max=40,
    pieces_in_flight_max=2,
    forward_operations_max=2,
    forwards_in_flight_max=2,
    session_window=3,
)
REPLICAS = "abc"
CLIENTS = "xy"
HEALING_ROUNDS = 60


class Schedule(Network):
    """A network on which a seed decides what happens next."""

    def __init__(self, seed: int) -> None:
        super().__init__(REPLICAS, dead_pings=3, limits=LIMITS)
        self.random = Random(seed)
        self.began: dict[int, str] = {}  # call -> the longest value acknowledged when it began
        self.longest = ""
        self.judged = 0
        self.words = 0
        self.start_view_server()
        self.start(*REPLICAS)
        for client in CLIENTS:
            self.start_client(client)
        if self.random.random() < 0.7:  # most begin with a pair that serves
            self.settle()
            self.ping(*REPLICAS)
        self.faults = self.random.choice((0.02, 0.1, 0.3))
        self.careful = self.random.random() < 0.8  # whether the last copy is spared

    def run(self, steps: int) -> None:
        """Make so many random steps, and judge the answers after each."""
        for _ in range(steps):
            self.step()
            self.judge()

    def step(self) -> None:
        """Do one thing."""
        if self.random.random() < self.faults / 4:
            self._fail()
        elif self.in_flight and self.random.random() < 0.75:
            self._handle_packet()
        elif self.random.random() < 0.4:
            self._call()
        else:
            name = self.random.choice(list(self.nodes))
            if self.nodes[name].timers:
                self.fire(name, self.random.choice(list(self.nodes[name].timers)))

    def _handle_packet(self) -> None:
        early = self.random.random() < 0.7
        packet = self.in_flight[0] if early else self.random.choice(self.in_flight)
        draw = self.random.random()
        if draw < self.faults:
            self.in_flight.remove(packet)
        else:
            self.deliver(packet, keep=draw > 1 - self.faults)

    def _call(self) -> None:
        client = self.random.choice(CLIENTS)
        if self.random.random() < 0.3:
            call = self.call(client, "get", "k")
        else:
            self.words += 1
            call = self.call(client, "append", "k", f"{client}{self.words}.")
        self.began[call] = self.longest

    def _fail(self) -> None:
        """A crash, an empty restart, a cut, a sleep, or the end of one of these."""
        kind = self.random.choice(("stop", "start", "start", "view", "cut", "heal", "slept"))
        name = self.random.choice(REPLICAS)
        if kind in ("stop", "start") and self.careful and self._holds_the_last_copy(name):
            return
        if kind == "stop" and name in self.nodes:
            self.stop(name)
        elif kind == "start":
            self.start(name)
        elif kind == "view":
            if VIEW in self.nodes and self.random.random() < 0.5:
                self.stop(VIEW)
            else:
                self.start_view_server()
        elif kind == "cut":
            one, other = self.random.sample([*REPLICAS, *CLIENTS, VIEW], 2)
            self.cut.add((one, other))
        elif kind == "heal":
            self.cut.clear()
        elif kind == "slept" and VIEW in self.nodes:
            self.act(VIEW, lambda core, out: core.on_signal(Slept(), out))

    def _holds_the_last_copy(self, name: str) -> bool:
        """Tell whether the state is gone when this replica is."""
        view, acked, replicas = self.record.view, self.record.acked, self.replicas
        holders = view.members() if acked else (view.primary,)
        living = [
            member.name
            for member in holders
            if member and member.name in replicas and replicas[member.name].member == member
        ]
        return living == [name]

    def judge(self) -> None:
        """Hold what was answered since the last time against what may be answered."""
        while self.judged < len(self.outcomes):
            call = list(self.outcomes)[self.judged]
            self.judged += 1
            value = str(self.result(call) or "")
            words = value.split(".")
            assert len(set(words)) == len(words), f"twice in {value}"
            assert value.startswith(self.began[call]), f"{value} lacks {self.began[call]}"
            shorter, longer = sorted((value, self.longest), key=len)
            assert longer.startswith(shorter), f"{value} and {self.longest} are two histories"
            self.longest = longer

    def heal(self) -> bool:
        """End all faults, and let everything run in an orderly way for a while.

        Returns:
            Whether the system had to recover; if so, every call was answered.
        """
        self.cut.clear()
        if VIEW not in self.nodes:
            self.start_view_server()
        self.start(*(name for name in REPLICAS if name not in self.nodes))
        self.settle()  # what is still on its way may decide it
        must = recoverable(self)
        for _ in range(HEALING_ROUNDS):
            for name, timer in (
                *((name, Timer.PING) for name in REPLICAS),
                (VIEW, Timer.PING_CHECK),
                *((name, Timer.RESEND) for name in REPLICAS),
                *((name, Timer.RETRY) for name in CLIENTS),
            ):
                self.tick(name, timer)
            self.judge()
        if must:
            missing = self.began.keys() - self.outcomes.keys()
            assert not missing, f"{len(missing)} calls are not answered: {self.describe()}"
        else:
            assert self.view_service.status().stuck, self.describe()
        return must

    def describe(self) -> str:
        """Say how things stand, for a failing test."""
        states = [f"{name}: {node.core.status().state}" for name, node in self.nodes.items()]
        return f"{self.record.view}, acked {self.record.acked}; " + "; ".join(states)
