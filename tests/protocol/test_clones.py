"""``clone`` and ``freeze`` of every core, over random runs: what a search depends on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from pbactors import wire
from pbactors.config import Limits
from pbactors.protocol.backup import Backup
from pbactors.protocol.client import Client
from pbactors.protocol.core import Address, Core, Outbox, Slept, Timer
from pbactors.protocol.messages import Piece
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.tool_messages import Abandon

from .network import CLUSTER, Network, Step, call_step, incarnation
from .schedules import Schedule

STEPS = 150


class Cloning(Schedule):
    """A schedule in which every few steps two clones are made.

    One is given the same step as the original and must stay equal, in what it does too. The other
    is driven at random, and the original must not notice.
    """

    def __init__(self, seed: int) -> None:
        self.choose = Random(seed)
        self.cloned: Counter[str] = Counter()
        super().__init__(seed)

    def act(self, name: str, *steps: Step) -> None:
        """Do the steps on the original and on a clone."""
        core = self.nodes[name].core
        if self.choose.random() > 0.3:
            super().act(name, *steps)
            return
        self.cloned[kind(core)] += 1
        twin, other = core.clone(), core.clone()
        before = core.freeze()
        assert twin.freeze() == before
        assert hash(before) == hash(twin.freeze())
        for _ in range(3):
            self.drive_differently(name, other)
            assert core.freeze() == before
            assert twin.freeze() == before
        super().act(name, *steps)
        out = Outbox()
        for step in steps:
            step(twin, out)
        twin.flush(out)
        assert twin.freeze() == core.freeze()
        assert out.effects == self.performed
        assert twin.invalid() == core.invalid()

    def drive_differently(self, name: str, core: Core) -> None:
        """Do anything with a clone but what comes next."""
        out = Outbox()
        choice = self.choose.random()
        packets = self.waiting(target=name)
        if choice < 0.5 and packets:
            packet = self.choose.choice(packets)
            header, message = wire.decode(packet.body)
            source = Address(header.node, header.incarnation, header.cluster, packet.route)
            core.on_message(source, message, out)
        elif choice < 0.6:
            source = Address("", incarnation(9), CLUSTER, b"x")
            core.on_message(source, Abandon(b"o" * 16), out)
        elif choice < 0.7:
            core.on_signal(Slept(), out)
        elif isinstance(core, Client):
            call_step(9999, "append", "k", "other")(core, out)
        else:
            core.on_timer(self.choose.choice(list(Timer)), out)
        core.flush(out)


def kind(core: Core) -> str:
    """Return what is cloned, and in which position."""
    if not isinstance(core, Replica):
        return type(core).__name__
    role = core.role
    name = type(role).__name__
    if isinstance(role, Primary):
        return name if role.operating else f"{name}, filling"
    if isinstance(role, Backup):
        return name if role.installed else f"{name}, being filled"
    return name


def test_a_clone_behaves_alike_and_is_independent() -> None:
    """“`clone`” returns an independent copy and “`freeze`” is “equal exactly where behaviour is
    equal”: over random runs, also in the middle of a transfer.
    """
    cloned: Counter[str] = Counter()
    for seed in range(40):
        schedule = Cloning(seed)
        schedule.run(STEPS)
        cloned += schedule.cloned
    for what in (
        "ViewService",
        "Client",
        "Idle",
        "Primary",
        "Primary, filling",
        "Backup",
        "Backup, being filled",
    ):
        assert cloned[what] > 20, f"{what}: {cloned}"


def test_freeze_tells_apart_what_a_transfer_has_gathered() -> None:
    """“equal exactly where behaviour is equal”: two backups that gathered different pieces will
    install different states.
    """
    network = Network(limits=Limits(snapshot_piece_bytes_max=16))
    network.form("a")
    network.start_client("x")
    network.settle()
    network.do("x", "put", "k", "1" * 30)
    network.start("b")
    network.fire("a", Timer.PING)
    network.settle(hold=lambda packet: isinstance(packet.message, Piece))
    first = network.waiting(Piece)[0]
    assert isinstance(first.message, Piece)
    changed = replace(first.message, body=first.message.body.replace(b"x", b"y"))
    assert changed != first.message
    frozen = set()
    header, _ = wire.decode(first.body)
    source = Address(header.node, header.incarnation, header.cluster, first.route)
    for piece in (first.message, changed):
        clone = network.replicas["b"].clone()
        clone.on_message(source, piece, Outbox())
        frozen.add(clone.freeze())
    assert len(frozen) == 2
