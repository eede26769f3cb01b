"""What a machine lacks for cut links is named."""

from __future__ import annotations

import pytest

from tests.storm import enclosure


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(enclosure.PACKAGES, "no-such-tool", "iproute2")
    why_not = enclosure.missing()
    assert why_not == "no-such-tool is missing; install it, for example: apt-get install iproute2"


def test_what_the_system_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosure, "PACKAGES", {"sh": "dash"})
    monkeypatch.setattr(enclosure, "STEPS", {"fly": "false"})
    why_not = enclosure.missing()
    assert why_not is not None
    # where not even the enclosure is possible, that is what is named
    assert "does not let us fly" in why_not or "unshare" in why_not
    assert "run as root" in why_not
