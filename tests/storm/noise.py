"""What is wrong with a machine and its network while every node of a cluster is alive.

All processors are kept busy, and every link loses one packet in a hundred. The third part, replicas
whose interpreter is held, is ``held_node``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from itertools import permutations
from typing import Final, Self

from tests.storm.cluster import HOSTS
from tests.storm.hosts import Cut, Hosts

__all__ = ["BUSY", "Noise"]

LOST_PERCENT: Final = 1
BUSY_PER_CORE: Final = 2
BUSY: Final = (sys.executable, "-c", "while True: pass")


class Noise:
    """Busy loops, more than there are processors, and lost packets. Use it in a ``with`` block.

    Args:
        hosts: where the loops run, and whose links lose packets, if they can.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._loops = BUSY_PER_CORE * (os.cpu_count() or 1)
        self._undo = ExitStack()

    def __str__(self) -> str:
        lost = LOST_PERCENT if self._hosts.can_cut else 0
        return f"{self._loops} busy loops, {os.cpu_count()} processors; {lost} % of packets lost"

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            if self._hosts.can_cut:
                links = Cut(frozenset(permutations(HOSTS, 2)), LOST_PERCENT)
                self._hosts.cut(links)
                undo.callback(self._hosts.mend, links)
            for _ in range(self._loops):
                command = self._hosts.command(HOSTS[0], BUSY)
                loop = subprocess.Popen(command, stdin=subprocess.DEVNULL)
                undo.callback(_end, loop)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


def _end(loop: subprocess.Popen[bytes]) -> None:
    loop.kill()
    loop.wait()
