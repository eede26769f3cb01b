"""Topology files: which nodes there are, where they listen, and the numbers of the cluster.

``load`` reads one, or reports everything that is wrong with it at once. ``topology/README.md``
explains every key. Whether a machine's class exists is not looked at here, only how its path is
spelled: checking a file runs no code of anybody.
"""

from pbactors.topology.model import Node, NodeRole, Topology
from pbactors.topology.reader import load

__all__ = ["Node", "NodeRole", "Topology", "load"]
