"""``python -m tests.storm``: one storm, or the judgement of an earlier one."""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.storm.cluster import HOSTS, REPOSITORY
from tests.storm.conductor import Conductor, WentWrong
from tests.storm.enclosure import enclosed, missing
from tests.storm.history import read_folder
from tests.storm.hosts import Hosts, Loopback, SeparateHosts
from tests.storm.schedule import ALL_NEMESES, CAN_DO_WITHOUT_LINKS, Strike, draw, in_words
from tests.storm.verdict import judge_calls, summary
from tests.storm.vigil import Vigil


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the program with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.storm",
        description="Clients write and read while nodes are killed, stopped and cut off, or while "
        "everything is merely slow. Then the history that they wrote down is judged. Exit code 0: "
        "all is well; 1: something is wrong.",
    )
    parser.add_argument("--seed", type=int, help="of all choices (default: a new one)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument(
        "--nemeses",
        default="kills,stops,partitions",
        help=f"some of {','.join(ALL_NEMESES)} (default kills,stops,partitions)",
    )
    parser.add_argument(
        "--noise",
        action="store_true",
        help="instead: strike nobody, but keep all processors busy, hold the replicas' "
        "interpreters, and lose 1 %% of all packets: no other view may follow",
    )
    parser.add_argument(
        "--to-the-end",
        action="store_true",
        help="kill the last holder of the state at last: the cluster must say that it is stuck",
    )
    parser.add_argument("--folder", type=Path, help="for everything that is written, and kept")
    parser.add_argument("--plan", action="store_true", help="print the schedule and do nothing")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="judge an earlier storm")
    parser.add_argument(
        "--loopback", action="store_true", help="all on this host, where no link can be cut"
    )
    parser.add_argument("--enclosed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)
    options.nemeses = options.nemeses.split(",")
    unknown = set(options.nemeses) - set(ALL_NEMESES)
    if unknown or options.seconds <= 0:
        parser.error(f"expected --nemeses of {','.join(ALL_NEMESES)}, and --seconds above 0")
    if options.noise and (options.to_the_end or options.plan):
        parser.error("--noise strikes nobody: it goes without --to-the-end and --plan")
    needs_links = not options.noise and set(options.nemeses) - set(CAN_DO_WITHOUT_LINKS)
    if options.loopback and needs_links:
        parser.error(f"--loopback leaves --nemeses {','.join(CAN_DO_WITHOUT_LINKS)}")
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def enter_enclosure(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Replace this process by the same in an enclosure, if it is not there yet."""
    if options.enclosed or options.loopback:
        return
    why_not = missing()
    if why_not is not None:
        instead = "--loopback" if options.noise else "--loopback --nemeses kills,stops"
        sys.exit(f"{why_not}; or leave out what needs links: {instead}")
    again = [sys.executable, "-m", "tests.storm", *arguments]
    command = enclosed([*again, "--seed", str(options.seed), "--enclosed"])
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": path})


def storm(options: argparse.Namespace, folder: Path) -> int:
    """Storm in ``folder`` and return the exit code."""
    start_s = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "storm.log").open("w")

    def say(what: str) -> None:
        line = f"{time.monotonic() - start_s:7.2f} s  {what}"
        print(line, flush=True)
        print(line, file=log, flush=True)

    waves: Sequence[Sequence[Strike]]
    waves = [] if options.noise else draw(options.seed, options.seconds, options.nemeses)
    if waves:
        print(in_words(waves), file=log, flush=True)
        print(in_words(waves), flush=True)
    with ExitStack() as stack:
        stack.enter_context(log)
        hosts: Hosts = Loopback() if options.loopback else stack.enter_context(SeparateHosts(HOSTS))
        try:
            for part in itertools.count(1):
                # After an accident it goes on with a new cluster.
                its_folder = folder / f"cluster{part}"
                its_folder.mkdir()
                if options.noise:
                    Vigil(hosts, its_folder, options.seed, say).keep(options.seconds)
                else:
                    conductor = Conductor(hosts, its_folder, options.seed, say)
                    waves = conductor.run(waves, to_the_end=options.to_the_end)
                if not waves:
                    break
        except WentWrong as error:
            say(f"WRONG: {error}")
            return 1
    return 0


def judge(folder: Path) -> int:
    """Judge the histories of each cluster in ``folder`` and return the exit code."""
    if not folder.is_dir():
        print(f"{folder} is no folder. Expected one that a storm has kept", file=sys.stderr)
        return 2
    verdicts = []
    for its_folder in sorted(folder.glob("cluster*")) or [folder]:
        calls = read_folder(its_folder)
        print(f"{its_folder}: {summary(calls)}")
        verdicts.append(judge_calls(calls))
        print(verdicts[-1].text)
    return 0 if all(verdict.linearizable for verdict in verdicts) else 1


def end_with_stdin() -> None:
    """Act as on Ctrl-C when whoever started this is gone."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    if options.judge is not None:
        return judge(options.judge)
    if not options.enclosed:
        nemeses = "noise" if options.noise else ", ".join(options.nemeses)
        print(f"seed {options.seed}, {options.seconds:g} s of {nemeses}", flush=True)
    if options.plan:
        print(in_words(draw(options.seed, options.seconds, options.nemeses)))
        return 0
    enter_enclosure(options, arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if options.with_stdin:
        end_with_stdin()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pbactors-storm-"))
    print(f"topology, logs and histories are in {folder}", flush=True)
    try:
        return storm(options, folder)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
