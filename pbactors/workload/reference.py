"""The reference workloads: register, append and counter on texts under keys; bank; set.

What is written is different in every call, so that a value tells which call it came from.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from pbactors.linearizability import Call
from pbactors.machines.bank import Bank
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.sets import Sets
from pbactors.workload.base import Invocation, Raised, Workload, last_results

__all__ = ["WORKLOADS"]

KEYS = 3
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

    def mine(self, calls: Sequence[Call]) -> Iterator[Call]:
        """Yield the calls on keys of this kind."""
        for call in calls:
            if str(call.operation.arguments[0]).startswith(self.prefix):
                yield call


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
        """What is there in the end was written by somebody."""
        mine = list(self.mine(calls))
        written = {
            (call.operation.arguments[0], call.operation.arguments[-1])
            for call in mine
            if call.operation.method != "get"
        }
        for key, value in last_results(mine, "get").items():
            if value is not None and (key, value) not in written:
                return f"{key} holds {value!r} in the end, which nobody wrote"
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
        mine = list(self.mine(calls))
        appended = [call for call in mine if call.operation.method == "append"]
        for key, value in last_results(mine, "get").items():
            pieces = str(value or "").split()
            if len(set(pieces)) != len(pieces):
                return f"a piece stands twice in {key}: {value!r}"
            here = [call for call in appended if call.operation.arguments[0] == key]
            missing = {
                call.operation.arguments[1].strip() for call in here if call.ended is not None
            } - set(pieces)
            if missing:
                return f"acknowledged, but not in {key}: {', '.join(sorted(missing))}"
            unknown = set(pieces) - {call.operation.arguments[1].strip() for call in here}
            if unknown:
                return f"nobody appended to {key}: {', '.join(sorted(unknown))}"
            reason = _refuse_order(str(key), pieces)
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
    """Increment by amounts that tell which were counted, and get."""

    name = "counter"
    prefix = "counter"

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        key = self.key(random)
        if random.random() < 0.25:
            return Invocation("get", (key,))
        return Invocation("increment", (key, random.randint(1, 5)))

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What was acknowledged was counted, and at most what was asked for."""
        mine = list(self.mine(calls))
        for key, value in last_results(mine, "get").items():
            amounts = [
                (call.operation.arguments[1], call.ended is not None)
                for call in mine
                if call.operation.method == "increment" and call.operation.arguments[0] == key
            ]
            least = sum(amount for amount, answered in amounts if answered)
            most = sum(amount for amount, _ in amounts)
            if not least <= int(str(value or 0)) <= most:
                return f"{key} is {value} in the end, not from {least} to {most}"
        return None


class MixedWorkload(_OnTexts):
    """Registers, appended texts and counters side by side."""

    name = "kv"
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


class BankModel:
    """All accounts, as sorted pairs of name and balance."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""
        return ()

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and its result."""
        method, arguments = operation
        balances = dict(state)
        match method, arguments:
            case "balance", (account,):
                return state, balances.get(account, 0)
            case "total", ():
                return state, sum(balances.values())
            case "deposit", (account, amount):
                balances[account] = balances.get(account, 0) + amount
                return tuple(sorted(balances.items())), balances[account]
            case "transfer", (source, target, amount):
                held = balances.get(source, 0)
                if held < amount:
                    return state, Raised("ValueError", f"{source} holds {held}, less than {amount}")
                balances[source] = held - amount
                balances[target] = balances.get(target, 0) + amount
                return tuple(sorted(balances.items())), None
        raise ValueError(f"no operation of a bank: {operation}")


class BankWorkload(Workload):
    """Deposits, transfers, and looking at balances. No part of it stands alone."""

    name = "bank"
    machine = Bank
    accounts = ("ann", "bob", "cid")

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        draw = random.random()
        if draw < 0.2:
            return Invocation("balance", (random.choice(self.accounts),))
        if draw < 0.3:
            return Invocation("total", ())
        if draw < 0.5:
            return Invocation("deposit", (random.choice(self.accounts), random.randint(1, 20)))
        source, target = random.sample(self.accounts, 2)
        return Invocation("transfer", (source, target, random.randint(1, 20)))

    def final(self) -> Sequence[Invocation]:
        """Look at every account, and at all together."""
        looks = [Invocation("balance", (account,)) for account in self.accounts]
        return [*looks, Invocation("total", ())]

    @property
    def model(self) -> BankModel:
        """All accounts together."""
        return BankModel()

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """No money appears or disappears."""
        totals = [call for call in calls if call.operation.method == "total"]
        answered = [call for call in totals if call.ended is not None]
        if not answered:
            return None
        last = max(answered, key=lambda call: call.began)
        deposits = [call for call in calls if call.operation.method == "deposit"]
        least = sum(call.operation.arguments[1] for call in deposits if call.ended is not None)
        most = sum(call.operation.arguments[1] for call in deposits)
        later = any(call.began > last.began for call in deposits)
        if not later and not least <= int(str(last.result)) <= most:
            return f"all accounts hold {last.result} in the end, not from {least} to {most}"
        return None


class SetModel:
    """One set, as a frozenset."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""
        return frozenset()

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and its result."""
        method, (_, *arguments) = operation
        match method, arguments:
            case "contains", [item]:
                return state, item in state
            case "members", []:
                return state, sorted(state)
            case "add", [item]:
                return state | {item}, item not in state
            case "remove", [item]:
                return state - {item}, item in state
        raise ValueError(f"no operation on a set: {operation}")


class SetWorkload(Workload):
    """Adding, removing, and looking."""

    name = "set"
    machine = Sets

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        name = f"set{random.randrange(KEYS)}"
        draw = random.random()
        if draw < 0.2:
            return Invocation("members", (name,))
        item = f"{client}.{turn}" if draw < 0.5 else f"{client}.{random.randrange(turn + 1)}"
        if draw < 0.6:
            return Invocation("add", (name, item))
        return Invocation("contains" if draw < 0.8 else "remove", (name, item))

    def final(self) -> Sequence[Invocation]:
        """List every set."""
        return [Invocation("members", (f"set{number}",)) for number in range(KEYS)]

    @property
    def model(self) -> SetModel:
        """One set."""
        return SetModel()

    def part_of(self, invocation: Invocation) -> Hashable:
        """Sets are independent."""
        return invocation.arguments[0]

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What was added and never removed is there; what is there was added."""
        for name, members in last_results(calls, "members").items():
            by_method: Mapping[str, list[Call]] = {"add": [], "remove": []}
            for call in calls:
                if call.operation.arguments[0] == name and call.operation.method in by_method:
                    by_method[call.operation.method].append(call)
            asked = {call.operation.arguments[1] for call in by_method["add"]}
            sure = {
                call.operation.arguments[1] for call in by_method["add"] if call.ended is not None
            } - {call.operation.arguments[1] for call in by_method["remove"]}
            there = set(members) if isinstance(members, list) else set()
            if not sure <= there <= asked:
                return f"{name} holds {sorted(there)}, at least {sorted(sure)} was expected"
        return None


WORKLOADS: Mapping[str, Workload] = {
    load.name: load
    for load in (
        MixedWorkload(),
        RegisterWorkload(),
        AppendWorkload(),
        CounterWorkload(),
        BankWorkload(),
        SetWorkload(),
    )
}
"""The reference workloads by name. The first one for a class is the one it gets unless asked."""
