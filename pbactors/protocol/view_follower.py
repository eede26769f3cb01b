"""What replicas and clients have in common: they follow the views of one view server.

They learn the cluster's id from its first reply (R46), adopt only a higher view number under that
id (R30), and take views from nobody else: a number in a peer's message is a hint to ask.
"""

from __future__ import annotations

from abc import abstractmethod

from pbactors.protocol.core import Address, Core, Outbox
from pbactors.protocol.events import ClusterJoined, Ignored, ViewAcknowledged
from pbactors.protocol.messages import Message, Superseded, ViewReply
from pbactors.protocol.view import NO_VIEW, Member, View

__all__ = ["ViewFollower"]


class ViewFollower(Core):
    """A core that follows views.

    Args:
        member: this node in this life.
        view_server: name of the node whose views count.

    Attributes:
        view: the newest view adopted.
        acked: whether it was acknowledged when last heard of.
    """

    def __init__(self, member: Member, view_server: str) -> None:
        super().__init__(member, cluster=b"")
        self.view_server = view_server
        self.view: View = NO_VIEW
        self.acked = False

    def learn_cluster(self, source: Address, message: Message, out: Outbox) -> None:
        """The view server's first reply names the cluster."""
        of_views = isinstance(message, ViewReply | Superseded)
        if source.cluster and of_views and source.node == self.view_server:
            self.cluster = source.cluster
            out.emit(ClusterJoined(self.cluster))

    def on_view_reply(self, source: Address, reply: ViewReply, out: Outbox) -> None:
        """Adopt a higher view (R30)."""
        reason = self.ignore_view_reply(source, reply)
        if reason is not None:
            out.emit(Ignored(ViewReply, reason))
            return
        if reply.view.number == self.view.number:
            if reply.acked and not self.acked:
                self.acked = True
                out.emit(ViewAcknowledged(reply.view.number))
        else:
            before, self.view, self.acked = self.view, reply.view, reply.acked
            self.adopted(before, out)

    def ignore_view_reply(self, source: Address, reply: ViewReply) -> str | None:
        """Return why this reply says nothing new, or None."""
        if source.node != self.view_server:
            return "a view from a node that is not the view server"
        if reply.view.number < self.view.number:
            return "an older view"
        return None

    @abstractmethod
    def adopted(self, before: View, out: Outbox) -> None:
        """``self.view`` has just replaced ``before``."""
