"""The client's settings: argument, then `VL2V_*` in the environment, then the config file, then default."""

import json
import os
from pathlib import Path
from typing import Any, Literal, Self

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from client.errors import UsageError

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
ENV_PREFIX = "VL2V_"
CONFIG_FILE = "config.json"
STORED = ("api_key", "base_url", "cache_url", "insecure", "teacher", "teacher_api_key", "upload")
"""What the config file may hold."""

Source = Literal["argument", "environment", "config file", "default"]
Upload = Literal["original", "pixels"]
"""How pictures go to a teacher: as the files they are, or decoded and resized here."""

__all__ = ["DEFAULT_BASE_URL", "ClientSettings", "Source", "Upload", "find_home", "store_settings"]


def find_home() -> Path:
    """The folder of the config file and the cache: `VL2V_HOME`, else the user's data folder."""
    named = os.environ.get(f"{ENV_PREFIX}HOME")
    return Path(named).expanduser() if named else platformdirs.user_data_path("vl2v")


class ClientSettings(BaseSettings):
    """Everything that can be set about a client; made where it is needed with `load`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    home: Path = Field(default_factory=find_home)
    """Folder of the config file and, by default, the cache."""
    api_key: SecretStr | None = None
    """The vendor's key, `vl2v_live_…`."""
    base_url: str = DEFAULT_BASE_URL
    """Where the vendor answers."""
    cache_url: str | None = None
    """Path or SQLAlchemy URL of the cache; `client.db` in `home` when unset."""
    insecure: bool = False
    """Allow plain http to other machines; the key then travels readable."""
    teacher: str = "vendor"
    """Who is asked for vectors: vendor, openai:URL, or local:WEIGHTS."""
    teacher_api_key: SecretStr | None = None
    """The key of an openai:URL that wants one."""
    upload: Upload = "original"
    """How pictures are sent: original, the files; or pixels, decoded and resized here."""

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """The resolved settings; arguments that are None do not count.

        Raises UsageError for a value or a config file that cannot be read.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"setting {name} is not valid ({first['msg']}): correct {ENV_PREFIX}{name.upper()} "
                f"or {config_file()}"
            ) from error

    @property
    def cache(self) -> str:
        """Path or URL of the cache database."""
        return self.cache_url or str(self.home / "client.db")

    @property
    def pixel_cache(self) -> Path:
        """Folder of decoded images; what is in it can be made again."""
        return self.home / "pixels"

    def source(self, name: str) -> Source:
        """Where a setting's value comes from, when no argument was given."""
        if f"{ENV_PREFIX}{name}".upper() in {key.upper() for key in os.environ}:
            return "environment"
        return "config file" if name in read_config() else "default"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Argument > environment > config file; the file lies in the home that the others name."""
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=read_config()),
        )


def config_file() -> Path:
    """Where `vl2v login` stores what it was told."""
    return find_home() / CONFIG_FILE


def read_config() -> dict[str, Any]:
    """What the config file says; empty without one. Raises UsageError for one that is not JSON."""
    file = config_file()
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the config file {file} cannot be read ({error}): correct it, or remove it and type "
            "`vl2v login`"
        ) from error
    if not isinstance(document, dict):
        raise UsageError(f"the config file {file} is not a JSON object: remove it")
    return {name: document[name] for name in STORED if name in document}


def store_settings(**values: str | bool | None) -> Path:
    """Write values to the config file, readable by its owner alone; the others stay."""
    file = config_file()
    document = read_config() | {name: value for name, value in values.items() if value is not None}
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=2)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    return file
