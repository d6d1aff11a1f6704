"""Settings by file: `VENDOR_NAME_FILE` names a file that holds the value of `VENDOR_NAME`.

For what must not stand in an environment that `docker inspect` and `/proc` show.
"""

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from vendor_api.refusal import Refusal

SUFFIX = "_FILE"

__all__ = ["SUFFIX", "SecretFiles"]


class SecretFiles(PydanticBaseSettingsSource):
    """The values that are given by file; a final line break is no part of one."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings)
        self._prefix = settings.model_config.get("env_prefix", "")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """The text of the field's file; None without one. Raises Refusal."""
        variable = f"{self._prefix}{field_name.upper()}"
        path = os.environ.get(variable + SUFFIX)
        if not path or f"{field_name}{SUFFIX.lower()}" in self.settings_cls.model_fields:
            return None, field_name, False
        if os.environ.get(variable):
            raise Refusal(f"both {variable} and {variable}{SUFFIX} are set: unset one of them")
        return _read(Path(path), variable + SUFFIX), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every field that has a file."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text"
        raise Refusal(
            f"{variable} names {path}, which cannot be read ({reason}): correct or unset it"
        ) from error
