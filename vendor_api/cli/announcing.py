"""Tells running servers that keys were changed by a command."""

from collections.abc import Iterable

from vendor_api.cli.shell import Shell

__all__ = ["announce_keys"]


def announce_keys(shell: Shell, key_ids: Iterable[str]) -> None:
    """Servers look the keys up again; those that do not hear it do so within seconds."""
    if shell.settings.redis_url is not None:
        from vendor_api.auth.changes import announce_change

        for key_id in key_ids:
            announce_change(shell.settings.redis_url, key_id)
