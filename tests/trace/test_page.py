"""The page of a trace in a real browser: it shows what it should, and listens to its reader."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbactors.trace import Moment, Sort, page

from .browser import CHROMIUM, Page, opened

MISSING = "needs a browser: apt-get install chromium"
NASTY = '</script><script>window.hurt = 1</script><!-- "&<b>\u2028'

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("PBACTORS_LONG"), reason=MISSING
)


def status(time_ms: float, node: str, role: str, state: str, number: int = 1) -> Moment:
    fields = {"role": role, "state": state, "view": number, "primary": "a", "backup": "b", "op": 0}
    return Moment(time_ms, node, Sort.STATUS, state, fields=fields)


def message(sort: Sort, time_ms: float, node: str, peer: str, number: int, kind: str) -> Moment:
    fields = {"kind": kind, "view": 2, "operations": ["first", "second"]}
    return Moment(time_ms, node, sort, f"{kind} number {number}", number, peer, fields)


SMALL = [
    status(0, "view", "view_server", "view acknowledged"),
    status(0, "a", "primary", "serving"),
    status(0, "b", "backup", "following"),
    message(Sort.SENT, 10, "a", "b", 1, "Forward"),
    message(Sort.RECEIVED, 30, "b", "a", 1, "Forward"),
    message(Sort.RECEIVED, 38, "b", "a", 1, "Forward"),
    message(Sort.SENT, 40, "a", "view", 2, "Ping"),
    message(Sort.LOST, 60, "view", "a", 2, "Ping"),
    Moment(65, "a", Sort.EVENT, NASTY),
    Moment(70, "", Sort.FAULT, "a is cut from view"),
    Moment(80, "a", Sort.STOPPED, "killed"),
    status(90, "b", "primary", "serving alone", 2),
    Moment(100, "", Sort.BROKEN, "R7: " + NASTY),
]


def large(count: int) -> Iterator[Moment]:
    for node, role in (("view", "view_server"), ("a", "primary"), ("b", "backup")):
        yield status(0, node, role, role)
    for number in range(1, count // 2):
        yield message(Sort.SENT, number, "a", "b", number, "Forward")
        yield message(Sort.RECEIVED, number + 0.6, "b", "a", number, "Forward")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    assert CHROMIUM is not None, MISSING
    with opened() as page:
        yield page


@pytest.fixture
def shown(browser: Page, tmp_path: Path) -> Iterator[Page]:
    """The page of a small trace; whatever goes wrong in its scripts fails the test."""
    path = tmp_path / "run.html"
    path.write_text(page.render(SMALL, f"A run {NASTY}"), encoding="utf-8")
    browser.open(path)
    yield browser
    assert not browser.errors
    assert browser.run("window.hurt") is None


def place_of(shown: Page, script: str) -> tuple[float, float]:
    """Return where something of the scene is on the page."""
    found = shown.run(
        f"(() => {{ const box = canvas.getBoundingClientRect(); const spot = {script};"
        " return [box.left + spot.x, box.top + spot.y]; })()"
    )
    return found[0], found[1]


def middle_of(shown: Page, arrow: int) -> tuple[float, float]:
    middle = "([from, to]) => ({x: (from.x + to.x) / 2, y: (from.y + to.y) / 2})"
    return place_of(shown, f"({middle})(line(arrows[{arrow}]))")


def centre_of(shown: Page, selector: str) -> tuple[float, float]:
    found = shown.run(
        f"(() => {{ const box = document.querySelector({selector!r}).getBoundingClientRect();"
        " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
    )
    return found[0], found[1]


def card(shown: Page) -> str:
    return str(shown.run("document.getElementById('card').hidden ? '' : card.innerText"))


def colour_at(shown: Page, spot: tuple[float, float]) -> list[int]:
    """Return what is painted there, as red, green and blue."""
    found: list[int] = shown.run(
        f"(() => {{ const box = canvas.getBoundingClientRect();"
        f" const [px, py] = [{spot[0]} - box.left, {spot[1]} - box.top];"
        " return [...pen.getImageData(px, py, 1, 1).data]; })()"
    )
    return found[:3]


def test_the_page_stands_alone() -> None:
    """One file, no address of anything else, and nothing in a trace ends its script."""
    made = page.render(SMALL, f"A run {NASTY}")
    assert not re.search(r"""(src|href)=["'](?!data:)""", made)
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", made)
    assert "{{" not in made.split('id="data"')[0]
    assert made.count("</script>") == 2
    assert "<script>window.hurt" not in made


def test_braces_in_a_trace_are_no_places_of_the_template() -> None:
    assert "{{title}}" in page.render([Moment(0, "a", Sort.EVENT, "{{title}}")], "x")


@needs_browser
def test_lanes_views_and_summary(shown: Page) -> None:
    labels = shown.run("[...document.querySelectorAll('#labels button')].map(b => b.innerText)")
    assert [label.split("\n")[0] for label in labels] == ["view", "a", "b"]
    assert shown.run("bands.map(band => band.number)") == [1, 2]
    assert "13 moments in 0.10 s, 3 messages, 3 nodes" in shown.run("summary.innerText")
    assert shown.run("document.title") == f"A run {NASTY}"
    assert "Broken: R7: </script>" in shown.run("document.getElementById('broken').innerText")


@needs_browser
def test_roles_are_colours(shown: Page) -> None:
    """A lane's bar has the colour of what the node is at that time."""
    spots = {
        "primary": place_of(shown, "{x: x(4), y: lanes[1].y + 5}"),
        "backup": place_of(shown, "{x: x(7), y: lanes[2].y + 5}"),
        "view-server": place_of(shown, "{x: x(7) - 30, y: lanes[0].y + 5}"),
    }
    for name, spot in spots.items():
        expected = shown.run(f"colour({name!r})").lstrip("#")
        assert colour_at(shown, spot) == list(bytes.fromhex(expected)), name


@needs_browser
def test_arrows_go_from_sending_to_arrival_and_lost_ones_are_marked(shown: Page) -> None:
    assert shown.run("arrows.map(({ending}) => ending)") == ["received", "received again", "lost"]
    ends = shown.run("line(arrows[0]).map(({x: px, y}) => [px - x(0), y - lanes[1].y])")
    (start, start_y), (end, end_y) = ends
    assert end == pytest.approx(3 * start)  # sent after 10 ms, there after 30
    assert start_y == 0
    assert end_y > 0
    cross = place_of(shown, "line(arrows[2])[1]")
    assert colour_at(shown, cross) == list(bytes.fromhex(shown.run("colour('bad')").lstrip("#")))


@needs_browser
def test_hovering_shows_the_fields_of_a_message(shown: Page) -> None:
    assert card(shown) == ""
    shown.mouse("mouseMoved", *middle_of(shown, 0))
    text = card(shown)
    for part in ("Forward number 1", "a → b, 10.00 ms, received after 20.00 ms", "view", "second"):
        assert part in text
    shown.mouse("mouseMoved", *middle_of(shown, 2))
    assert "lost after 20.00 ms" in card(shown)
    shown.mouse("mouseMoved", 5, 5)
    assert card(shown) == ""


@needs_browser
def test_hovering_a_bar_and_a_mark(shown: Page) -> None:
    shown.mouse("mouseMoved", *place_of(shown, "{x: x(7) - 9, y: lanes[2].y + 3}"))
    assert "b: backup" in card(shown)
    shown.mouse("mouseMoved", *place_of(shown, "markPlace(moments[8])"))
    assert NASTY.replace("\u2028", "") in card(shown).replace("\u2028", "").replace("\n", "")


@needs_browser
def test_the_wheel_zooms_where_the_pointer_is_and_dragging_pans(shown: Page) -> None:
    before = shown.run("[scene.scale, x(4)]")
    spot = place_of(shown, "{x: x(4), y: lanes[0].y + 40}")
    shown.mouse("mouseWheel", *spot, deltaX=0, deltaY=-300)
    scale, there = shown.run("[scene.scale, x(4)]")
    assert scale > 2 * before[0]
    assert there == pytest.approx(before[1], abs=4), "what is under the pointer stays there"
    shown.mouse("mousePressed", *spot, button="left", clickCount=1)
    shown.mouse("mouseMoved", spot[0] - 100, spot[1], button="left", buttons=1)
    shown.mouse("mouseReleased", spot[0] - 100, spot[1], button="left", clickCount=1)
    assert shown.run("x(4)") == pytest.approx(there - 100, abs=1)
    shown.click(*centre_of(shown, "#fit"))
    assert shown.run("scene.scale") == pytest.approx(before[0])


@needs_browser
def test_buttons_and_keys_zoom_too(shown: Page) -> None:
    before = shown.run("scene.scale")
    shown.click(*centre_of(shown, "#in"))
    assert shown.run("scene.scale") > before
    shown.click(*centre_of(shown, "#out"))
    assert shown.run("scene.scale") == pytest.approx(before)
    shown.run("canvas.focus()")
    shown.press("+")
    assert shown.run("scene.scale") > before
    shown.press("0")
    assert shown.run("scene.scale") == pytest.approx(before)


@needs_browser
def test_kinds_and_nodes_can_be_hidden(shown: Page) -> None:
    assert shown.run("arrowsInSight().length") == 3
    shown.run("document.querySelector('input[name=Ping]').click()")
    assert shown.run("arrowsInSight().map(({kind}) => kind)") == ["Forward", "Forward"]
    shown.click(*centre_of(shown, "#labels button:nth-child(3)"))
    assert shown.run("arrowsInSight().length") == 0
    pressed = "document.querySelector('#labels button:nth-child(3)').getAttribute('aria-pressed')"
    assert shown.run(pressed) == "false"
    shown.run("document.querySelector('input[name=Ping]').click()")
    assert shown.run("arrowsInSight().map(({kind}) => kind)") == ["Ping"]


@needs_browser
def test_everything_can_be_reached_by_keys(shown: Page) -> None:
    """Right and left go from moment to moment, enter along a message, escape lets go."""
    shown.run("canvas.focus()")
    seen = []
    for _ in range(20):
        shown.press("ArrowRight")
        seen.append(card(shown))
    for part in ("Forward number 1", "Ping number 2", "a is cut", "killed", "R7"):
        assert any(part in text for text in seen), part
    for _ in range(20):
        shown.press("ArrowLeft")
    assert shown.run("chosen.moment.index") == 0
    for _ in range(3):
        shown.press("ArrowRight")
    shown.press("Enter")
    assert shown.run("moments[chosen.moment.index].sort") == "received"
    shown.press("ArrowUp")
    assert shown.run("lanes[chosen.moment.lane].name") == "a"
    shown.press("Escape")
    assert card(shown) == ""


@needs_browser
def test_by_order_every_moment_has_the_same_room(shown: Page) -> None:
    shown.run("(axis.value = 'order', axis.dispatchEvent(new Event('change')))")
    shown.drawn()
    gaps = shown.run("moments.slice(1).map((m, i) => x(i + 1) - x(i))")
    assert gaps == pytest.approx([gaps[0]] * len(gaps))


@needs_browser
def test_steps_of_an_explorer_are_laid_out_by_order(browser: Page, tmp_path: Path) -> None:
    trace = [Moment(step // 3, "a", Sort.EVENT, f"event {step}") for step in range(30)]
    path = tmp_path / "run.html"
    path.write_text(page.render(trace))
    browser.open(path)
    assert browser.run("axis.value") == "order"
    assert browser.run("x(2) - x(1)") > 5
    assert "steps" in browser.run("summary.innerText")


@needs_browser
def test_light_and_dark(shown: Page) -> None:
    spot = place_of(shown, "{x: x(4), y: lanes[1].y + 5}")
    light = colour_at(shown, spot)
    shown.dark(True)
    dark = colour_at(shown, spot)
    shown.dark(False)
    assert light != dark


@needs_browser
@pytest.mark.parametrize("trace", [[], SMALL[:1]], ids=["nothing", "one moment"])
def test_the_smallest_traces(browser: Page, tmp_path: Path, trace: list[Moment]) -> None:
    path = tmp_path / "run.html"
    path.write_text(page.render(trace))
    browser.open(path)
    assert not browser.errors
    assert f"{len(trace)} moments" in browser.run("summary.innerText")


@needs_browser
def test_twenty_thousand_moments(browser: Page, tmp_path: Path) -> None:
    """Only what is in sight is drawn; the page is still of a size to send around."""
    path = tmp_path / "run.html"
    path.write_text(page.render(large(20_000)))
    assert path.stat().st_size < 6_000_000
    browser.open(path)
    assert browser.run("arrowsInSight().length") == 9_999
    browser.run("(showBetween(5000, 5040), refresh())")
    browser.drawn()
    few: Any = browser.run("arrowsInSight().length")
    assert 20 <= few <= 40
    browser.mouse("mouseMoved", *middle_of(browser, 2505))
    assert "Forward number 2506" in card(browser)
    assert not browser.errors
