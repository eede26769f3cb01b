"""The processes of a cluster on free ports of this machine."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import pbactors
from pbactors.heartbeat import Record, ViewSummary

__all__ = ["REPLICAS", "Cluster"]

REPLICAS = ("a", "b", "c")

NODE = """
[[nodes]]
name = "{name}"
role = "{role}"
address = "tcp://127.0.0.1:{port}"
heartbeat = "tcp://127.0.0.1:{heartbeat_port}"
"""


class Cluster:
    """A view server and its replicas, each a process. Use it in a ``with`` block.

    The processes stay in the group of this one, so that Ctrl-C, and whatever else is meant for the
    group, ends all of them.

    Args:
        folder: for the topology file, the view server's memory and the logs.
        replicas: their names.

    Attributes:
        path: the topology file.
        topology: what stands in it.
    """

    def __init__(self, folder: Path, replicas: Sequence[str] = REPLICAS) -> None:
        self.path = folder / "demo.toml"
        self._logs = folder
        self._replicas = tuple(replicas)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = ExitStack()
        self.path.write_text(self._text())
        self.topology = pbactors.load(self.path)

    def _text(self) -> str:
        nodes = "".join(
            NODE.format(name=name, role=role, port=self._port(), heartbeat_port=self._port())
            for name, role in [
                ("view", "view_server"),
                *((name, "replica") for name in self._replicas),
            ]
        )
        machine = "pbactors.machines.kv:KeyValueStore"
        return f'[cluster]\nname = "demo"\nmachine = "{machine}"\nstate_dir = "var"\n{nodes}'

    def _port(self) -> int:
        """Return a free port, kept for the whole run, so that a restarted node finds it free.

        The socket that holds it never listens. Linux lets a listener that allows reuse, as ZeroMQ's
        do, bind the port besides, and gives it to nobody else. Other systems do not: there the
        port is merely free now.
        """
        holder = self._ports.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        return port

    def start(self) -> None:
        """Form a new cluster: start every node."""
        self.start_node("view", "--new")
        for name in self._replicas:
            self.start_node(name)

    def start_node(self, name: str, *options: str) -> None:
        """Start a node; a replica is empty whenever it starts."""
        command = [sys.executable, "-m", "pbactors", "node", str(self.path), name, *options]
        with (self._logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """End a node as ``kill -9`` does: it gets no chance to say anything."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def terminate(self, name: str) -> None:
        """Let a node end in peace, and wait until it has."""
        process = self._processes.pop(name)
        process.terminate()
        process.wait()

    def stop(self, name: str) -> None:
        """Let a node do nothing at all, without its noticing."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let a stopped node go on."""
        self._processes[name].send_signal(signal.SIGCONT)

    def memory_bytes(self, name: str) -> int:
        """Return how much memory a node has now."""
        status = Path(f"/proc/{self._processes[name].pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def ended(self) -> list[str]:
        """Say which nodes have ended by themselves, which none should."""
        return [
            f"node {name} ended with code {process.returncode}, see {self._logs / name}.log"
            for name, process in self._processes.items()
            if process.poll() is not None
        ]

    def ask_view_server(self) -> Record | None:
        """Ask the view server who is what; None if it does not answer within a second."""
        view_server = self.topology.view_server
        records = pbactors.ask_nodes(replace(self.topology, nodes=(view_server,)), timeout_s=1.0)
        return records.get(view_server.name)

    def view(self) -> ViewSummary | None:
        """Ask the view server for the view; None if it does not answer within a second."""
        record = self.ask_view_server()
        return None if record is None else record.view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._ports.close()
