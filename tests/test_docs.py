"""What the documents tell readers to type works, and what they say comes out does come out.

Every command and program in a document runs in its order, in one copy of the repository, whose
clusters listen on free ports. A comment in the line above a block says what else to do with it::

    <!-- test: save as shop.py -->                  the block is a file
    <!-- test: background -->                       it goes on until the document ends; the next
                                                    block begins when the shown lines are there
    <!-- test: output varies, because ... -->       only the exit code is compared
    <!-- test: not run, because ... -->             the reason is for readers of the source

Blocks marked as ``text`` are pictures and excerpts; a command in one of them is found out.

Shown output is compared without what changes from run to run: numbers, ids, folders, the order of
lines, and which of the replicas a, b, c has which role. A line ``...`` stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import Process, free_ports, running, wait_until

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "docs", "examples", "topology")
    for path in (ROOT / folder).glob("*.md")
)
ELSEWHERE = {
    "text": "a picture or an excerpt",
    "toml": "an excerpt; whole files are saved and used",
    "json": "an excerpt",
}
"""Languages whose blocks need not run."""

FENCE = re.compile(
    r"^(?:<!-- test: (?P<note>.+?) -->\n+)?"
    r"^```(?P<language>[^\n`]*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PORT = re.compile(r"\b7[45]\d\d\b")
COMMAND_S = 60.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        line: where it begins.
        language: after the fence.
        note: what its comment says; empty without one.
        body: what stands in it.
    """

    line: int
    language: str
    note: str
    body: str


def blocks(document: str) -> list[Block]:
    return [
        Block(
            document.count("\n", 0, found.start("language")) + 1,
            found["language"].strip(),
            found["note"] or "",
            found["body"],
        )
        for found in FENCE.finditer(document)
    ]


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a terminal session with the lines that it is shown to print."""
    command, shown, unfinished = "", [""], False
    for line in body.splitlines():
        if unfinished:
            command, unfinished = f"{command}\n{line}", line.endswith("\\")
        elif line.startswith("$ "):
            if command:
                yield command, shown
            command, shown, unfinished = line[2:], [], line.endswith("\\")
        else:
            shown.append(line)
    if command:
        yield command, shown


# -- comparing --------------------------------------------------------------------------------


def gist(line: str) -> str:
    """Return a line without what changes from run to run."""
    line = re.sub(r"'/[^']*/([^'/]+)'", r"\1", line)  # of a path its last part
    line = re.sub(r"(?<![\w.])/\S*/([^\s/]+)", r"\1", line)
    line = re.sub(r"python[\d.]* -m pbactors", "pbactors", line)  # where no script is installed
    line = re.sub(r"\b[0-9a-f]{32}\b", "ID", line)
    line = re.sub(r"\d[\d.,:]*", "0", line)
    line = re.sub(r"\b[abc]\b", "REPLICA", line)
    return " ".join(re.sub(r"[─━]+", " ", line).split())


def missing(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """Return what is shown and was not printed, and without ``...`` also the other way round."""
    expected = Counter(filter(None, map(gist, shown)))
    found = Counter(filter(None, map(gist, printed)))
    open_ended = expected.pop("...", 0)
    unexpected = Counter[str]() if open_ended else found - expected
    return sorted((expected - found).elements()) + [
        f"unexpected: {line}" for line in sorted(unexpected.elements())
    ]


# -- running ----------------------------------------------------------------------------------


class Copy:
    """A copy of the repository in which a document is followed.

    Its clusters are on free ports, and ``.venv`` is the environment of the tests: making one would
    need the network, which ``tools/test`` itself has proven to work.

    Args:
        root: where to make it.
        stack: ends what runs in the background.
    """

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self._root = root
        self._stack = stack
        self._numbers: dict[str, str] = {}  # ports and process ids: shown in the text, and real
        for folder in ("docs", "examples", "tools", "topology"):
            ignored = shutil.ignore_patterns("__pycache__", "var")
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
        for path in (*root.glob("topology/*.*"), *root.glob("examples/*.*")):
            path.write_text(self.translated(path.read_text()))
        self._make_environment()

    def _make_environment(self) -> None:
        programs = self._root / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, start in {"python": "", "pbactors": " -m pbactors"}.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{start} "$@"\n')
            program.chmod(0o755)
        (programs / "activate").write_text("")
        (self._root / "tools" / "environment.sh").write_text(
            f"root='{self._root}'\npython='{sys.executable}'\n"
        )
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        self._environment = {"PATH": path, "PYTHONUNBUFFERED": "1"}

    def translated(self, text: str) -> str:
        """Return ``text`` with free ports, the same for the same, and with real process ids."""
        for port in sorted(set(PORT.findall(text)) - self._numbers.keys()):
            self._numbers[port] = str(free_ports(1)[0])
        if not self._numbers:
            return text
        known = re.compile(rf"\b({'|'.join(self._numbers)})\b")
        return known.sub(lambda found: self._numbers[found[0]], text)

    def follow(self, block: Block) -> str | None:
        """Do what a block says; return why a reader would be disappointed, or None."""
        if block.note.startswith("save as "):
            path = self._root / block.note.removeprefix("save as ")
            path.write_text(self.translated(block.body))
            return None
        if block.language == "python":
            return self._run(["python", "-c", self.translated(block.body)], None)
        for command, shown in commands(block.body):
            words = ["bash", "-euo", "pipefail", "-c", self.translated(command)]
            if block.note == "background":
                problem = self._begin(words, shown)
            else:
                problem = self._run(words, None if block.note else shown)
            if problem:
                return f"$ {command}\n{problem}"
        return None

    def _run(self, words: list[str], shown: list[str] | None) -> str | None:
        with self._started(words) as process:
            code = process.wait(COMMAND_S)
            report, printed = process.report(), process.stdout + process.stderr
        if code != 0:
            return report
        problems = missing(shown, printed.splitlines()) if shown is not None else []
        return "\n".join([*problems, report]) if problems else None

    def _begin(self, words: list[str], shown: list[str]) -> str | None:
        process = self._stack.enter_context(self._started(words))
        self._stack.callback(interrupt, process)
        wait_until(
            lambda: process.exit_code is not None or not missing(shown, process.stdout.split("\n")),
            COMMAND_S,
            f"the lines shown for {words[-1]}; {missing(shown, process.stdout.splitlines())}",
        )
        told = re.search(r"kill -9 (\d+)", "\n".join(shown))
        real = re.search(r"kill -9 (\d+)", process.stdout)
        if told and real:  # which process the reader is to kill
            self._numbers[told[1]] = real[1]
        return None if process.exit_code is None else process.report()

    def _started(self, words: list[str]) -> AbstractContextManager[Process]:
        return running(words, cwd=self._root, environment=self._environment)


def interrupt(process: Process) -> None:
    """Press Ctrl-C where a command runs, and wait until it has ended."""
    if process.exit_code is None:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()


# -- tests ------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_readers_can_do_what_a_document_says(name: str, tmp_path: Path) -> None:
    found = [block for block in blocks((ROOT / name).read_text()) if is_followed(block)]
    if not found:
        return
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=tmp_path)))
        copy = Copy(root, stack)
        for block in found:
            problem = copy.follow(block)
            assert problem is None, f"{name}:{block.line}: {problem}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_is_followed_or_says_why_not(name: str) -> None:
    for block in blocks((ROOT / name).read_text()):
        reason = refuse(block)
        assert reason is None, f"{name}:{block.line}: {reason}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_within_the_repository_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
        path, _, anchor = target.partition("#")
        document = (ROOT / name).parent / path if path else ROOT / name
        assert document.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(document.read_text()), f"{name}: {target}"


def anchors(document: str) -> set[str]:
    """Return what a document's headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_followed(block: Block) -> bool:
    """Tell whether a block is for doing, not only for looking at."""
    if block.note.startswith("not run, because"):
        return False
    return bool(block.note) or block.language not in ELSEWHERE


def refuse(block: Block) -> str | None:
    """Return why a block cannot be followed, although it does not say so, or None."""
    note = r"save as \S+|background|(output varies|not run), because .+"
    if block.note and not re.fullmatch(note, block.note):
        return f"what does {block.note!r} mean?"
    if not is_followed(block):
        typed = re.search(r"^ *(\$ |pbactors |tools/|python |pip )", block.body, re.MULTILINE)
        return "a command in a text; make it a console block" if typed and not block.note else None
    if block.note.startswith("save as "):
        return None
    if block.language not in ("console", "python"):
        return f"a block of the language {block.language!r} is neither run nor explained"
    if block.language == "console" and not block.body.startswith("$ "):
        return "a command begins with '$ '"
    return None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("```\n$ ls\n```", "neither run nor explained"),
        ("```bash\nls\n```", "neither run nor explained"),
        ("```console\nls\n```", "begins with"),
        ("```text\n$ ls\n```", "a command in a text"),
        ("<!-- test: not run -->\n```console\n$ ls\n```", "what does"),
        ("<!-- test: not run, because it hurts -->\n```console\n$ rm -r /\n```", None),
        ("<!-- test: save as x.py -->\n```python\n1 / 0\n```", None),
        ("```text\na picture\n```", None),
        ("```console\n$ ls \\\n  -l\ntotal 0\n```", None),
    ],
)
def test_a_block_that_nobody_tried_is_found(text: str, reason: str | None) -> None:
    (block,) = blocks(f"words\n\n{text}\n")
    found = refuse(block)
    assert found == reason or (reason is not None and reason in (found or ""))


def test_a_false_promise_is_found(tmp_path: Path) -> None:
    promises = {
        '```console\n$ echo "op 7 of a"\nop 12 of b\n```': True,
        "```console\n$ echo yes\nno\n```": False,
        "```console\n$ echo yes; echo more\nyes\n```": False,
        "```console\n$ echo yes; echo more\nyes\n...\n```": True,
        "```console\n$ false\n```": False,
        "```python\nimport pbactors.nothing\n```": False,
        "```python\nimport pbactors\n```": True,
        "<!-- test: output varies, because of the weather -->\n```console\n$ date\nMay\n```": True,
    }
    with ExitStack() as stack:
        copy = Copy(tmp_path, stack)
        for text, holds in promises.items():
            (block,) = blocks(text)
            assert (copy.follow(block) is None) == holds, text
