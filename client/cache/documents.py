"""What is known about a teacher whose vectors are here: its published document and who answered."""

from shared.wire import ModelDocument

VENDOR = "vendor"
"""The teacher of every document that does not name another."""

__all__ = ["VENDOR", "TeacherDocument"]


class TeacherDocument(ModelDocument):
    """A model document with what the client itself knows; no vendor can set these members."""

    teacher: str = VENDOR
    """What to type after --teacher to ask it again."""
    scale_known: bool = True
    """Whether `logit_scale` was published or given; otherwise training fits its own."""
    probes: tuple[str, ...] = ()
    """What it said to the fixed probes, base64 float32, of a teacher that publishes no revision."""

    @property
    def metered(self) -> bool:
        """Whether somebody else keeps books of what was asked."""
        return self.teacher == VENDOR

    @property
    def name(self) -> str:
        """`id@revision`."""
        return f"{self.id}@{self.revision}"
