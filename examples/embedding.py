"""Nodes inside a program of yours, and a failover that its caller does not notice.

Usually every node is in a process of its own, on a host of its own: there a service starts the one
node that is its part, ``with pbactors.start_node("bank.toml", "a"):``. Here one process starts all
of them, calls, stops the primary and goes on calling.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bank import Bank

import pbactors

TOPOLOGY = pbactors.load(Path(__file__).parent / "bank.toml")


def primary() -> str | None:
    """Return who is primary in a view that has a filled backup, or None."""
    view = pbactors.ask_nodes(TOPOLOGY)["view"].view
    return view.primary if view.acked and view.backup else None


def main() -> None:
    """Start a cluster, call it, stop its primary, call it again."""
    with ExitStack() as stack:
        nodes = {
            node.name: stack.enter_context(
                pbactors.start_node(TOPOLOGY, node.name, form_new=node.role == "view_server")
            )
            for node in TOPOLOGY.nodes
        }
        cluster = stack.enter_context(pbactors.connect(TOPOLOGY))
        bank = cluster.proxy(Bank)
        print("alice pays in 100 and has", bank.deposit("alice", 100))

        while (name := primary()) is None:
            time.sleep(0.1)
        print(f"stopping {name}, the primary")
        nodes[name].stop()

        bank.transfer("alice", "bob", 30)
        print("alice has", bank.balance("alice"))
        try:
            bank.transfer("bob", "alice", 1000)
        except pbactors.MethodRaised as error:
            print("refused by the bank:", error)

        futures = [cluster.submit(Bank.deposit, "carol", 1) for _ in range(100)]
        print("carol pays in 1 a hundred times and has", futures[-1].get())


if __name__ == "__main__":
    main()
