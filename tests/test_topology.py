"""Topology files: what a right one says, and what is said of a wrong one.

``tests/topologies/NAME.toml`` is a broken file and ``NAME.txt`` is exactly what is reported, with
nothing more and nothing less. After a wording was changed on purpose, write the texts again and
read the difference::

    REWRITE_EXPECTED=1 python -m pytest tests/test_topology.py
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors.config import Limits, Timing
from pbactors.errors import TopologyError
from pbactors.topology import Node, Topology, load
from pbactors.topology.mistakes import Key, lines_of_keys

ROOT = Path(__file__).parent.parent
BROKEN = Path(__file__).parent / "topologies"
BROKEN_NAMES = sorted(path.stem for path in BROKEN.glob("*.toml"))
NOT_SYNTAX = [name for name in BROKEN_NAMES if not name.startswith("syntax_")]

RIGHT = """\
[cluster]
name = "shop"
machine = "shop:Stock"

[[nodes]]
name = "view"
role = "view_server"
address = "tcp://127.0.0.1:7400"
heartbeat = "tcp://127.0.0.1:7401"

[[nodes]]
name = "a"
role = "replica"
address = "tcp://127.0.0.1:7410"
heartbeat = "tcp://127.0.0.1:7411"
"""


def problems_of(path: Path | str, **options: bool) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        load(path, **options)
    return caught.value.problems


def loaded(folder: Path, text: str, **options: bool) -> Topology:
    file = folder / "shop.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, **options)


# -- right files ------------------------------------------------------------------------------


def test_local_file() -> None:
    topology = load(ROOT / "topology" / "local.toml")
    assert topology.name == "local"
    assert topology.machine == "pbactors.machines.kv:KeyValueStore"
    assert topology.path == ROOT / "topology" / "local.toml"
    assert topology.folder == ROOT / "topology"
    assert topology.state_dir == ROOT / "topology" / "var" / "local"
    assert (topology.timing, topology.limits) == (Timing(), Limits())
    assert topology.view_server == topology.nodes[0] == topology.node("view")
    assert [node.name for node in topology.replicas] == ["a", "b", "c"]
    assert topology.node("c") == Node(
        name="c",
        role="replica",
        address="tcp://127.0.0.1:7430",
        heartbeat="tcp://127.0.0.1:7431",
        bind="tcp://127.0.0.1:7430",
        bind_heartbeat="tcp://127.0.0.1:7431",
    )


def test_three_hosts_file() -> None:
    topology = load(ROOT / "topology" / "three-hosts.toml")
    hosts = {re.sub(r"tcp://|:\d+", "", node.address) for node in topology.nodes}
    assert hosts == {"192.0.2.11", "192.0.2.12", "host3.example"}
    assert len(topology.replicas) == 3
    assert topology.node("c").bind == "tcp://*:7410"
    assert topology.node("c").bind_heartbeat == "tcp://*:7411"


def test_every_number_can_be_set(tmp_path: Path) -> None:
    timing = {name: number + 1 for name, number in dataclasses.asdict(Timing()).items()}
    limits = {name: number + 1 for name, number in dataclasses.asdict(Limits()).items()}
    text = RIGHT + toml({"timing": timing, "limits": limits})
    topology = loaded(tmp_path, text)
    assert topology.timing == Timing(**timing)
    assert topology.limits == Limits(**limits)


def test_contract_is_name_machine_and_the_limits_that_decide_outcomes(tmp_path: Path) -> None:
    text = RIGHT + "\n[limits]\nsessions_max = 7\nsession_window = 9\n"
    assert loaded(tmp_path, text).contract == (
        "shop shop:Stock sessions_max=7 result_bytes_max=16777216 min_copies=1"
    )


def test_state_dir_is_relative_to_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, RIGHT).state_dir == tmp_path / "var" / "shop"
    for written, expected in (("memory", tmp_path / "memory"), ("/memory", Path("/memory"))):
        text = RIGHT.replace("\n\n", f'\nstate_dir = "{written}"\n\n', 1)
        assert loaded(tmp_path, text).state_dir == expected


def test_a_relative_path_gives_absolute_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(tmp_path, RIGHT)
    monkeypatch.chdir(tmp_path)
    topology = load("shop.toml")
    assert topology.path == tmp_path / "shop.toml"
    assert topology.state_dir == tmp_path / "var" / "shop"


def test_all_kinds_of_addresses(tmp_path: Path) -> None:
    text = RIGHT.replace("tcp://127.0.0.1:7400", "ipc://v").replace(
        "tcp://127.0.0.1:7401", "inproc://view heartbeat"
    )
    for host in ("host-1.example", "192.0.2.1", "[2001:db8::1]", "localhost"):
        topology = loaded(tmp_path, text.replace("127.0.0.1", host))
        assert topology.view_server.address == f"ipc://{tmp_path}/v"
        assert topology.view_server.heartbeat == "inproc://view heartbeat"
        assert topology.node("a").bind == f"tcp://{host}:7410"


def test_two_nodes_may_bind_one_port_of_every_interface(tmp_path: Path) -> None:
    topology = loaded(tmp_path, RIGHT.replace('"\nheart', '"\nbind = "tcp://*:7400"\nheart'))
    assert [node.bind for node in topology.nodes] == ["tcp://*:7400", "tcp://*:7400"]


def test_line_ends_and_a_byte_order_mark_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode())
    assert load(file).name == "shop"
    file.write_bytes(file.read_bytes().replace(b"7410", b"x"))
    (problem,) = problems_of(file)
    assert problem.startswith(f"{file}:14: nodes[1].address: ")


# -- port 0 and real addresses ----------------------------------------------------------------

PORT_ZERO = re.sub(r":74\d\d", ":0", RIGHT)


def test_port_zero_is_for_who_asks_for_it(tmp_path: Path) -> None:
    topology = loaded(tmp_path, PORT_ZERO, allow_port_zero=True)
    assert {node.address for node in topology.nodes} == {"tcp://127.0.0.1:0"}
    assert len(problems_of(tmp_path / "shop.toml")) == 4


def test_with_addresses_moves_the_named_nodes(tmp_path: Path) -> None:
    text = PORT_ZERO + 'bind_heartbeat = "tcp://*:0"\n'
    before = loaded(tmp_path, text, allow_port_zero=True)
    after = before.with_addresses({"a": ("tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002")})
    assert after.node("a") == Node(
        name="a",
        role="replica",
        address="tcp://127.0.0.1:5001",
        heartbeat="tcp://127.0.0.1:5002",
        bind="tcp://127.0.0.1:5001",
        bind_heartbeat="tcp://*:0",
    )
    assert after.view_server == before.view_server
    assert dataclasses.replace(after, nodes=before.nodes) == before


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        (
            {"b": ("tcp://h:1", "tcp://h:2")},
            'expected one of its nodes (view, a), found "b"; for example: view',
        ),
        (
            {"a": ("tcp://h:1", "tcp://*:2")},
            'heartbeat of a: expected tcp://HOST:PORT, found "tcp://*:2" '
            "(nobody can be reached at every interface; it belongs in bind)",
        ),
        (
            {"a": ("tcp://h:1", "tcp://127.0.0.1:7401")},
            'heartbeat of a: expected an address of its own, found "tcp://127.0.0.1:7401", '
            "which is the heartbeat of view too",
        ),
    ],
)
def test_with_addresses_refuses(
    tmp_path: Path, addresses: dict[str, tuple[str, str]], problem: str
) -> None:
    topology = loaded(tmp_path, RIGHT)
    with pytest.raises(TopologyError) as caught:
        topology.with_addresses(addresses)
    assert caught.value.problems[0] == f"{topology.path}: {problem}"


def test_a_node_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    topology = loaded(tmp_path, RIGHT)
    with pytest.raises(TopologyError) as caught:
        topology.node("veiw")
    assert str(caught.value) == (
        f'{topology.path}: expected one of its nodes (view, a), found "veiw" '
        "(did you mean 'view'?); for example: view"
    )


# -- broken files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN_NAMES)
def test_broken_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    reported = "\n".join(problems_of(f"{name}.toml")) + "\n"
    if os.environ.get("REWRITE_EXPECTED"):
        Path(f"{name}.txt").write_text(reported, encoding="utf-8")
    assert reported == Path(f"{name}.txt").read_text(encoding="utf-8")


def test_there_are_many_broken_files_and_no_text_without_one() -> None:
    assert len(BROKEN_NAMES) >= 30
    assert sorted(path.stem for path in BROKEN.glob("*.txt")) == BROKEN_NAMES


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(BROKEN)
    problems = problems_of("many.toml")
    lines = [int(problem.split(":")[1]) for problem in problems]
    assert len(problems) == 15
    assert lines == sorted(lines)


@pytest.mark.parametrize("name", NOT_SYNTAX)
def test_lines_point_at_the_key_or_at_its_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    text = Path(f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    for problem in problems_of(f"{name}.toml"):
        line, key = where(problem)
        if not holds(document, key):
            key = key[:-1]
        names = [part for part in key if isinstance(part, str)]
        if line is None:
            assert not names, problem
            continue
        found = text.split("\n")[line - 1]
        if begins_a_long_value(found):
            assert names[0] in found or names[-1] in found, problem
        else:
            assert names[-1] in found, problem


@pytest.mark.parametrize("name", NOT_SYNTAX)
def test_a_file_in_which_the_examples_are_followed_is_right(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Does at once what all messages say, so it also shows that nothing was kept back."""
    monkeypatch.chdir(BROKEN)
    document = tomllib.loads(Path(f"{name}.toml").read_text(encoding="utf-8"))
    for problem in problems_of(f"{name}.toml"):
        follow(problem, document)
    loaded(tmp_path, toml(document))


def begins_a_long_value(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return True
    return False


def where(problem: str) -> tuple[int | None, Key]:
    """Take the line and the key out of a message."""
    at = re.match(r'\w+\.toml(?::(\d+))?: ((?:[\w.\[\]]|"[^"]*")+): ', problem)
    assert at, problem
    parts = re.findall(r'"([^"]*)"|\[(\d+)\]|(\w+)', at[2])
    key = tuple(int(index) if index else quoted or bare for quoted, index, bare in parts)
    return (int(at[1]) if at[1] else None), key


def holds(document: Any, key: Key) -> bool:
    for part in key:
        if isinstance(document, dict) and part not in document:
            return False
        document = document[part]
    return True


def follow(problem: str, document: dict[str, Any]) -> None:
    """Change a document as the example in a message suggests."""
    example = textwrap.dedent(problem.split("; for example:", 1)[1]).strip()
    suggested = tomllib.loads(example)
    _, key = where(problem)
    table: Any = document
    for part in key[:-1]:
        table = table[part]
    if isinstance(key[-1], int):
        table[key[-1]] = suggested["nodes"][0]
        return
    unknown = "expected a key of " in problem or "expected a table of " in problem
    if unknown or "expected one table" in problem or "in double brackets" in problem:
        table.pop(key[-1])
    if not example.startswith("["):
        table.update(suggested)
        return
    for name, content in suggested.items():
        if isinstance(content, list):
            document.setdefault(name, []).extend(content)
        else:
            document.setdefault(name, {}).update(content)


def toml(document: dict[str, Any]) -> str:
    """Write texts, numbers and dates; tables of the top level, and arrays of them."""
    tables: list[tuple[str, dict[str, Any]]] = []
    for name, content in document.items():
        if isinstance(content, list):
            tables += [(f"[[{name}]]", each) for each in content]
        else:
            tables.append((f"[{name}]", content))
    return "\n".join(
        "\n".join([header, *(f"{json.dumps(key)} = {value(held)}" for key, held in table.items())])
        + "\n"
        for header, table in tables
    )


def value(held: Any) -> str:
    return json.dumps(held) if isinstance(held, str | bool | int | float) else str(held)


# -- any file at all --------------------------------------------------------------------------

ODD_VALUES = [
    *("''", "0", "-1", "true", "nan", "-inf", "1e400", "99999999999999999999", "07:32:00", "[]"),
    *("{}", "[[]]", "[{}]", "{a = {b = 1}}", "' '", "'~'", "'a:b'", "':'", "'tcp://'", "'://'"),
    *("'tcp://[::1:7400'", "'tcp://[]:1'", "'tcp://a:99999999'", "'ipc://*'", "'inproc://a'"),
    *("'\u2028'", "'x' # no comment", r'"\u0000"', "'tcp://h:²'", "'tcp://*:*'", "'''\n'''"),
]


@settings(deadline=None)
@given(st.data())
def test_whatever_the_values_the_error_is_a_topology_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = toml(everything())
    keys = sorted({*re.findall(r'^"(\w+)" =', text, re.MULTILINE), "other"})
    odd = st.tuples(st.sampled_from(keys), st.sampled_from(ODD_VALUES))
    for key, held in data.draw(st.lists(odd, min_size=1, max_size=4)):
        before, found, after = text.partition(f'"{key}" = ')
        text = f"{before}{found or 'other = '}{held}\n{after.partition(chr(10))[2]}"
    check_any(tmp_path_factory, text)


@settings(deadline=None)
@given(st.data())
def test_whatever_the_characters_the_error_is_a_topology_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = RIGHT
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 20))
        text = text[:start] + data.draw(st.text("[]{}\"'\n\\=.,#:/é1a", max_size=4)) + text[end:]
    check_any(tmp_path_factory, text)


def everything() -> dict[str, Any]:
    """Return a document in which every key stands."""
    document = tomllib.loads(RIGHT)
    document["cluster"]["state_dir"] = "memory"
    document["nodes"][1] |= {"bind": "tcp://*:7410", "bind_heartbeat": "tcp://*:7411"}
    numbers = {"timing": dataclasses.asdict(Timing()), "limits": dataclasses.asdict(Limits())}
    return document | numbers


def check_any(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8")
    try:
        assert load(file).replicas
    except TopologyError as error:
        for problem in error.problems:
            at = re.match(re.escape(str(file)) + r"(?::(\d+))?: ", problem)
            assert at, problem
            assert int(at[1] or 1) <= text.count("\n") + 1


# -- files that cannot be read ----------------------------------------------------------------


def test_a_missing_file_names_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").touch()
    (tmp_path / "test.toml").touch()
    assert problems_of(tmp_path / "shpo.toml") == [
        f"{tmp_path}/shpo.toml: expected a topology file, found nothing "
        f"(did you mean 'shop.toml'?); for example: {tmp_path}/shop.toml"
    ]


def test_a_missing_file_where_there_is_none() -> None:
    assert problems_of("no/such/folder.toml") == [
        "no/such/folder.toml: expected a topology file, found nothing; "
        "for example: no/such/local.toml"
    ]


def test_a_folder_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").touch()
    assert problems_of(tmp_path) == [
        f"{tmp_path}: expected a topology file, found a folder; for example: {tmp_path}/shop.toml"
    ]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    file = tmp_path / "loop.toml"
    file.symlink_to(file)
    (problem,) = problems_of(file)
    assert problem == (
        f"{file}: expected a topology file, found something that cannot be read: "
        f"Too many levels of symbolic links; for example: {tmp_path}/local.toml"
    )


def test_a_file_in_another_encoding_says_in_which_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(RIGHT.replace("shop:Stock", "shop:Stöck").encode("latin-1"))
    assert problems_of(file) == [
        f"{file}:3: expected text in UTF-8, found the byte 0xf6; "
        "for example: save it again, with the encoding UTF-8"
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[" * 10_000, "arrays or tables are nested too deeply"),
        ("9" * 5_000, "Exceeds the limit"),
    ],
)
def test_what_overwhelms_the_parser_is_a_syntax_error(
    tmp_path: Path, value: str, reason: str
) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(f"value = {value}\n")
    (problem,) = problems_of(file)
    assert problem.startswith(f"{file}: syntax: expected TOML, ")
    assert reason in problem


# -- lines ------------------------------------------------------------------------------------

bare_keys = st.sampled_from(["name", "role", "x-1"])
quoted_keys = st.sampled_from(['"name"', "'two words'", '"a.b"', '"[x]"'])
scalars = st.sampled_from(
    [
        "1",
        '"text"',
        '"[[nodes]]"',
        "'# no comment'",
        '"""\n[cluster]\nname = 1\n\\""" still text"""',
        "'''\n[[nodes]]\nrole = '''",
        "[\n  1, # [cluster]\n  2,\n]",
        "{name = 1, role = {deep = [{x = 1}]}}",
        "[{name = 1}, {role = 2}]",
        "2024-01-01",
    ]
)
fillers = st.sampled_from(["", "# name = 1", "  ", "\t# [cluster]"])


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """Draw TOML in which each statement has a key of its own, and the line of each such key."""
    text: list[str] = []
    lines: dict[str, int] = {}
    for number in range(draw(st.integers(1, 12))):
        text += draw(st.lists(fillers, max_size=2))
        name = f"k{number}"
        kind = draw(st.sampled_from(["value", "value", "dotted", "table", "array", "inside"]))
        comment = draw(st.sampled_from(["", " # [x]"]))
        statement = {
            "value": f"{name} = {draw(scalars)}",
            "dotted": f"{name} . {draw(bare_keys | quoted_keys)} = {draw(scalars)}",
            "table": f"[ {name} ]",
            "array": f"[[{name}]]",
            "inside": f"[many.{name}]" if number % 2 else f"[[many.{name}]]",
        }[kind]
        if kind == "inside":
            text.append("[[many]]")
        lines[name] = "\n".join([*text, ""]).count("\n") + 1
        text.append(statement + comment)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return "\n".join(text).replace("\n", end), lines


@settings(deadline=None)
@given(layouts())
def test_every_key_is_found_in_its_line(layout: tuple[str, dict[str, int]]) -> None:
    text, expected = layout
    document = tomllib.loads(text)
    lines = lines_of_keys(text)
    assert set(lines) == set(keys_of(document))
    first: dict[str, int] = {}
    for key, line in lines.items():
        for name in expected:
            if name in key:
                first[name] = min(line, first.get(name, line))
    assert first == expected


def keys_of(held: Any, at: Key = ()) -> Iterator[Key]:
    for name, inner in (
        held.items()
        if isinstance(held, dict)
        else enumerate(held if isinstance(held, list) else ())
    ):
        yield (*at, name)
        yield from keys_of(inner, (*at, name))


# -- the explanation --------------------------------------------------------------------------


def tables_of_readme() -> dict[str, dict[str, str]]:
    """Return, for each section of the README about a table, the default of every key."""
    text = (ROOT / "topology" / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `(.*)`$", text, flags=re.MULTILINE)
    return {
        title: dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (\S+) \| [^|]+ \|$", body, re.MULTILINE))
        for title, body in zip(sections[1::2], sections[2::2], strict=True)
    }


def test_readme_explains_every_key_with_its_default() -> None:
    tables = tables_of_readme()
    assert list(tables) == ["[cluster]", "[[nodes]]", "[timing]", "[limits]"]
    for title, numbers in (("[timing]", Timing()), ("[limits]", Limits())):
        defaults = {name: str(number) for name, number in dataclasses.asdict(numbers).items()}
        assert tables[title] == defaults
    assert tables["[cluster]"] == {
        "name": "required",
        "machine": "required",
        "state_dir": "`var/NAME`",
        "min_copies": "1",
    }
    assert tables["[[nodes]]"] == {
        "name": "required",
        "role": "required",
        "address": "required",
        "heartbeat": "required",
        "bind": "`address`",
        "bind_heartbeat": "`heartbeat`",
    }


def test_defaults_are_safe() -> None:
    assert Timing().problems() == Limits().problems() == []
