"""Whose next order will be held, as far as is known: only for theirs is anything done beforehand."""

from collections import OrderedDict

MAX_ACCOUNTS = 10_000

__all__ = ["MAX_ACCOUNTS", "Trust"]


class Trust:
    """What accounts had left when they last bought here. A guess to save time by, never money.

    An account is trusted once an order of its was held, and no more after one was refused: a refusal
    costs at most one preparation for nothing.
    """

    def __init__(self, max_accounts: int = MAX_ACCOUNTS) -> None:
        """`max_accounts`: remembered at most, those that bought last."""
        self._max_accounts = max_accounts
        self._available: OrderedDict[str, int] = OrderedDict()

    def covers(self, account_id: str, nanousd: int) -> bool:
        """Whether the account will most likely be granted that much."""
        return self._available.get(account_id, -1) >= nanousd

    def note(self, account_id: str, available_nanousd: int) -> None:
        """An order of the account was held or charged, and that much is left."""
        self._available[account_id] = available_nanousd
        self._available.move_to_end(account_id)
        if len(self._available) > self._max_accounts:
            self._available.popitem(last=False)

    def lose(self, account_id: str) -> None:
        """An order of the account was refused, for whatever reason."""
        self._available.pop(account_id, None)
