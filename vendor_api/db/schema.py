"""What every table of the vendor has in common: its catalogue, names and largest amounts."""

from sqlalchemy import BigInteger, Integer, MetaData

INT64 = BigInteger().with_variant(Integer, "sqlite")
MAX_CREDITED_NANOUSD = 2**62 - 1
"""Sums of two such columns stay within an int64: about 4.6 billion dollars."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

__all__ = ["INT64", "MAX_CREDITED_NANOUSD", "metadata"]
