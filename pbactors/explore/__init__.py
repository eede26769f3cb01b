"""The explorer: every order of messages, losses, repeats, timers, crashes and restarts, within
stated bounds, on the real cores.

Messages are never removed from the network, as in the searches of dslabs: each may arrive any
number of times, at any time later, or never. So one search covers loss, delay, repetition and
reordering of everything.
"""

from pbactors.explore.bounds import Bounds
from pbactors.explore.scenario import NotFormed, Scenario, loads_from
from pbactors.explore.search import Found, search, walk
from pbactors.explore.story import tell

__all__ = ["Bounds", "Found", "NotFormed", "Scenario", "loads_from", "search", "tell", "walk"]
