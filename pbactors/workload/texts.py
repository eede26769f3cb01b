"""Workloads on single texts of a key/value store: register, append, counter, and all of them.

What is written is different in every call, so that a value tells which call it came from.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from random import Random
from typing import Any, Final

from pbactors.linearizability import Call
from pbactors.machines.kv import KeyValueStore
from pbactors.workload.base import Invocation, Workload, amount_of, is_a_sum

__all__ = [
    "KEYS",
    "AppendWorkload",
    "CounterWorkload",
    "MixedWorkload",
    "RegisterWorkload",
    "TextModel",
]

KEYS: Final = 3
"""How many keys of a kind: few, so that clients meet."""


class TextModel:
    """One text of a key/value store; None where there is none."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""
        return None

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and its result."""
        method, (_, *arguments) = operation
        match method, arguments:
            case "get", []:
                return state, state
            case "put", [value]:
                return value, None
            case "append", [suffix]:
                value = (state or "") + suffix
                return value, value
            case "compare_and_set", [expected, value]:
                return (value, True) if state == expected else (state, False)
            case "increment", [amount]:
                number = int(state or "0") + amount
                return str(number), number
            case "delete", []:
                return None, state is not None
        raise ValueError(f"no operation on one text: {operation}")


class _OnTexts(Workload):
    """A workload on single keys of a key/value store."""

    machine = KeyValueStore
    prefix: str

    def key(self, random: Random) -> str:
        """Return one of the few keys of this kind."""
        return f"{self.prefix}{random.randrange(KEYS)}"

    def final(self) -> Sequence[Invocation]:
        """Read every key."""
        return [Invocation("get", (f"{self.prefix}{number}",)) for number in range(KEYS)]

    @property
    def model(self) -> TextModel:
        """One text."""
        return TextModel()

    def part_of(self, invocation: Invocation) -> Hashable:
        """Keys are independent."""
        return invocation.arguments[0]

    def by_key(self, calls: Sequence[Call]) -> Iterator[tuple[str, object, list[Call]]]:
        """Yield each key that was read at the end, what it held, and the commands on it."""
        for (key, *_), held in self.final_results(calls, "get").items():
            if str(key).startswith(self.prefix):
                commands = [
                    call
                    for call in calls
                    if call.operation.arguments[0] == key and call.operation.method != "get"
                ]
                yield str(key), held, commands


class RegisterWorkload(_OnTexts):
    """Put, get, and compare and set."""

    name = "register"
    prefix = "register"

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        key = self.key(random)
        draw = random.random()
        value = f"{client}.{turn}"
        if draw < 0.45:
            return Invocation("get", (key,))
        if draw < 0.85:
            return Invocation("put", (key, value))
        expected = f"{client}.{random.randrange(turn)}" if turn and draw < 0.95 else None
        return Invocation("compare_and_set", (key, expected, value))

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What is there in the end was written by somebody; nothing is there if nobody wrote."""
        for key, value, commands in self.by_key(calls):
            written = {call.operation.arguments[-1] for call in commands}
            if value is not None and value not in written:
                return f"{key} holds {value!r} in the end, which nobody wrote"
            if value is None and any(
                call.operation.method == "put" and call.ended is not None for call in commands
            ):
                return f"{key} holds nothing in the end, but a put was acknowledged"
        return None


class AppendWorkload(_OnTexts):
    """Append, and get."""

    name = "append"
    prefix = "append"

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        key = self.key(random)
        if random.random() < 0.3:
            return Invocation("get", (key,))
        return Invocation("append", (key, f"{client}.{turn} "))

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """Every piece that was acknowledged is there once, and those of a client in their order."""
        for key, value, commands in self.by_key(calls):
            pieces = str(value or "").split()
            if len(set(pieces)) != len(pieces):
                return f"a piece stands twice in {key}: {value!r}"
            asked = {call.operation.arguments[1].strip() for call in commands}
            unknown = set(pieces) - asked
            if unknown:
                return f"nobody appended to {key}: {', '.join(sorted(unknown))}"
            acknowledged = {
                call.operation.arguments[1].strip() for call in commands if call.ended is not None
            }
            missing = acknowledged - set(pieces)
            if missing:
                return f"acknowledged, but not in {key}: {', '.join(sorted(missing))}"
            # one without an answer may be of a session that ended before, and come late
            reason = _refuse_order(key, [piece for piece in pieces if piece in acknowledged])
            if reason is not None:
                return reason
        return None


def _refuse_order(key: str, pieces: Sequence[str]) -> str | None:
    latest: dict[str, int] = {}
    for piece in pieces:
        client, _, turn = piece.partition(".")
        if int(turn) < latest.get(client, -1):
            return f"the pieces of client {client} in {key} are out of order: {' '.join(pieces)}"
        latest[client] = int(turn)
    return None


class CounterWorkload(_OnTexts):
    """Increment by amounts of which no two are equal, and get."""

    name = "counter"
    prefix = "counter"

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        key = self.key(random)
        if random.random() < 0.25:
            return Invocation("get", (key,))
        return Invocation("increment", (key, amount_of(client, turn)))

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What was acknowledged was counted once, and anything else that was asked for at most."""
        for key, value, commands in self.by_key(calls):
            least = sum(call.operation.arguments[1] for call in commands if call.ended is not None)
            unsure = [call.operation.arguments[1] for call in commands if call.ended is None]
            text = str(value or 0)
            if not text.lstrip("-").isdecimal():
                return f"{key} is {value!r} in the end, which is no number"
            number = int(text)
            if not is_a_sum(number - least, unsure):
                return (
                    f"{key} is {number} in the end; {least} was acknowledged, and "
                    f"{sum(unsure)} may be there besides"
                )
        return None


class MixedWorkload(_OnTexts):
    """Registers, appended texts and counters side by side."""

    name = "kv"
    prefix = ""
    parts = (RegisterWorkload(), AppendWorkload(), CounterWorkload())

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        return random.choice(self.parts).invoke(random, client, turn)

    def final(self) -> Sequence[Invocation]:
        """Read every key."""
        return [invocation for part in self.parts for invocation in part.final()]

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What must hold for each of the parts."""
        return next(filter(None, (part.refuse_end(calls) for part in self.parts)), None)
