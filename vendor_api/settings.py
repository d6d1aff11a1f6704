"""The vendor's settings: `VENDOR_*` in the environment; a command's flags override them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_DATABASE_URL = "sqlite:///./vendor.db"

__all__ = ["DEFAULT_DATABASE_URL", "VendorSettings"]


class VendorSettings(BaseSettings):
    """Everything that can be set about a vendor; made where it is needed, never at import time."""

    model_config = SettingsConfigDict(env_prefix="VENDOR_", extra="ignore", frozen=True)

    database_url: str = DEFAULT_DATABASE_URL
    """Where the ledger lives: a SQLite file, or `postgresql+psycopg://…` in production."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """Zero picks a free port."""
    models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models on sale, comma-separated: `ID=SPEC` or `SPEC`, where SPEC is
    `architecture/pretrained-tag` or `local-dir:PATH`."""
    key_pepper_file: Path | None = None
    """The secret that API keys are hashed with; beside the SQLite file when unset."""
    redis_url: str | None = None
    """Optional: with it all processes count a key's limits together; no balance ever depends on it."""
    requests_per_minute: int = Field(default=6000, ge=0, lt=10**15)
    """For each key that has no limit of its own, and so the three below; 0: no limit."""
    items_per_minute: int = Field(default=600_000, ge=0, lt=10**15)
    bytes_per_minute: int = Field(default=6 * 1024**3, ge=0, lt=10**15)
    concurrency: int = Field(default=64, ge=0, lt=10**15)
    """Requests of a key under way at the same time."""
    threads: int | None = Field(default=None, ge=1)
    """Threads a model computes with; the library's default when unset."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """What a model computes in; part of its revision."""
    decode_threads: int = Field(default=2, ge=1)
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_inflight_body_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    """Bytes of request bodies in memory above which a request is answered 503."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """How long a request's body may take to arrive."""
    max_queued_ms: float = Field(default=10_000.0, gt=0)
    """Estimated milliseconds of queued work above which a request is answered 503."""
    busy_timeout_s: float = Field(default=5.0, gt=0)
    """How long to wait for a SQLite file that another process is writing to."""
    audit_seconds: float = Field(default=60.0, ge=0)
    """How often the books are checked while serving; 0 leaves it to `ledger verify`."""
    audit_freezes: bool = True
    """Whether an account whose books are wrong is frozen."""
    erase_days: int = Field(default=30, ge=0, le=36500)
    """Days after an account is closed until its digests and names are erased."""
    erase_seconds: float = Field(default=3600.0, ge=0)
    """How often closed accounts are looked for while serving; 0 leaves it to `retention erase`."""
    log_json: bool = False
    log_level: str = "info"

    @field_validator("models", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write it like redis://127.0.0.1:6379/0, or leave it out")
        return value or None
