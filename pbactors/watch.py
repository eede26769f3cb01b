"""Watching a cluster: ``tail`` follows heartbeats, ``ask_nodes`` asks each node once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pbactors import heartbeat
from pbactors.errors import MalformedMessage
from pbactors.heartbeat import Arrival, GapDetector, Record
from pbactors.protocol.tool_messages import GetHistory, GetStatus, History, StatusReply
from pbactors.questions import ask
from pbactors.topology import Topology, load
from pbactors.transport.subscriber import Subscriber
from pbactors.view_store import HistoryEntry

__all__ = ["Beat", "ask_history", "ask_nodes", "ask_view_server", "tail"]


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat, and what its sequence number says about those before it.

    Attributes:
        record: what the node says of itself.
        missed: heartbeats of this node that were lost on the way; PUB sockets drop without a word.
        restarted: whether the node has begun a new, empty life since its last heartbeat.
    """

    record: Record
    missed: int
    restarted: bool


def tail(topology: str | Path | Topology, timeout_s: float | None = None) -> Iterator[Beat]:
    """Yield the heartbeats of all nodes as they come. Junk is passed over.

    Args:
        topology: a topology, or the path of its file.
        timeout_s: end after so many seconds; None goes on for ever.

    Raises:
        TopologyError: the file is wrong.
    """
    if not isinstance(topology, Topology):
        topology = load(topology)
    gaps = GapDetector()
    addresses = {node.name: node.heartbeat for node in topology.nodes}
    until_s = None if timeout_s is None else time.monotonic() + timeout_s
    with Subscriber(addresses, heartbeat.TOPIC) as subscriber:
        while True:
            left_ms = None if until_s is None else (until_s - time.monotonic()) * 1000
            received = subscriber.receive(left_ms)
            if received is None:
                return
            try:
                record = heartbeat.decode(received.body)
            except MalformedMessage:
                continue
            arrival: Arrival = gaps.feed(record)
            if not arrival.outdated:
                yield Beat(record, arrival.missed, arrival.restarted)


def ask_history(topology: Topology, timeout_s: float = 2.0) -> list[HistoryEntry] | None:
    """Ask the view server which views there were.

    Args:
        topology: whose.
        timeout_s: for each answer; a long history comes in several.

    Returns:
        Every view that it remembers, the oldest first; None if it does not answer, or not so.
    """
    view_server = topology.view_server
    addresses = {view_server.name: view_server.address}
    entries: list[HistoryEntry] = []
    while True:
        after = entries[-1].number if entries else 0
        answer = ask(addresses, GetHistory(after), timeout_s).get(view_server.name)
        if not isinstance(answer, History):
            return None
        try:
            entries += [HistoryEntry(**json.loads(line)) for line in answer.lines.splitlines()]
        except (ValueError, TypeError):  # junk, or lines of another version
            return None
        if not answer.left or not answer.lines:
            return entries


def ask_nodes(topology: Topology, timeout_s: float = 0.5) -> dict[str, Record]:
    """Ask every node what it is, all at once.

    Args:
        topology: whose nodes to ask.
        timeout_s: for all of them together.

    Returns:
        Records by node name; a node that did not answer in time is missing.
    """
    addresses = {node.name: node.address for node in topology.nodes}
    records = {}
    for name, answer in ask(addresses, GetStatus(), timeout_s).items():
        if isinstance(answer, StatusReply):
            with contextlib.suppress(MalformedMessage):
                records[name] = heartbeat.decode(answer.record)
    return records


def ask_view_server(topology: Topology, timeout_s: float = 0.5) -> Record | None:
    """Ask the view server alone what it is; None if it does not answer in time."""
    only = replace(topology, nodes=(topology.view_server,))
    return ask_nodes(only, timeout_s).get(topology.view_server.name)
