"""Why a fetch ends before everything is bought; what was bought is kept."""

from client.errors import ClientError

__all__ = ["FetchInterrupted", "FetchStopped", "FormLost", "ReplaysUsedUp"]


class FetchStopped(ClientError):
    """The vendor or its answer does not allow going on; what was bought is kept."""


class ReplaysUsedUp(FetchStopped):
    """The vendor repeats a paid answer only so often a day; a new key gets it free of charge."""


class FormLost(ReplaysUsedUp):
    """The vendor repeats a paid answer only to the request as it was made, which cannot be made again."""


class FetchInterrupted(ClientError):
    """Stopped by Ctrl-C; what was bought is kept."""

    exit_code = 130
