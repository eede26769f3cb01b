"""``docs/protocol.md`` says what the code says: messages, examples, rules, limits."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from pbactors import heartbeat, wire
from pbactors.config import Limits
from pbactors.machines.calls import decode_call

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()
RULE = re.compile(r"\bR(\d+)\b")


def table_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools" / "protocol_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_message_reference_is_that_of_the_registry() -> None:
    assert table_tool().replaced(DOCUMENT) == DOCUMENT, "run python tools/protocol_table.py"


def test_the_examples_are_real_bytes() -> None:
    get_view, call = (
        bytes.fromhex(digits) for digits in re.findall(r"```text\n([0-9a-f ]+)\n", DOCUMENT)
    )
    golden = (ROOT / "tests" / "wire" / "get-view-fresh.hex").read_text()
    assert get_view == bytes.fromhex(golden)
    assert decode_call(call) == ("put", ["k", "v"], {})


def test_every_rule_that_the_code_quotes_is_told_once() -> None:
    told = [int(number) for number in re.findall(r"^- \*\*R(\d+)\*\* ", DOCUMENT, re.MULTILINE)]
    assert sorted(told) == [number for number in range(1, 54) if number not in (42, 48)]
    folders = (ROOT / "pbactors", ROOT / "tests", ROOT / "tools")
    quoted = {
        int(number)
        for folder in folders
        for path in folder.rglob("*.py")
        for number in RULE.findall(path.read_text())
    }
    assert quoted - set(told) <= {42, 48}
    assert quoted


def test_links_inside_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert {"replica", "view-service", "client"} <= anchors
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ") if number > 9999 else str(number)


def test_limits_are_those_of_the_code() -> None:
    limits = Limits()
    mebibyte = 1024 * 1024
    for text in (
        f"`message_bytes_max` ({limits.message_bytes_max // mebibyte} MiB)",
        f"`operation_bytes_max` ({limits.operation_bytes_max // mebibyte} MiB)",
        f"`result_bytes_max` ({limits.result_bytes_max // mebibyte} MiB)",
        f"`session_window` ({limits.session_window})",
        f"`pending_operations_max` ({spaced(limits.pending_operations_max)})",
        f"`waiting_queries_max` ({spaced(limits.waiting_queries_max)})",
        f"answers in one message | {spaced(wire.ARRAY_ITEMS_MAX)} |",
        f"items of all arrays of one message | {spaced(wire.BODY_ITEMS_MAX)} |",
        f"a text | {wire.TEXT_CHARACTERS_MAX} characters",
        f"a node's name | {wire.NAME_CHARACTERS_MAX} characters",
        f"a heartbeat record | {heartbeat.RECORD_BYTES_MAX // 1024} KiB",
    ):
        assert text in DOCUMENT


def test_the_keys_of_a_heartbeat_are_those_of_a_record() -> None:
    section = DOCUMENT.split("## Heartbeats")[1].split("\n## ")[0]
    rows = section.split("| key | type | meaning |")[1]
    keys = set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))
    assert keys == {field.name for field in heartbeat.Record.__dataclass_fields__.values()}
