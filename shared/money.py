"""Money as whole nano-dollars (10⁻⁹ USD): exact to add, exact to print, never a float."""

import re

NANOUSD_PER_USD = 1_000_000_000
MAX_NANOUSD = 2**63 - 1
"""The largest amount a ledger column holds: about 9.2 billion dollars."""

_DECIMAL = re.compile(r"(-?)([0-9]{1,10})(?:\.([0-9]{1,9}))?", re.ASCII)

__all__ = ["MAX_NANOUSD", "NANOUSD_PER_USD", "format_usd", "parse_usd", "show_usd"]


def parse_usd(text: str) -> int:
    """Nano-dollars of a decimal string such as `2.50`.

    Raises ValueError for anything but plain ASCII digits with at most nine decimals, and for an
    amount that a ledger column cannot hold.
    """
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an amount in dollars: write it like 2.50")
    sign, whole, fraction = match.groups()
    amount = int(whole) * NANOUSD_PER_USD + int((fraction or "").ljust(9, "0"))
    if amount > MAX_NANOUSD:
        raise ValueError(f"{text!r} dollars is more than the ledger can hold")
    return -amount if sign else amount


def format_usd(nanousd: int) -> str:
    """The amount with nine decimal places, as every JSON document and header carries it."""
    sign = "-" if nanousd < 0 else ""
    whole, fraction = divmod(abs(nanousd), NANOUSD_PER_USD)
    return f"{sign}{whole}.{fraction:09d}"


def show_usd(nanousd: int) -> str:
    """The amount for a person: a dollar sign, at least two decimals, no trailing zeros beyond."""
    whole, fraction = format_usd(nanousd).lstrip("-").split(".")
    shown = fraction.rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}${whole}.{shown}"
