"""The judge of the demonstration says yes to what is right and no to every way of being wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from demonstration.evidence import Evidence, findings
from demonstration.script import LINES_PER_PAGE, Script

SCRIPT = Script("When in the Course of human events,\n\n  it becomes necessary\nfor one people\n")
CLIENTS = (1, 2, 3, 4)
APPENDS = 3 * LINES_PER_PAGE + 2

Pages = dict[str, str]
Case = tuple[list[Evidence], Pages]


def honest() -> Case:
    """Return what clients see that take turns, and the pages that they leave."""
    evidence = [Evidence(client, [], 0.1, []) for client in CLIENTS]
    pages: Pages = {}
    for number in range(1, APPENDS + 1):
        for one in evidence:
            key = SCRIPT.key(number)
            pages[key] = pages.get(key, "") + SCRIPT.line(one.client, number)
            one.ends.append(len(pages[key]))
    return evidence, pages


def judged(case: Case) -> list[str]:
    evidence, pages = case
    return list(findings(SCRIPT, evidence, pages))


def test_an_honest_run_is_found_right() -> None:
    assert judged(honest()) == []


def test_an_unacknowledged_line_may_be_there_or_not() -> None:
    evidence, pages = honest()
    evidence[0].ends[-1] = None  # was answered, but the answer never came
    evidence[3].ends.append(None)  # never happened
    assert judged((evidence, pages)) == []
    assert evidence[3].acknowledged == APPENDS


def changed(
    page: str, change: Callable[[list[str]], list[str]]
) -> Callable[[list[Evidence], Pages], None]:
    def corrupt(evidence: list[Evidence], pages: Pages) -> None:
        pages[page] = "".join(change(pages[page].splitlines(keepends=True)))

    return corrupt


def move_to_another_page(evidence: list[Evidence], pages: Pages) -> None:
    lines = pages["page-1"].splitlines(keepends=True)
    pages["page-1"] = "".join(lines[:-1])
    pages["page-2"] += lines[-1]


def lose_a_page(evidence: list[Evidence], pages: Pages) -> None:
    del pages["page-1"]


def write_what_nobody_sent(evidence: list[Evidence], pages: Pages) -> None:
    pages[SCRIPT.key(APPENDS + 1)] += SCRIPT.line(2, APPENDS + 1)


def write_as_a_stranger(evidence: list[Evidence], pages: Pages) -> None:
    pages["page-0"] += SCRIPT.line(9, 1)


def promise_too_much(evidence: list[Evidence], pages: Pages) -> None:
    evidence[2].ends.append(1234)


def show_another_place(evidence: list[Evidence], pages: Pages) -> None:
    evidence[1].ends[5] = evidence[1].ends[4]


def say_what_went_wrong(evidence: list[Evidence], pages: Pages) -> None:
    evidence[1].errors.append("line 7: SessionExpired")


@pytest.mark.parametrize(
    ("corrupt", "finding"),
    [
        (changed("page-1", lambda lines: lines[:-1]), "was acknowledged and is not there"),
        (changed("page-1", lambda lines: [*lines, lines[3]]), "stands there twice"),
        (changed("page-1", lambda lines: [*lines[:5], *lines[4:]]), "stands there twice"),
        # The lines of client 1 are every fourth; two of its change places.
        (
            changed("page-1", lambda lines: [lines[4], *lines[1:4], lines[0], *lines[5:]]),
            "stands behind",
        ),
        # Of two clients: no order was promised, but both were shown where their lines stood.
        (changed("page-1", lambda lines: [lines[1], lines[0], *lines[2:]]), "ended at"),
        (
            changed("page-0", lambda lines: [lines[0].replace("Course", "course"), *lines[1:]]),
            "nobody writes",
        ),
        (changed("page-0", lambda lines: ["for one people\n", *lines]), "nobody writes"),
        (changed("page-0", lambda lines: [*lines, "1 0 for one people\n"]), "nobody writes"),
        (move_to_another_page, "belongs to page-1"),
        (lose_a_page, "was acknowledged and is not there"),
        (write_what_nobody_sent, f"client 2 never sent its line {APPENDS + 1}"),
        (write_as_a_stranger, "client 9 never sent its line 1"),
        (promise_too_much, "was acknowledged and is not there"),
        (show_another_place, "ended at"),
        (say_what_went_wrong, "SessionExpired"),
    ],
)
def test_a_corrupted_run_is_found_wrong(
    corrupt: Callable[[list[Evidence], Pages], None], finding: str
) -> None:
    evidence, pages = honest()
    corrupt(evidence, pages)
    found = judged((evidence, pages))
    assert any(finding in text for text in found), found


def test_an_unacknowledged_line_may_not_be_there_twice() -> None:
    evidence, pages = honest()
    evidence[3].ends[-1] = None
    pages[SCRIPT.key(APPENDS)] += SCRIPT.line(4, APPENDS)
    assert judged((evidence, pages)) == [
        f"{SCRIPT.key(APPENDS)}: line {APPENDS} of client 4 stands there twice"
    ]


def test_every_line_of_a_script_is_another() -> None:
    lines = [SCRIPT.line(client, number) for client in CLIENTS for number in range(1, 100)]
    assert len(set(lines)) == len(lines)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)


def test_a_text_without_words_is_no_script() -> None:
    with pytest.raises(ValueError, match="empty"):
        Script(" \n\n")


def test_odd_line_ends_of_a_text_do_not_break_its_lines_apart() -> None:
    script = Script("one\u2028two\x0bthree\x85four\tfive")
    assert all(len(script.line(1, number).splitlines()) == 1 for number in range(1, 9))
