"""How to test a class of yours: in a cluster that lives in the test's own process.

``inproc://`` addresses need no ports, and such a cluster serves within milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from bank import Bank

import pbactors


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    topology = pbactors.load(Path(__file__).parent / "bank.toml")
    addresses = {
        node.name: (f"inproc://{node.name}", f"inproc://{node.name}-heartbeat")
        for node in topology.nodes
    }
    topology = replace(topology, state_dir=tmp_path).with_addresses(addresses)
    with ExitStack() as stack:
        for node in topology.nodes:
            stack.enter_context(
                pbactors.start_node(topology, node.name, form_new=node.role == "view_server")
            )
        yield stack.enter_context(pbactors.connect(topology)).proxy(Bank, timeout_s=10.0)


def test_a_transfer_moves_money(bank: Bank) -> None:
    assert bank.deposit("alice", 100) == 100
    receipt = bank.transfer("alice", "bob", 30)
    assert (bank.balance("alice"), bank.balance("bob")) == (70, 30)
    assert [(what, amount) for _, what, amount in bank.statement("bob")] == [(receipt, 30)]


def test_nobody_spends_what_he_has_not(bank: Bank) -> None:
    bank.deposit("alice", 10)
    with pytest.raises(pbactors.MethodRaised, match="alice has no 11"):
        bank.transfer("alice", "bob", 11)
    assert (bank.balance("alice"), bank.balance("bob")) == (10, 0)


def test_every_booking_has_its_time(bank: Bank) -> None:
    bank.deposit("alice", 1)
    bank.deposit("alice", 2)
    (first, _, _), (second, _, _) = bank.statement("alice")
    assert first < second
