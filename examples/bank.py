"""A bank whose accounts survive a ``kill -9``: an ordinary class with marked methods.

``bank.toml`` beside this file names it. Try it::

    pbactors up examples/bank.toml
    pbactors call examples/bank.toml deposit alice 100
    pbactors call examples/bank.toml transfer alice bob 30
    pbactors call examples/bank.toml statement bob
"""

from __future__ import annotations

from datetime import datetime

from pbactors import StateMachine, command, query


class Bank(StateMachine):
    """Accounts in whole cents. The attributes are the state; every copy has the same."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.entries: list[tuple[datetime, str, str, int]] = []

    @command
    def deposit(self, account: str, amount: int) -> int:
        """Pay in, and return the new balance."""
        if amount <= 0:
            raise ValueError("an amount is positive")
        self._book("deposit", account, amount)
        return self.balances[account]

    @command
    def transfer(self, source: str, target: str, amount: int) -> str:
        """Move money, and return a receipt.

        What a method changes before it raises stays changed, so it looks first and changes then.
        """
        if amount <= 0:
            raise ValueError("an amount is positive")
        if self.balances.get(source, 0) < amount:
            raise ValueError(f"{source} has no {amount}")
        receipt = self.context.new_id()  # never uuid4(): the copies would draw different ones
        self._book(receipt, source, -amount)
        self._book(receipt, target, amount)
        return receipt

    @query
    def balance(self, account: str) -> int:
        """Return what is there."""
        return self.balances.get(account, 0)

    @query
    def statement(self, account: str) -> list[tuple[datetime, str, int]]:
        """Return when what was booked for which amount, oldest first."""
        return [
            (when, what, amount) for when, what, whose, amount in self.entries if whose == account
        ]

    def _book(self, what: str, account: str, amount: int) -> None:
        self.balances[account] = self.balances.get(account, 0) + amount
        self.entries.append((self.context.now, what, account, amount))  # never datetime.now()
