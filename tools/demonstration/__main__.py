"""``tools/demo``: four clients, a storm of kills, and a verdict."""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pbactors
from demonstration.clients import appending
from demonstration.cluster import Cluster
from demonstration.evidence import Evidence, findings
from demonstration.script import PREFIX, Script
from demonstration.storm import Storm
from pbactors.machines.kv import KeyValueStore

CLIENTS = 4
FINDINGS_SHOWN_MAX = 10
READ_TIMEOUT_S = 30.0
DECLARATION = Path(__file__).parent / "declaration.txt"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the program with code 2."""
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Four client processes append the lines of a text to shared keys while "
        "primaries and backups are killed. Then every acknowledged line must be there once, in "
        "order. Exit code 0: so it was; 1: it was not.",
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default 20)")
    parser.add_argument("--kills", type=int, default=6, help="how many (default 6)")
    parser.add_argument("--seed", type=int, help="of when and whom (default: a new one)")
    parser.add_argument(
        "--text", type=Path, default=DECLARATION, help="the text (default: one from 1776)"
    )
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.kills < 0:
        parser.error("expected --seconds above 0 and --kills of 0 or more")
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    try:
        options.script = Script.of(options.text)
    except (OSError, ValueError) as error:
        parser.error(f"--text {options.text}: {error}")
    return options


class Demonstration:
    """One run.

    Args:
        options: from ``parse``.
        folder: for everything that it writes.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._start_s = time.monotonic()
        self._evidence: list[Evidence] = []
        self._storm: Storm | None = None

    def run(self) -> list[str]:
        """Do it, print the table, and return everything that was wrong."""
        try:
            wrong = self._storm_and_judge()
        except (RuntimeError, OSError, pbactors.PbactorsError) as error:
            wrong = [f"the demonstration came to no end: {error}"]
        self._print_table(wrong)
        return wrong

    def _storm_and_judge(self) -> list[str]:
        options = self._options
        with Cluster(self._folder) as cluster:
            cluster.start()
            with appending(cluster.path, options.text.resolve(), CLIENTS) as clients:

                def fault() -> None:
                    ended = cluster.ended() + clients.ended()
                    if ended:
                        raise RuntimeError("; ".join(ended))

                chance = random.Random(options.seed)
                self._storm = Storm(
                    cluster, chance, options.seconds, options.kills, self._say, fault
                )
                self._storm.rage()
                self._say("the clients finish")
                self._evidence = clients.finish()
            self._say("reading everything back")
            pages = read_pages(cluster.path)
        return list(findings(options.script, self._evidence, pages))

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._start_s:7.2f} s  {what}", flush=True)

    def _print_table(self, wrong: list[str]) -> None:
        acknowledged = sum(one.acknowledged for one in self._evidence)
        sent = sum(len(one.ends) for one in self._evidence)
        gap_s = max((one.gap_s for one in self._evidence), default=0.0)
        killed, views = (self._storm.killed, self._storm.views) if self._storm else ([], 0)
        verdict = (
            "every acknowledged line is there, once and in order"
            if not wrong
            else f"WRONG in {len(wrong)} places"
        )
        print(
            f"\n"
            f"operations   {acknowledged:,} acknowledged, {sent - acknowledged:,} not\n"
            f"kills        {len(killed)}: {killed.count('primary')} primaries, "
            f"{killed.count('backup')} backups, in {views} views\n"
            f"longest gap  {gap_s * 1000:,.0f} ms between two acknowledgements of a client\n"
            f"verdict      {verdict}"
        )
        for finding in wrong[:FINDINGS_SHOWN_MAX]:
            print(f"  {finding}")


def read_pages(topology: Path) -> dict[str, str]:
    """Return every key that clients appended to, with its value.

    Raises:
        pbactors.CallError: the cluster does not answer.
    """
    with pbactors.connect(topology) as cluster:
        keys = cluster.call(KeyValueStore.keys, PREFIX, timeout_s=READ_TIMEOUT_S)
        futures = {
            key: cluster.submit(KeyValueStore.get, key, timeout_s=READ_TIMEOUT_S) for key in keys
        }
        return {key: future.get() or "" for key, future in futures.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    options = parse(arguments)
    print(f"{CLIENTS} clients, {options.kills} kills, {options.seconds:g} s, seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="pbactors-demo-"))
    wrong: list[str] = []
    try:
        wrong = Demonstration(options, folder).run()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    finally:
        if wrong:
            print(f"topology, logs and evidence are kept in {folder}")
        else:
            shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
