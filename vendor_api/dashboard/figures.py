"""How the dashboard's documents carry figures: exact integers within, strings people read in JSON."""

from typing import Annotated

from pydantic import AliasGenerator, BaseModel, ConfigDict, PlainSerializer

from shared.money import format_usd
from vendor_api.db import format_instant

Nanousd = Annotated[int, PlainSerializer(format_usd, return_type=str)]
"""Money: nano-dollars to add and compare, a decimal string of nine places in JSON."""
Instant = Annotated[int, PlainSerializer(format_instant, return_type=str)]
"""Microseconds of UTC, ISO 8601 in JSON."""

__all__ = ["Figures", "Instant", "Nanousd"]


class Figures(BaseModel):
    """Base of what a page shows: a template reads the integers, JSON says `…_usd` for `…_nanousd`."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=AliasGenerator(
            serialization_alias=lambda name: name.replace("_nanousd", "_usd")
        ),
        serialize_by_alias=True,
    )
