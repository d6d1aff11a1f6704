"""The base of everything the client refuses or reports: one sentence that says what to type next."""

__all__ = ["BudgetReached", "ClientError", "UsageError"]


class ClientError(Exception):
    """Something the user can act on; its text is shown as it is and names the next step."""

    exit_code = 1


class UsageError(ClientError):
    """The command was given something it cannot use."""

    exit_code = 2


class BudgetReached(ClientError):
    """The run's budget ends here; what was bought is kept and a larger budget goes on from it."""

    exit_code = 3
