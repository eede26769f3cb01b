"""A replicated bank: accounts that hold whole amounts, and transfers between them."""

from __future__ import annotations

from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.machines.table import Table

__all__ = ["Bank"]


class Bank(StateMachine):
    """Whole amounts under text names. An account that was never paid into holds 0.

    No account ever holds less than 0: what would overdraw it raises ``ValueError`` and changes
    nothing.
    """

    def __init__(self) -> None:
        self.balances: Table[str, int] = Table()

    @query
    def balance(self, account: str) -> int:
        """Return what an account holds."""
        return self.balances.get(account, 0)

    @query
    def total(self) -> int:
        """Return what all accounts hold together."""
        return sum(self.balances.values())

    @command
    def deposit(self, account: str, amount: int) -> int:
        """Pay into an account.

        Returns:
            What it holds then.

        Raises:
            ValueError: the amount is below 0.
        """
        _refuse_negative(amount)
        self.balances[account] = self.balances.get(account, 0) + amount
        return self.balances[account]

    @command
    def withdraw(self, account: str, amount: int) -> int:
        """Take out of an account.

        Returns:
            What it holds then.

        Raises:
            ValueError: the amount is below 0, or more than the account holds.
        """
        _refuse_negative(amount)
        held = self.balances.get(account, 0)
        if held < amount:
            raise ValueError(f"{account} holds {held}, less than {amount}")
        self.balances[account] = held - amount
        return held - amount

    @command
    def transfer(self, source: str, target: str, amount: int) -> int:
        """Take out of one account and pay into another, both or neither.

        Returns:
            What the source holds then.

        Raises:
            ValueError: the amount is below 0, or more than the source holds.
        """
        self.withdraw(source, amount)
        self.deposit(target, amount)
        return self.balances[source]


def _refuse_negative(amount: int) -> None:
    if amount < 0:
        raise ValueError(f"an amount is 0 or more, not {amount}")
