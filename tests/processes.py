"""Clusters of real processes for tests: free addresses, commands that always end, patience.

Shared by every test that starts a process. Nothing here leaves a process, a file or a port behind.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeVar

__all__ = [
    "DEADLINE_S",
    "PBACTORS",
    "Process",
    "children_of",
    "free_ports",
    "free_topology",
    "pid_is_alive",
    "running",
    "wait_until",
]

PBACTORS: Final = (sys.executable, "-m", "pbactors")
"""How a test starts the command line, without relying on where the script was installed."""

DEADLINE_S: Final = 30.0
"""Long enough for the slowest machine; nobody waits for it unless something is wrong."""

_REPOSITORY: Final = Path(__file__).resolve().parent.parent
_PORTS_RESERVED_MAX: Final = 400

T = TypeVar("T")


# -- addresses --------------------------------------------------------------------------------

_reserved: deque[socket.socket] = deque()


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody else is given while this test process needs them.

    The sockets that found them stay bound and never listen. On Linux a listener that allows reuse,
    as ZeroMQ's do, may bind such a port, while the kernel gives it to nobody who asks for any port.
    So there is no gap between finding a port and using it. Only the latest few hundred are held.
    """
    ports = []
    for _ in range(count):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports.append(holder.getsockname()[1])
        _reserved.append(holder)
    while len(_reserved) > _PORTS_RESERVED_MAX:
        _reserved.popleft().close()
    if sys.platform != "linux":  # elsewhere a bound socket would be in the way
        _release_ports()
    return ports


def _release_ports() -> None:
    while _reserved:
        _reserved.pop().close()


atexit.register(_release_ports)


def free_topology(
    tmp_path: Path,
    replicas: int = 3,
    *,
    name: str = "local",
    machine: str = "pbactors.machines.kv:KeyValueStore",
    **tables: Mapping[str, int],
) -> Path:
    """Write a topology file of a view server and replicas on free ports, and return its path.

    Args:
        tmp_path: the folder to write ``{name}.toml`` into; the view store will be there too.
        replicas: how many; they are called a, b, c, ...
        name: the cluster's name.
        machine: the class to replicate; its module may lie in ``tmp_path``.
        tables: further tables, for example ``timing={"ping_interval_ms": 10}``.
    """
    lines = [
        "[cluster]",
        f'name = "{name}"',
        f'machine = "{machine}"',
        f'state_dir = "var/{name}"',
    ]
    for table, numbers in tables.items():
        lines += ["", f"[{table}]", *(f"{key} = {value}" for key, value in numbers.items())]
    nodes = ["view", *(chr(ord("a") + place) for place in range(replicas))]
    ports = iter(free_ports(2 * len(nodes)))
    for node in nodes:
        lines += [
            "",
            "[[nodes]]",
            f'name = "{node}"',
            f'role = "{"view_server" if node == "view" else "replica"}"',
            f'address = "tcp://127.0.0.1:{next(ports)}"',
            f'heartbeat = "tcp://127.0.0.1:{next(ports)}"',
        ]
    path = tmp_path / f"{name}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


# -- patience ---------------------------------------------------------------------------------


def wait_until(
    condition: Callable[[], T], deadline_s: float = DEADLINE_S, what: str = "condition"
) -> T:
    """Return the first true value of ``condition``.

    Args:
        condition: asked again every few milliseconds.
        deadline_s: how long to wait before the test fails.
        what: what is waited for, for the failure's text.
    """
    until_s = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() >= until_s:
            raise AssertionError(f"not within {deadline_s} s: {what} (last: {value!r})")
        time.sleep(0.01)
    return value


# -- processes --------------------------------------------------------------------------------


class Process:
    """A command that runs, made by :func:`running`. What it writes can be read at any time.

    Attributes:
        command: what was started.
        pid: its process id.
        stdin: the writing end of its stdin, if that is a pipe.
    """

    def __init__(
        self,
        command: Sequence[str],
        popen: subprocess.Popen[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        self.command = command
        self.pid = popen.pid
        self.stdin = popen.stdin
        self._popen = popen
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> str:
        """What it has written to stdout so far."""
        return _written(self._stdout)

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return _written(self._stderr)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, minus the signal that killed it, or None while it runs."""
        return self._popen.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._popen.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self._popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {deadline_s} s") from None

    def wait_for(self, text: str, deadline_s: float = DEADLINE_S, *, stream: str = "stdout") -> str:
        """Wait until a line of stdout or stderr contains ``text``, and return that line.

        Fails at once if the process has ended without writing it.
        """

        def found() -> str | None:
            ended = self.exit_code is not None
            for line in getattr(self, stream).splitlines():
                if text in line:
                    return str(line)
            if ended:
                raise AssertionError(f"ended without {text!r} on {stream}")
            return None

        return wait_until(found, deadline_s, f"{text!r} on {stream}") or ""

    def report(self) -> str:
        """Return the command, how it is, and everything that it has written."""
        return (
            f"$ {' '.join(self.command)}\n[pid {self.pid}, exit code {self.exit_code}]\n"
            f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}---"
        )


def _written(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Process]:
    """Start a command, and kill it and its process group at the end, whatever happens.

    It leads a session of its own, so that a Ctrl-C at the tests' terminal does not reach it; send
    one with ``os.killpg(process.pid, signal.SIGINT)``. If the block fails, the error's notes carry
    what the process has written.

    Args:
        command: program and arguments.
        cwd: the working directory.
        environment: variables besides those of this process. The repository is on PYTHONPATH.
        stdin: as for ``subprocess``; nothing can be read by default.
    """
    words = [str(word) for word in command]
    path = os.pathsep.join(filter(None, (str(_REPOSITORY), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    with (
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            words,
            cwd=cwd,
            env=variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        ) as popen,
    ):
        process = Process(words, popen, stdout, stderr)
        try:
            yield process
        except BaseException as error:
            error.add_note(process.report())
            raise
        finally:
            if popen.poll() is None:  # only then is its group certainly still its own
                os.killpg(popen.pid, signal.SIGKILL)


def pid_is_alive(pid: int) -> bool:
    """Tell whether a process of this id exists and has not ended; for those of other parents."""
    state, _ = _state_and_parent(pid)
    return state not in ("", "Z", "X")


def children_of(pid: int) -> dict[int, list[str]]:
    """Return the command lines of the living children of a process, by their ids."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        state, parent = _state_and_parent(int(folder.name))
        if parent == pid and state not in ("", "Z", "X"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode(errors="replace")
                found[int(folder.name)] = words.split("\0")[:-1]
    return found


def _state_and_parent(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])
