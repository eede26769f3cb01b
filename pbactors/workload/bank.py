"""The workload on a bank: money moves, and none appears or disappears."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from random import Random
from typing import Any

from pbactors.linearizability import Call
from pbactors.machines.bank import Bank
from pbactors.workload.base import (
    Invocation,
    Raised,
    Workload,
    amount_of,
    is_a_sum,
)

__all__ = ["BankModel", "BankWorkload"]


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
            case ("withdraw", (source, amount)) | ("transfer", (source, _, amount)):
                held = balances.get(source, 0)
                if held < amount:
                    return state, Raised("ValueError", f"{source} holds {held}, less than {amount}")
                balances[source] = held - amount
                if method == "transfer":
                    balances[arguments[1]] = balances.get(arguments[1], 0) + amount
                return tuple(sorted(balances.items())), balances[source]
        raise ValueError(f"no operation of a bank: {operation}")


class BankWorkload(Workload):
    """Deposits, withdrawals, transfers, and looking at balances. No part of it stands alone."""

    name = "bank"
    machine = Bank
    accounts = ("ann", "bob", "cid")

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        draw = random.random()
        source, target = random.sample(self.accounts, 2)
        amount = amount_of(client, turn)
        if draw < 0.2:
            return Invocation("balance", (source,))
        if draw < 0.3:
            return Invocation("total", ())
        if draw < 0.5:
            return Invocation("deposit", (source, amount))
        if draw < 0.6:
            return Invocation("withdraw", (source, amount))
        return Invocation("transfer", (source, target, amount))

    def final(self) -> Sequence[Invocation]:
        """Look at every account, and at all together."""
        looks = [Invocation("balance", (account,)) for account in self.accounts]
        return [*looks, Invocation("total", ())]

    @property
    def model(self) -> BankModel:
        """All accounts together."""
        return BankModel()

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """No money appears or disappears, and no account is overdrawn."""
        balances = self.final_results(calls, "balance")
        # A command without an answer may have taken effect between the last reads.
        unsure = any(
            call.ended is None and call.operation.method in self.commands for call in calls
        )
        for (account,), held in balances.items():
            if not isinstance(held, int) or held < 0:
                return f"{account} holds {held!r} in the end"
        for total in self.final_results(calls, "total").values():
            one_by_one = sum(map(_number, balances.values()))
            if not unsure and len(balances) == len(self.accounts) and total != one_by_one:
                return f"all accounts hold {total!r} in the end, but one by one {balances}"
            reason = _refuse_total(_number(total), calls)
            if reason is not None:
                return reason
        return None


def _refuse_total(total: int, calls: Sequence[Call]) -> str | None:
    paid_in, paid_out = 0, 0
    unsure_in: list[int] = []
    unsure_out: list[int] = []
    for call in calls:
        method, arguments = call.operation
        if method not in ("deposit", "withdraw") or isinstance(call.result, Raised):
            continue
        if call.ended is None:
            (unsure_in if method == "deposit" else unsure_out).append(arguments[1])
        elif method == "deposit":
            paid_in += arguments[1]
        else:
            paid_out += arguments[1]
    least = paid_in - paid_out - sum(unsure_out)
    # seen from the least, each unsure deposit that happened adds, and each withdrawal that did not
    if is_a_sum(total - least, [*unsure_in, *unsure_out]):
        return None
    return (
        f"all accounts hold {total} in the end; {paid_in} was paid in and {paid_out} paid out, "
        f"and unanswered are deposits of {sum(unsure_in)} and withdrawals of {sum(unsure_out)}"
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1
