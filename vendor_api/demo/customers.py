"""Who buys in the made-up month, and who works for the vendor."""

from dataclasses import dataclass

from vendor_api.people.roster import Role

__all__ = ["CUSTOMERS", "PEOPLE", "Customer"]


@dataclass(frozen=True, slots=True)
class Customer:
    """How one made-up customer buys."""

    name: str
    share: int
    """Of all requests, in parts of the sum over the customers."""
    credit_usd: str
    images: int
    """Items of a request at most."""
    texts: int = 0
    repeats: float = 0.1
    """How many items were asked for before."""
    bad: float = 0.01
    """How many items cannot be read."""
    keys: tuple[str, ...] = ("production",)


CUSTOMERS = (
    Customer("northwind-vision", 40, "9", 48, 4, keys=("production", "nightly")),
    Customer("helix-labs", 25, "5", 16, 40, repeats=0.35),
    Customer("tern-robotics", 15, "4.5", 64, repeats=0.02, bad=0.05),
    Customer("atelier-maps", 10, "0.5", 12, 3, keys=("website", "old website")),
    Customer("quiet-pixel", 8, "0.4", 6, 6, repeats=0.6),
    Customer("old-mill", 2, "1", 4),
)
PEOPLE: tuple[tuple[str, Role], ...] = (
    ("eva@example.org", "admin"),
    ("finn@example.org", "finance"),
    ("sam@example.org", "support"),
    ("vera@example.org", "viewer"),
)
