"""Watches a cluster that has every reason to raise a false alarm, and must raise none."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.storm.alarms import Alarms, alarms_in
from tests.storm.cluster import REPLICAS, VIEW_SERVER
from tests.storm.conductor import SERVES_WITHIN_S, Conductor, WentWrong
from tests.storm.held_node import holds
from tests.storm.hosts import Hosts
from tests.storm.noise import Noise

__all__ = ["Vigil"]

TELL_EVERY_S: Final = 60.0


class Vigil(Conductor):
    """Leads a cluster through noise: busy processors, held interpreters, lost packets.

    Args:
        hosts: where the processes run.
        folder: for everything that is written.
        seed: of all choices.
        say: told what happens, as text.
    """

    def __init__(self, hosts: Hosts, folder: Path, seed: int, say: Callable[[str], None]) -> None:
        held = (sys.executable, "-m", "tests.storm.held_node", str(seed))
        super().__init__(hosts, folder, seed, say, replica_program=held)
        self._noise = Noise(hosts)
        self._log = folder / f"{VIEW_SERVER}.log"
        self._told_s = 0.0

    def keep(self, seconds: float) -> None:
        """Make noise for so long; then read everything, and judge.

        Raises:
            WentWrong: there was a false alarm, or anything else is wrong.
        """
        with self._cluster:
            self._cluster.form()
            self._wait_until_it_serves("the cluster was formed")
            self._wait_until_all_live()
            formed = self._log.stat().st_size
            with self._noise:
                self._say(f"--- {self._noise}")
                self._endure(seconds, formed)
            self._say("--- silence")
            self._finish()
            self._look_at_processes()
            self._raise_if_false(self._alarms_since(formed))
        self._say_what_was_held()
        self._say(f"the view server tells of {self._alarms_since(formed)}")
        self._judge()

    def _wait_until_all_live(self) -> None:
        """Wait for the third replica too: who has never pinged cannot be taken for dead."""
        until_s = time.monotonic() + SERVES_WITHIN_S
        while (living := self._living()) != set(REPLICAS):
            if time.monotonic() > until_s:
                raise WentWrong(f"only {sorted(living)} count as alive, in a cluster without noise")
            self._step()

    def _living(self) -> set[str]:
        alive = self._view_server().alive
        return {name for name in REPLICAS if name in alive and alive[name].alive}

    def _endure(self, seconds: float, formed: int) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._step()
            if time.monotonic() >= self._told_s + TELL_EVERY_S:
                self._told_s = time.monotonic()
                alarms = self._alarms_since(formed)
                self._say(f"{alarms}")
                self._raise_if_false(alarms)

    def _alarms_since(self, place: int) -> Alarms:
        return alarms_in(self._log.read_bytes()[place:].decode())

    def _raise_if_false(self, alarms: Alarms) -> None:
        if alarms.false:
            raise WentWrong(f"false alarms, with every node alive: {'; '.join(alarms.false)}")

    def _say_what_was_held(self) -> None:
        """Say how long the interpreters were held, so that nobody takes quiet for noise."""
        count, held_ms, most_ms = Counter[str](), Counter[str](), Counter[str]()
        for name in REPLICAS:
            for what, ms in holds(self._folder / f"{name}.log"):
                count[what] += 1
                held_ms[what] += ms
                most_ms[what] = max(most_ms[what], ms)
        for what in sorted(count):
            self._say(
                f"the replicas' interpreters were held by {what} {count[what]:,} times, "
                f"{held_ms[what] / 1000:.0f} s in all, {most_ms[what]} ms at most"
            )
        if not count:
            raise WentWrong("no interpreter was held, so nothing was tried")
