"""Whole storms: three minutes with ``tools/test --storm``, thirty with ``tools/test --long``.

``PBACTORS_STORM_SECONDS`` and ``PBACTORS_STORM_SEED`` choose otherwise.
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import Final

import pytest

from tests.storm.enclosure import missing
from tests.storm.running_storm import LONG, need_links, start
from tests.storm.schedule import ALL_NEMESES

SECONDS: Final = float(os.environ.get("PBACTORS_STORM_SECONDS") or (1800 if LONG else 180))
SEED: Final = int(os.environ.get("PBACTORS_STORM_SEED") or secrets.randbelow(1_000_000))
NEMESES: Final = ALL_NEMESES if LONG else ("kills", "stops", "partitions")
LAST_SECONDS: Final = 10.0
"""How long it storms before the last holder of the state is killed."""

pytestmark = pytest.mark.storm


def run(capfd: pytest.CaptureFixture[str], *options: str) -> None:
    """Run a storm to its end, seen by whoever watches the tests."""
    with capfd.disabled(), start(*options) as (process, folder):
        print(flush=True)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)  # its last process may be about to end
            raise
    if code != 0:
        pytest.fail(
            f"the storm ended with code {code}; logs and histories are kept\n"
            f"  to read what happened:  less {folder}/storm.log\n"
            f"  to judge it once more:  python -m tests.storm --judge {folder}\n"
            f"  to storm once more:     python -m tests.storm {' '.join(options)}",
            pytrace=False,
        )
    shutil.rmtree(folder)


@pytest.mark.timeout(SECONDS * 2 + 600)
def test_a_storm_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--seed", str(SEED), "--seconds", f"{SECONDS:g}", "--nemeses"]
    if missing() is None or LONG:
        run(capfd, *options, ",".join(NEMESES))
    else:
        # The test of the links below is counted as skipped, and says why.
        without = [name for name in NEMESES if name != "partitions"]
        run(capfd, *options, ",".join(without), "--loopback")


@pytest.mark.timeout(SECONDS * 2 + 600)
def test_noise_raises_no_false_alarm(capfd: pytest.CaptureFixture[str]) -> None:
    """“no view change but those the view server itself explains by a pause of the host”"""
    place = [] if missing() is None or LONG else ["--loopback"]
    run(capfd, "--seed", str(SEED), "--seconds", f"{SECONDS:g}", "--noise", *place)


@pytest.mark.timeout(300)
def test_without_the_last_holder_of_the_state_it_is_stuck_and_says_so(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """R25: the system then stays stuck, safely, and says so."""
    place = [] if missing() is None else ["--loopback"]
    options = ["--seed", str(SEED), "--seconds", f"{LAST_SECONDS:g}", "--nemeses", "kills,stops"]
    run(capfd, *options, "--to-the-end", *place)


def test_links_between_nodes_could_be_cut() -> None:
    need_links()
