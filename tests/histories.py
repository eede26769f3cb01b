"""Histories with known verdicts: how to read the files in ``tests/data/histories``."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pbactors.linearizability import Call, Model, Verdict, check

FOLDER = Path(__file__).parent / "data" / "histories"
VERDICTS: dict[str, bool] = json.loads((FOLDER / "verdicts.json").read_text())

ETCD = re.compile(r"(\S+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)$")
KV = re.compile(r"\{:process (\d+), :type :(\w+), :f :(\w+), :key \"(.*?)\", :value (.*)\}$")


class Register:
    """One register; None before anything was written."""

    def initial(self) -> Hashable:
        return None

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        match operation:
            case ("read",):
                return state, state
            case ("write", value):
                return value, True
            case ("cas", before, after):
                return (after, True) if state == before else (state, False)
        raise AssertionError(operation)


class Texts:
    """One text per key; empty before anything was written."""

    def initial(self) -> Hashable:
        return ""

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        match operation:
            case ("get", _):
                return state, state
            case ("put", _, value):
                return value, None
            case ("append", _, value):
                return state + value, None
        raise AssertionError(operation)


def judge(name: str) -> Verdict:
    """Return the checker's verdict on one of the files."""
    lines = (FOLDER / name).read_text().splitlines()
    if name.startswith("etcd"):
        calls, model = list(etcd_calls(lines)), Register()
        return check(calls, model)
    texts: Model = Texts()
    return check(list(kv_calls(lines)), texts, part_of=lambda operation: operation[1])


def etcd_calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls of a Jepsen log of one register."""
    under_way: dict[str, tuple[int, tuple[Any, ...]]] = {}
    for time, line in enumerate(lines):
        found = ETCD.search(line)
        if found is None:
            continue
        process, kind, method, value = found.groups()
        if kind == "invoke":
            numbers = [None if word == "nil" else int(word) for word in value.strip("[]").split()]
            operation = ("read",) if method == "read" else (method, *numbers)
            under_way[process] = (time, operation)
        elif kind == "info":  # unknown, until the end of the history
            began, operation = under_way.pop(process)
            yield Call(process, operation, None, began, None)
        else:
            began, operation = under_way.pop(process)
            if method == "read" and kind == "fail":
                continue  # it returned nothing
            result: object = kind == "ok"
            if method == "read":
                result = None if value == "nil" else int(value)
            yield Call(process, operation, result, began, time)
    for process, (began, operation) in under_way.items():
        yield Call(process, operation, None, began, None)


def kv_calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls of a log of a key/value store."""
    under_way: dict[str, tuple[int, tuple[str, ...]]] = {}
    for time, line in enumerate(lines):
        found = KV.match(line)
        if found is None:
            continue
        process, kind, method, key, value = found.groups()
        if kind == "invoke":
            operation = (method, key) if method == "get" else (method, key, json.loads(value))
            under_way[process] = (time, operation)
        else:
            began, operation = under_way.pop(process)
            result = json.loads(value) if method == "get" else None
            yield Call(process, operation, result, began, time)
    for process, (began, operation) in under_way.items():
        yield Call(process, operation, None, began, None)
