"""Measure how soon planted bugs are found, and write the table of ``docs/testing.md``.

python -m tests.planted.measure                     every mutant
python -m tests.planted.measure "ack from"          those with these words in their names
python -m tests.planted.measure --table             only write the table, from mutants.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.planted.hunters import SEARCHES, explored, simulated
from tests.planted.mutants import MUTANTS, SURVIVORS, Mutant
from tests.planted.planting import planted

__all__ = ["BEGIN", "END", "measure", "table"]

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "testing.md"
BEGIN = "<!-- planted bugs: begin -->\n"
END = "<!-- planted bugs: end -->\n"

SECONDS_MAX = 60.0
STATES_MAX = 300_000


def measure(mutant: Mutant) -> str:
    """Return how soon the simulator, from seed 0, or else the explorer finds a mutant."""
    with planted(*mutant.changes):
        began_s = time.perf_counter()
        seed = 0
        while time.perf_counter() - began_s < SECONDS_MAX:
            catch = simulated([seed])
            if catch is not None:
                seconds = time.perf_counter() - began_s
                return (
                    f"schedule {seed + 1} (seed {seed}), {seconds:.1f} s: {catch.violation[:120]}"
                )
            seed += 1
        tried = f"not in {seed} schedules"
        for name in SEARCHES:
            began_s = time.perf_counter()
            catch = explored(name, STATES_MAX)
            if catch is not None:
                seconds = time.perf_counter() - began_s
                return (
                    f"{tried}; explorer, {name!r}: {catch.after} states, {seconds:.1f} s: "
                    f"{catch.violation[:120]}"
                )
    return f"{tried}; not by the explorer either"


def table() -> str:
    """Return the table of mutants as Markdown."""
    lines = ["| planted bug | breaks | found by |", "| --- | --- | --- |"]
    for mutant in (*MUTANTS, *SURVIVORS):
        rule = mutant.rule.replace("|", "\\|")
        lines.append(f"| {mutant.name} | {rule} | {_finder(mutant)} |")
    return "\n".join(lines) + "\n"


def _finder(mutant: Mutant) -> str:
    if mutant.search is not None:
        return f"explorer, {mutant.search}: {mutant.states:,} states"
    if mutant.seed is not None:
        return f"simulator: schedule {mutant.seed + 1}"
    return f"nobody: {mutant.survives}"


def main(words: Sequence[str]) -> None:
    """Do what the words of the command line say."""
    if words == ["--table"]:
        text = DOCUMENT.read_text()
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        DOCUMENT.write_text(head + BEGIN + table() + END + tail)
        return
    for mutant in (*MUTANTS, *SURVIVORS):
        if all(word in mutant.name for word in words):
            print(f"{mutant.name}: {measure(mutant)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
