"""Leads a storm from the first view to the verdict."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pbactors
from pbactors.heartbeat import Record, ViewSummary
from pbactors.workload import Invocation
from tests.storm.cluster import NODE_PROGRAM, VIEW_SERVER, Cluster
from tests.storm.history import HistoryWriter, StormLoad, answered_since, read_folder, round_of
from tests.storm.hosts import Hosts
from tests.storm.nemeses import Nemeses, NotNow
from tests.storm.schedule import Strike
from tests.storm.sparing import GONE, lacks_two_holders
from tests.storm.verdict import judge_calls, summary, without_a_seen_write

__all__ = ["Conductor", "WentWrong"]

SERVES_WITHIN_S: Final = 45.0
"""How long the cluster may take until it serves again once everything is healed. Usually about a
second; a machine that is busy with other things gets time."""

PATIENCE_S: Final = 2.0
"""How long a strike waits for its victim, before it is passed over."""

LOOK_EVERY_S: Final = 0.25
STUCK_WITHIN_S: Final = 30.0
STUCK_FOR_S: Final = 3.0
INTERVAL_S: Final = 0.02


class WentWrong(Exception):
    """Something is wrong that no storm excuses."""


class Accident(Exception):
    """The last holder of the state was killed although it was to be spared."""


class Conductor:
    """One storm.

    Args:
        hosts: where the processes run.
        folder: for everything that is written.
        seed: of the storm's and the clients' choices.
        say: told what happens, as text.
        replica_program: the command of a replica, without topology and name.
    """

    def __init__(
        self,
        hosts: Hosts,
        folder: Path,
        seed: int,
        say: Callable[[str], None],
        replica_program: Sequence[str] = NODE_PROGRAM,
    ) -> None:
        self._folder = folder
        self._say = say
        self._cluster = Cluster(hosts, folder, seed, replica_program)
        self._random = random.Random(f"open choices of {seed}")
        self._nemeses = Nemeses(self._cluster, hosts, self._random, say)
        self._views: dict[int, tuple[str | None, str | None]] = {}
        self._shown: ViewSummary | None = None
        self._look_s = 0.0
        self._passed_over = 0

    def run(
        self, waves: Sequence[Sequence[Strike]], *, to_the_end: bool = False
    ) -> Sequence[Sequence[Strike]]:
        """Storm, calm down, read everything, judge.

        Args:
            waves: what strikes when.
            to_the_end: kill the last holder of the state at last: the cluster must say that it is
                stuck, and answer nothing any more.

        Returns:
            The waves that are left: some if the last holder of the state was killed by accident.

        Raises:
            WentWrong: anything is wrong.
        """
        left = list(waves)
        with self._cluster:
            self._cluster.form()
            self._wait_until_it_serves("the cluster was formed")
            try:
                while left:
                    wave = left.pop(0)
                    self._say(f"--- wave {len(waves) - len(left)} of {len(waves)}")
                    self._rage(wave)
                    self._wait_until_it_serves("everything had healed")
            except Accident as accident:
                self._say(f"--- an accident: {accident}")
                self._stays_stuck()
            else:
                if to_the_end:
                    self._kill_the_last()
                else:
                    self._finish()
            self._look_at_processes()
        self._judge()
        return left

    def _finish(self) -> None:
        self._say("the clients finish")
        wrong = list(self._cluster.finish_clients())
        if wrong:
            raise WentWrong("; ".join(wrong))
        self._say("reading everything back")
        self._read_back()

    # -- storming -----------------------------------------------------------------------------

    def _rage(self, wave: Sequence[Strike]) -> None:
        start_s = time.monotonic()
        for strike in wave:
            why = self._wait_and_strike(strike, start_s + strike.at_s)
            if why is not None:
                self._passed_over += 1
                self._say(f"passed over: {strike}: {why}")
        while self._nemeses.wounds:
            self._step()

    def _wait_and_strike(self, strike: Strike, due_s: float) -> NotNow | None:
        """Strike as soon as it is time and possible; return why it was not."""
        while True:
            self._step()
            if time.monotonic() < due_s:
                continue
            try:
                self._nemeses.strike(strike)
            except NotNow as error:
                if time.monotonic() >= due_s + PATIENCE_S:
                    return error
            else:
                return None

    def _step(self) -> None:
        """What goes on all the time."""
        self._nemeses.heal(time.monotonic())
        self._look_at_processes()
        if time.monotonic() >= self._look_s:
            self._look()
        time.sleep(INTERVAL_S)

    # -- looking ------------------------------------------------------------------------------

    def _look_at_processes(self) -> None:
        ended = list(self._cluster.ended())
        if ended:
            raise WentWrong("; ".join(ended))

    def _look(self) -> Mapping[str, Record]:
        """Return what the nodes say of themselves. There is one history of views."""
        records = self._cluster.ask()
        self._look_s = time.monotonic() + LOOK_EVERY_S
        for name, record in records.items():
            view = record.view
            pair = (view.primary, view.backup)
            known = self._views.setdefault(view.number, pair)
            if known != pair:
                raise WentWrong(f"view {view.number} is {known}, but for {name} it is {pair}")
        if VIEW_SERVER in records:
            self._show(records[VIEW_SERVER].view)
        return records

    def _show(self, view: ViewSummary) -> None:
        shown = self._shown
        if shown is not None and view.number < shown.number:
            raise WentWrong(f"the view server went back from view {shown.number} to {view.number}")
        if view != shown:
            self._shown = view
            state = "" if view.acked else ", not acknowledged yet"
            backup = view.backup or "none"
            self._say(f"view {view.number}: primary {view.primary}, backup {backup}{state}")

    def _wait_until_it_serves(self, since: str) -> None:
        """Wait until two nodes hold the state, and a call is answered."""
        start_s = time.monotonic()
        until_s = start_s + SERVES_WITHIN_S
        while (why_not := lacks_two_holders(records := self._look())) is not None:
            self._look_at_processes()
            if VIEW_SERVER in records:
                accident = self._nemeses.sparing.accident(records[VIEW_SERVER])
                if accident is not None:
                    raise Accident(accident)
            if time.monotonic() > until_s:
                raise WentWrong(f"{SERVES_WITHIN_S:.0f} s after {since}, {why_not}")
            time.sleep(INTERVAL_S)
        self._call([Invocation("increment", ("served", 1))], until_s)
        self._say(f"--- it serves, {time.monotonic() - start_s:.2f} s after {since}")

    # -- calling ------------------------------------------------------------------------------

    def _call(self, invocations: Sequence[Invocation], until_s: float) -> None:
        """Call as a client that is never cut off, and write it into the history."""
        writer = HistoryWriter(self._folder / f"conductor-{time.monotonic_ns()}.history")
        try:
            with pbactors.connect(self._cluster.topology) as cluster:
                begun = []
                for invocation in invocations:
                    method = getattr(StormLoad.machine, invocation.method)
                    number = writer.began("conductor", invocation)
                    left_s = max(0.1, until_s - time.monotonic())
                    future = cluster.submit(method, *invocation.arguments, timeout_s=left_s)
                    begun.append((number, future))
                for number, future in begun:
                    writer.ended(number, future.get())
        except pbactors.CallError as error:
            raise WentWrong(f"a call in the calm: {type(error).__name__}: {error}") from error
        finally:
            writer.close()

    def _read_back(self) -> None:
        load = StormLoad(rounds=round_of(self._cluster.start_ns) + 1)
        self._call(load.final(), time.monotonic() + SERVES_WITHIN_S)

    # -- the last holder ----------------------------------------------------------------------

    def _kill_the_last(self) -> None:
        """Kill both holders of the state, start them again, empty, and expect the truth."""
        view = self._view_server().view
        members = [name for name in (view.primary, view.backup) if name is not None]
        self._say(f"kill -9 {' and '.join(members)}, who hold the state, and start them, empty")
        for name in members:
            self._cluster.kill(name)
        for name in members:
            self._cluster.start(name)
        until_s = time.monotonic() + STUCK_WITHIN_S
        # At first it waits for one of them; once it has heard their new lives, it knows.
        while not (server := self._view_server()).stuck or GONE not in server.state:
            if time.monotonic() > until_s:
                raise WentWrong(f"the state is gone, but the view server says: {server.state}")
            time.sleep(INTERVAL_S)
        self._say(f"the view server says: {server.state}")
        self._stays_stuck()

    def _stays_stuck(self) -> None:
        """A cluster whose state is gone says so and answers nothing that is asked from now on.

        What was asked before may have been answered before; a client may be late to read it.
        """
        since_ns = time.monotonic_ns()
        with pbactors.connect(self._cluster.topology) as cluster:
            load, probe = StormLoad.machine, Invocation("increment", ("stuck", 1))
            method = getattr(load, probe.method)
            future = cluster.submit(method, *probe.arguments, timeout_s=STUCK_FOR_S)
            until_s = time.monotonic() + STUCK_FOR_S
            while time.monotonic() < until_s:
                server = self._view_server()
                if not server.stuck:
                    raise WentWrong(f"it was stuck for good, but then said: {server.state}")
                time.sleep(INTERVAL_S)
            with suppress(pbactors.NotSent, pbactors.OutcomeUnknown):
                answer = future.get()
                raise WentWrong(f"{probe} came to {answer!r} although the state was gone")
        self._cluster.end_clients()
        answered = answered_since(self._folder, since_ns)
        if answered:
            raise WentWrong(f"{answered} calls were answered although the state was gone")

    def _view_server(self) -> Record:
        record = self._look().get(VIEW_SERVER)
        if record is None:
            raise WentWrong("the view server does not answer, and nothing was done to it")
        return record

    # -- the end ------------------------------------------------------------------------------

    def _judge(self) -> None:
        calls = read_folder(self._folder)
        done = ", ".join(f"{count} {kind}" for kind, count in sorted(self._nemeses.done.items()))
        self._say(
            f"{sum(self._nemeses.done.values())} strikes ({done or 'none'}), {self._passed_over} "
            f"passed over; {max(self._views)} views"
        )
        self._say(summary(calls))
        verdict = judge_calls(calls)
        self._say(f"verdict: {verdict.text}")
        if not verdict.linearizable:
            raise WentWrong("the history is not right, or too hard to judge")
        forged = without_a_seen_write(calls)
        if forged is None:
            self._say("no write was seen by anybody, so the judge could not be tried")
            return
        if judge_calls(forged).linearizable is not False:
            raise WentWrong("the judge also accepts the history without a write that was seen")
        self._say("without one of the writes that were seen it is not accepted, as it must be")
