"""The vendor's settings: `VENDOR_*` in the environment or, as `VENDOR_*_FILE`, in files.

A command's flags override them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from vendor_api.secret_files import SecretFiles
from vendor_api.thresholds import Thresholds

DEFAULT_DATABASE_URL = "sqlite:///./vendor.db"
DEFAULT_RAY_ADDRESS = "127.0.0.1:6379"

__all__ = ["DEFAULT_DATABASE_URL", "DEFAULT_RAY_ADDRESS", "VendorSettings"]


class VendorSettings(Thresholds):
    """Everything that can be set about a vendor; made where it is needed, never at import time."""

    model_config = SettingsConfigDict(env_prefix="VENDOR_", extra="ignore", frozen=True)

    database_url: str = DEFAULT_DATABASE_URL
    """Where the ledger lives: a SQLite file, or `postgresql+psycopg://…` in production."""
    database_password: SecretStr | None = None
    """PostgreSQL's, when the address leaves it out; best given as a file."""
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
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """What a model computes in; part of its revision. `auto`: bf16 where `vl2v-vendor precision` has
    shown on this processor that its vectors survive it."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What computes images in fp32: `onnx` where bf16 is missing and torch has no oneDNN."""
    engine: Literal["process", "thread", "ray"] = "process"
    """Where models compute: each in a process of its own, started again when it dies, in threads, or
    on a Ray cluster that `engine deploy` has put them on."""
    ray_address: str = DEFAULT_RAY_ADDRESS
    """HOST:PORT of the Ray cluster's head; this machine must be one of its nodes."""
    ray_replicas: str = "1"
    """Replicas of each model that `engine deploy` asks for: a number, or `1-8` to follow the load."""
    ray_target: float = Field(default=8.0, gt=0)
    """Requests under way in a replica that Ray aims at when it may choose their number."""
    ray_up_s: float = Field(default=10.0, ge=0)
    """Seconds of more load than the target before Ray adds a replica."""
    ray_down_s: float = Field(default=300.0, ge=0)
    """Seconds of less before it ends one."""
    ray_cpus: float = Field(default=1.0, gt=0)
    """Processor cores that a replica takes of the cluster's, and threads it computes with."""
    ray_gpus: float = Field(default=0.0, ge=0)
    """GPUs that a replica takes, or a part of one."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What a model computes on."""
    cuda_batch: int = Field(default=256, ge=1, le=1024)
    """Items of a batch on a GPU at most; memory for two such batches is taken at the start."""
    cuda_graphs: bool = True
    """Whether a batch is launched as one CUDA graph; off for a model that cannot be captured."""
    decode_threads: int | None = Field(default=None, ge=1)
    """Pictures decoded at the same time; as many as there are cores when unset."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_inflight_body_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    """Bytes of request bodies in memory above which a request is answered 503."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """How long a request's body may take to arrive."""
    max_queued_ms: float = Field(default=10_000.0, gt=0)
    """Milliseconds of queued work above which a request is told when to come back (503)."""
    result_cache_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Vectors kept in memory for items asked again, each for its own account; 0: none."""
    busy_timeout_s: float = Field(default=5.0, gt=0)
    """How long to wait for a SQLite file that another process is writing to."""
    audit_seconds: float = Field(default=60.0, ge=0)
    """How often the books are checked while serving; 0 leaves it to `ledger verify`."""
    audit_freezes: bool = True
    """Whether an account whose books are wrong is frozen."""
    metrics_token: SecretStr | None = None
    """Who sends it as a bearer token may read `/metrics`; without one, this machine alone may."""
    erase_days: int = Field(default=30, ge=0, le=36500)
    """Days after an account is closed until its digests and names are erased."""
    erase_seconds: float = Field(default=3600.0, ge=0)
    """How often closed accounts are looked for while serving; 0 leaves it to `retention erase`."""
    log_json: bool = False
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    def secrets(self) -> tuple[str, ...]:
        """Every secret among the settings, to be kept out of logs."""
        given = (self.database_password, self.metrics_token)
        return tuple(secret.get_secret_value() for secret in given if secret is not None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed, then the environment, then the files that the environment names."""
        files = SecretFiles(settings_cls)
        return init_settings, env_settings, files, dotenv_settings, file_secret_settings

    @field_validator("metrics_token", "database_password")
    @classmethod
    def _drop_empty(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @model_validator(mode="after")
    def _add_password(self) -> Self:
        if self.database_password is None:
            return self
        try:
            url = make_url(self.database_url)
        except ArgumentError:
            return self  # whoever opens it says what is wrong with it
        if url.get_backend_name() == "postgresql" and not url.password:
            full = url.set(password=self.database_password.get_secret_value())
            # Settings are frozen, and this is still their making.
            object.__setattr__(self, "database_url", full.render_as_string(hide_password=False))
        return self

    @field_validator("models", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("ray_address")
    @classmethod
    def _check_ray_address(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.\-\[\]:]+:\d{1,5}", value):
            raise ValueError("write HOST:PORT of the cluster's head, like 127.0.0.1:6379")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write it like redis://127.0.0.1:6379/0, or leave it out")
        return value or None
