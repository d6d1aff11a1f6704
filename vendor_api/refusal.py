"""What an operator asked for and cannot have."""

__all__ = ["Refusal"]


class Refusal(Exception):
    """Nothing has changed; the message is one sentence that says what to type next."""
