"""``ViewServerActor``: the view service on real sockets, with a durable store."""

from __future__ import annotations

import json
import logging
from typing import Any

import pykka

from pbactors import wire
from pbactors.actors.chronicle import Chronicle
from pbactors.actors.core_actor import Life
from pbactors.actors.node_actor import NodeActor
from pbactors.errors import StoreUnavailable
from pbactors.protocol.core import Address, Leave
from pbactors.protocol.events import Event, ViewInstalled, ViewServed
from pbactors.protocol.messages import Message, Ping
from pbactors.protocol.tool_messages import GetHistory, History
from pbactors.protocol.view import Member, ViewRecord
from pbactors.protocol.view_service import ViewService
from pbactors.topology import Topology
from pbactors.transport.interface import Transport
from pbactors.view_store import ViewStore, open_store

__all__ = ["ViewServerActor"]

logger = logging.getLogger("pbactors.node")

HISTORY_ENTRIES_MAX = 500
"""Views in one answer; who wants more asks again."""


class ViewServerActor(NodeActor):
    """The node that decides who is primary and who is backup.

    Args:
        topology: the cluster.
        form_new: form a new cluster in ``state_dir``, whatever stands there; without it a missing
            store is an error (R46).
        store: instead of the sqlite3 store in ``state_dir``; opened and used on the actor's thread.
        transport: instead of ZeroMQ sockets on the node's addresses.
        life: how the actor's end is known outside.

    Raises:
        AddressUnavailable: from ``start``: an address is taken.
        StoreUnavailable: from ``start``: the store is missing, locked, corrupt or foreign.
    """

    def __init__(
        self,
        topology: Topology,
        ready: pykka.Future[None],
        form_new: bool = False,
        store: ViewStore | None = None,
        transport: Transport | None = None,
        life: Life | None = None,
    ) -> None:
        super().__init__(topology, topology.view_server.name, ready, transport, life)
        self._form_new = form_new
        self._store = store
        self._chronicle: Chronicle | None = None

    def begin(self) -> None:
        """Open the store on the actor's thread, and go on from what it holds."""
        if self._store is None:
            self._store = open_store(
                self.topology.state_dir,
                form_new=self._form_new,
                cluster_name=self.topology.name,
            )
        for node in self.topology.replicas:
            self.transport.watch(node.name)
        super().begin()

    def make_core(self, member: Member) -> ViewService:
        """Return a view service that continues the stored view; its life has a chronicle of its
        own.
        """
        record = self._stored()
        self._chronicle = Chronicle(self._opened_store(), record.view)
        return ViewService(
            member,
            record,
            self.reports_on(),
            self.topology.contract,
            self.topology.timing,
        )

    def _stored(self) -> ViewRecord:
        record = self._opened_store().load()
        if record is None:
            raise StoreUnavailable("the view store holds no cluster; form one with form_new")
        return record

    def _opened_store(self) -> ViewStore:
        if self._store is None:
            raise StoreUnavailable("the view store is closed")
        return self._store

    def reports_on(self) -> list[str]:
        """Return the names of the topology's replicas."""
        return [node.name for node in self.topology.replicas]

    def on_message(self, source: Address, message: Message) -> None:
        """Answer who asks for the history; note who pings; everything else as any node does."""
        if isinstance(message, GetHistory):
            self._tell_history(source, message.after)
            return
        if isinstance(message, Ping) and self._chronicle is not None:
            self._chronicle.pinged(Member(source.node, source.incarnation), message)
        super().on_message(source, message)

    def on_told(self, message: Any) -> None:
        """Who is told to leave may: a view server has no role that another could take (R44)."""
        if isinstance(message, Leave):
            self.life.left.set()
        else:
            super().on_told(message)

    def _tell_history(self, asker: Address, after: int) -> None:
        """Answer from the store. If that fails, say nothing: a question must not end the node."""
        try:
            entries, left = self._opened_store().history(after, HISTORY_ENTRIES_MAX)
        except StoreUnavailable as error:
            logger.warning("%s cannot tell the history of views: %s", self.name, error)
            return
        lines = "".join(json.dumps(entry._asdict()) + "\n" for entry in entries)
        self.send(asker, History(left, lines.encode()))

    def on_event(self, event: Event) -> None:
        """Write down views; everything else as any node does."""
        if self._chronicle is not None:
            if isinstance(event, ViewInstalled):
                self._chronicle.installed(event)
            elif isinstance(event, ViewServed):
                self._chronicle.served()
        super().on_event(event)

    def persist(self, record: ViewRecord) -> None:
        """Make a view durable before anyone hears of it (R14)."""
        self._opened_store().save(record)

    def publish(self, message: Message) -> None:
        """Tell all who follow views."""
        body = wire.encode(self.core.cluster, self.core.member, message)
        if self.recorder is not None:
            for node in self.topology.replicas:
                self.recorder.sent(self.recorder.now_ms(), node.name, message, body, dropped=False)
        self.transport.publish(wire.VIEW_TOPIC, body)

    def close_resources(self) -> None:
        """Release the store and its lock."""
        if self._store is not None:
            self._store.close()
            self._store = None
