"""The processes of a storm: a view server, three replicas, and clients that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import pbactors
from pbactors.heartbeat import Record
from tests.storm.client import FINISH_S
from tests.storm.hosts import Hosts

__all__ = ["CLIENTS", "HOSTS", "NODE_PROGRAM", "REPLICAS", "VIEW_SERVER", "Cluster"]

VIEW_SERVER: Final = "view"
REPLICAS: Final = ("a", "b", "c")
CLIENTS: Final = ("client0", "client1", "client2")
HOSTS: Final = (VIEW_SERVER, *REPLICAS, *CLIENTS)

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent

NODE_PROGRAM: Final = (sys.executable, "-m", "pbactors", "node")
CLIENT_PROGRAM: Final = (sys.executable, "-m", "tests.storm.client")

NODE: Final = """
[[nodes]]
name = "{name}"
role = "{role}"
address = "{address}"
heartbeat = "{heartbeat}"
"""


class Cluster:
    """Nodes and clients, each a process on its host. Use it in a ``with`` block.

    Args:
        hosts: where they run.
        folder: for the topology, the view server's memory, logs and histories.
        seed: of the clients' choices.
        replica_program: the command of a replica, without topology and name.

    Attributes:
        topology: what the nodes were started with.
        start_ns: when the storm began, by the monotonic clock.
    """

    def __init__(
        self,
        hosts: Hosts,
        folder: Path,
        seed: int,
        replica_program: Sequence[str] = NODE_PROGRAM,
    ) -> None:
        self._hosts = hosts
        self._replica_program = replica_program
        self._folder = folder
        self._seed = seed
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped: set[str] = set()
        self._clients_started = 0
        self._path = folder / "storm.toml"
        self._path.write_text(self._text())
        self.topology = pbactors.load(self._path)
        self.start_ns = time.monotonic_ns()

    def _text(self) -> str:
        nodes = ""
        for name in (VIEW_SERVER, *REPLICAS):
            role = "view_server" if name == VIEW_SERVER else "replica"
            address, heartbeat = self._hosts.address(name)
            nodes += NODE.format(name=name, role=role, address=address, heartbeat=heartbeat)
        machine = "pbactors.machines.kv:KeyValueStore"
        return f'[cluster]\nname = "storm"\nmachine = "{machine}"\nstate_dir = "var"\n{nodes}'

    # -- coming and going ---------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a node, which is empty unless it is the view server, or a client, which is new."""
        if name in CLIENTS:
            self._start_client(name)
        else:
            program = self._replica_program if name in REPLICAS else NODE_PROGRAM
            self._start_process(name, program, [name])

    def form(self) -> None:
        """Start the view server of a new cluster, the replicas and the clients."""
        self._start_process(VIEW_SERVER, NODE_PROGRAM, [VIEW_SERVER, "--new"])
        for name in (*REPLICAS, *CLIENTS):
            self.start(name)

    def _start_client(self, name: str) -> None:
        number = self._clients_started
        self._clients_started += 1
        history = self._folder / f"{name}-{number}.history"
        self._start_process(
            name,
            CLIENT_PROGRAM,
            [str(number), str(self._seed), str(self.start_ns), str(history)],
        )

    def _start_process(self, name: str, program: Sequence[str], arguments: Sequence[str]) -> None:
        command = self._hosts.command(name, [*program, str(self._path), *arguments])
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path},
                # A client ends when this does; a node reads nothing.
                stdin=subprocess.PIPE if name in CLIENTS else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """End a process as ``kill -9`` does: it gets no chance to say anything."""
        process = self._processes.pop(name)
        self._stopped.discard(name)
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def stop(self, name: str) -> None:
        """Let a process do nothing at all, without its noticing."""
        self._processes[name].send_signal(signal.SIGSTOP)
        self._stopped.add(name)

    def go_on(self, name: str) -> None:
        """Let a stopped process go on."""
        self._stopped.discard(name)
        self._processes[name].send_signal(signal.SIGCONT)

    # -- how they are -------------------------------------------------------------------------

    def runs(self, name: str) -> bool:
        """Tell whether a process is there and not stopped."""
        return name in self._processes and name not in self._stopped

    def is_there(self, name: str) -> bool:
        """Tell whether a process is there."""
        return name in self._processes

    def ended(self) -> Iterator[str]:
        """Say which processes have ended by themselves, which none should."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                last = (self._folder / f"{name}.log").read_text().strip().rpartition("\n")[2]
                yield f"{name} ended with code {process.returncode}, see {name}.log: {last}"

    def ask(self, timeout_s: float = 0.5) -> Mapping[str, Record]:
        """Ask all nodes that can answer what they are; those that do not answer are missing."""
        nodes = tuple(node for node in self.topology.nodes if self.runs(node.name))
        if not nodes:
            return {}
        return pbactors.ask_nodes(replace(self.topology, nodes=nodes), timeout_s)

    def finish_clients(self) -> Iterator[str]:
        """Let the clients come to an end, and say what was wrong with them."""
        clients = {name: self._processes.pop(name) for name in CLIENTS if self.is_there(name)}
        for process in clients.values():
            if process.stdin is not None:
                process.stdin.close()
        for name, process in clients.items():
            try:
                code = process.wait(FINISH_S + 15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                yield f"{name} does not come to an end"
                continue
            if code != 0:
                yield f"{name} ended with code {code}, see {name}.log"

    def end_clients(self) -> None:
        """End the clients at once, whatever they wait for."""
        for name in CLIENTS:
            if self.is_there(name):
                self.kill(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.kill(name)
