"""Kills primaries and backups at random moments, and lets them come back empty."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from demonstration.cluster import Cluster
from pbactors.heartbeat import ViewSummary

__all__ = ["Storm"]

CALM_S = 2.0
"""How long nobody is killed at the beginning and at the end; less if there is little time."""

AWAY_S = 1.0
"""How long a killed node stays away at most."""

HEAL_S = 30.0
"""How long the cluster may take until it has a filled backup again."""

PAUSE_S = 0.5
"""How long a cluster that has just healed is left in peace at most."""

INTERVAL_S = 0.05


class Storm:
    """Random kills over some time, each only when it cannot hit the last copy.

    A cluster survives the loss of primary or backup while both hold everything, which is so in an
    acknowledged view with a backup. In any other moment the only holder of the state could be hit;
    then the cluster would rightly stop, and there would be nothing to see.

    Args:
        cluster: whom it hits.
        chance: where all of it comes from.
        seconds: how long it lasts.
        kills: how often it strikes.
        say: told what happens, as text.
        fault: asked all the time whether something is wrong that is not the storm's doing.

    Attributes:
        killed: for each kill the role that was hit.
        views: how many views there were.
    """

    def __init__(
        self,
        cluster: Cluster,
        chance: Random,
        seconds: float,
        kills: int,
        say: Callable[[str], None],
        fault: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._chance = chance
        self._say = say
        self._fault = fault
        start_s = time.monotonic()
        calm_s = min(CALM_S, seconds / 4)
        self._end_s = start_s + seconds
        self._strikes_s = sorted(
            start_s + chance.uniform(calm_s, seconds - calm_s) for _ in range(kills)
        )
        self._returns_s: dict[str, float] = {}
        self._shown: ViewSummary | None = None
        self._wounded = 0  # the number of the view that was hit last
        self._peace_s: float | None = None  # until when a healed cluster is left in peace
        self.killed: list[str] = []
        self.views = 0

    def rage(self) -> None:
        """Strike until the time is over and the last wound has healed.

        Raises:
            RuntimeError: the cluster does not heal, or there was a fault.
        """
        patience_s = time.monotonic() + HEAL_S
        while True:
            self._fault()
            now_s = time.monotonic()
            self._bring_back(now_s)
            view = self._look()
            if view is not None and self._is_healed(view):
                patience_s = now_s + HEAL_S
                if self._is_time(now_s):
                    self._strike(view, now_s)
                elif not self._strikes_s and not self._returns_s and now_s >= self._end_s:
                    return
            elif now_s > patience_s:
                raise RuntimeError(f"no acknowledged view with a backup within {HEAL_S:.0f} s")
            time.sleep(INTERVAL_S)

    def _is_time(self, now_s: float) -> bool:
        """Tell whether to strike: not always at the very moment of healing, if kills are due."""
        if self._peace_s is None:
            self._peace_s = now_s + self._chance.uniform(0, PAUSE_S)
        return bool(self._strikes_s) and max(self._strikes_s[0], self._peace_s) <= now_s

    def _strike(self, view: ViewSummary, now_s: float) -> None:
        del self._strikes_s[0]
        role = self._chance.choice(["primary", "backup"])
        name = view.primary if role == "primary" else view.backup
        if name is None:
            raise RuntimeError(f"view {view.number} has no {role}")
        self._cluster.kill(name)
        self._wounded = view.number
        self._peace_s = None
        self.killed.append(role)
        self._returns_s[name] = now_s + self._chance.uniform(0, AWAY_S)
        self._say(f"kill -9 {name}, the {role} of view {view.number}")

    def _is_healed(self, view: ViewSummary) -> bool:
        """Tell whether primary and backup both live and both hold everything.

        The view that was hit goes on being reported until the view server notices.
        """
        return view.number > self._wounded and view.acked and view.backup is not None

    def _bring_back(self, now_s: float) -> None:
        for name in [name for name, due_s in self._returns_s.items() if due_s <= now_s]:
            del self._returns_s[name]
            self._cluster.start_node(name)
            self._say(f"{name} starts again, empty")

    def _look(self) -> ViewSummary | None:
        view = self._cluster.view()
        if view is not None and view != self._shown:
            self._shown = view
            self.views = view.number
            primary, backup = view.primary or "none", view.backup or "none"
            state = "" if view.acked else ", not acknowledged yet"
            self._say(f"view {view.number}: primary {primary}, backup {backup}{state}")
        return view
