"""Tests of links, run inside an enclosure by ``test_enclosure.py``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.storm.hosts import Cut, SeparateHosts

COUNT = 1000

RECEIVER = """
import socket, sys, time
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
listener.bind(("0.0.0.0", 9000))
print("listens", flush=True)
sys.stdin.read()
listener.settimeout(float(sys.argv[1]))
times = []
try:
    while len(times) < int(sys.argv[2]):
        listener.recv(2000)
        times.append(time.monotonic())
except TimeoutError:
    pass
print(len(times), times[-1] - times[0] if times else 0.0)
"""

SENDER = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    sender.sendto(bytes(int(sys.argv[3])), (sys.argv[1], 9000))
"""


@pytest.fixture
def hosts() -> Iterator[SeparateHosts]:
    with SeparateHosts(["a", "b", "c"]) as hosts:
        yield hosts


def send(
    hosts: SeparateHosts, source: str, target: str, count: int = COUNT, size: int = 10
) -> tuple[int, float]:
    """Send datagrams and return how many came, and in which time."""
    python = [sys.executable, "-c"]
    # one that is not lost takes no noticeable time, except on a slow link
    wait_s = "0.3" if size < 1000 else "5"
    command = hosts.command(target, [*python, RECEIVER, wait_s, str(count)])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "listens\n"
        ip = hosts.address(target)[0].removeprefix("tcp://").partition(":")[0]
        sending = hosts.command(source, [*python, SENDER, ip, str(count), str(size)])
        subprocess.run(sending, check=True)
        came, took_s = receiver.communicate()[0].split()
    return int(came), float(took_s)


def both_ways(one: str, other: str) -> frozenset[tuple[str, str]]:
    return frozenset({(one, other), (other, one)})


def test_hosts_reach_each_other(hosts: SeparateHosts) -> None:
    assert send(hosts, "a", "b")[0] == COUNT
    assert send(hosts, "c", "a")[0] == COUNT


def test_a_whole_cut_and_its_end(hosts: SeparateHosts) -> None:
    cut = Cut(both_ways("a", "b"))
    hosts.cut(cut)
    assert send(hosts, "a", "b")[0] == send(hosts, "b", "a")[0] == 0
    assert send(hosts, "c", "b")[0] == COUNT
    hosts.mend(cut)
    assert send(hosts, "a", "b")[0] == COUNT


def test_a_cut_in_one_direction(hosts: SeparateHosts) -> None:
    hosts.cut(Cut(frozenset({("a", "b")})))
    assert send(hosts, "a", "b")[0] == 0
    assert send(hosts, "b", "a")[0] == COUNT


def test_a_link_that_loses_some(hosts: SeparateHosts) -> None:
    hosts.cut(Cut(both_ways("a", "b"), 30))
    assert COUNT * 0.5 < send(hosts, "a", "b")[0] < COUNT * 0.9


def test_of_overlapping_cuts_the_worst_counts(hosts: SeparateHosts) -> None:
    whole, some = Cut(both_ways("a", "b")), Cut(both_ways("a", "b"), 30)
    hosts.cut(some)
    hosts.cut(whole)
    assert send(hosts, "a", "b")[0] == 0
    hosts.mend(whole)
    assert 0 < send(hosts, "a", "b")[0] < COUNT
    hosts.mend(some)
    assert send(hosts, "a", "b")[0] == COUNT


def test_a_slow_host(hosts: SeparateHosts) -> None:
    hosts.slow("a", 200)
    came, took_s = send(hosts, "a", "b", 30, 1000)
    assert came == 30
    # 30 kB less one burst, at 25 kB a second; a busy machine can only be slower
    assert took_s > 0.8
    hosts.slow("a", None)
    assert send(hosts, "a", "b")[0] == COUNT
