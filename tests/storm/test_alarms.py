"""False alarms are found in a view server's log, and the noise that must not raise one is noise."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pbactors.protocol.events import (
    Event,
    GraceGiven,
    RoleChanged,
    Suspected,
    SuspicionVoid,
    ViewAcknowledged,
    ViewInstalled,
)
from pbactors.protocol.view import FRESH, NO_VIEW, Member, Role, View
from tests.processes import DEADLINE_S, children_of, wait_until
from tests.storm.alarms import EXPLAINS_S, alarms_in
from tests.storm.held_node import HELD_MAX_MS, hold, holds
from tests.storm.hosts import Loopback
from tests.storm.noise import BUSY, Noise

B = Member("b", FRESH)
VIEW = ViewInstalled(View(3, B, None))
DEATH = RoleChanged(Role.VIEW_SERVER, "view acknowledged")
PAUSE = GraceGiven(612)


def log(*events: tuple[float, Event]) -> str:
    """Return what a view server writes, shortly before midnight and after it."""
    lines = []
    for at_s, event in events:
        time_s = (23 * 3600 + 59 * 60 + 58 + at_s) % (24 * 3600)
        minutes, seconds = divmod(time_s, 60)
        hours, minutes = divmod(minutes, 60)
        lines.append(f"{hours:02.0f}:{minutes:02.0f}:{seconds:06.3f}  view  {event}")
    return "\n".join(lines)


def test_a_quiet_log_has_no_alarm() -> None:
    alarms = alarms_in(log((0, Suspected("a")), (0.02, SuspicionVoid("a"))))
    assert (alarms.suspicions, alarms.void) == (1, 1)
    assert not alarms.false
    assert not alarms.explained
    assert not alarms.pauses


@pytest.mark.parametrize("alarm", [VIEW, DEATH, ViewInstalled(NO_VIEW)], ids=str)
def test_views_and_deaths_are_alarms(alarm: Event) -> None:
    assert alarms_in(log((0, Suspected("a")), (0.05, alarm))).false == [str(alarm)]


@pytest.mark.parametrize("alarm", [VIEW, DEATH], ids=str)
def test_a_pause_explains_what_follows_it_soon(alarm: Event) -> None:
    """“no view change but those the view server itself explains by a pause of the host”"""
    explained = alarms_in(log((0, PAUSE), (EXPLAINS_S - 0.1, alarm)))
    assert (explained.pauses, explained.explained) == ([str(PAUSE)], [str(alarm)])
    assert not explained.false
    assert alarms_in(log((0, PAUSE), (EXPLAINS_S + 0.1, alarm))).false == [str(alarm)]
    assert alarms_in(log((0, alarm), (0.1, PAUSE))).false == [str(alarm)]


def test_a_view_that_is_explained_explains_the_next_one() -> None:
    acked = ViewAcknowledged(3)
    events = [(0, PAUSE), (EXPLAINS_S - 0.1, VIEW), (EXPLAINS_S, acked), (EXPLAINS_S + 0.1, VIEW)]
    alarms = alarms_in(log(*events))
    assert len(alarms.explained) == 2
    assert not alarms.false


def test_a_held_interpreter_runs_no_other_thread() -> None:
    beats: list[float] = []
    ended = threading.Event()

    def beat() -> None:
        while not ended.is_set():
            beats.append(time.monotonic())
            time.sleep(0.001)

    beating = threading.Thread(target=beat)
    beating.start()
    switch_s = sys.getswitchinterval()
    try:
        wait_until(lambda: beats, what="a thread that runs")
        sys.setswitchinterval(DEADLINE_S)  # nobody takes the interpreter from us; we may give it
        before = len(beats)
        held_s = hold(HELD_MAX_MS / 1000)
        after = len(beats)
    finally:
        sys.setswitchinterval(switch_s)
        ended.set()
        beating.join()
    assert held_s >= HELD_MAX_MS / 1000
    assert after == before


def test_holds_are_read_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("12:00:00.000  a  serves\nheld by C for 212 ms\nheld by gc for 71 ms\n")
    assert list(holds(log)) == [("C", 212), ("gc", 71)]


def busy_loops() -> int:
    return sum(tuple(command[-2:]) == BUSY[-2:] for command in children_of(os.getpid()).values())


def test_noise_begins_and_ends() -> None:
    with Noise(Loopback()):
        wait_until(lambda: busy_loops() > (os.cpu_count() or 1), what="busy loops")
    assert busy_loops() == 0
