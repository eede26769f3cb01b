"""Storms on real processes: ``python -m tests.storm`` and its parts.

``schedule`` draws from a seed what strikes when, ``nemeses`` and ``cuts`` do it. ``cluster`` holds
the processes of nodes and clients, ``hosts`` gives each of them a network of its own whose links
can be cut, ``enclosure`` keeps all that apart from the rest of the machine. ``client`` is a client
process, ``history`` what the clients write down, ``verdict`` judges it, and ``conductor`` leads a
storm from the first view to the verdict.
"""
