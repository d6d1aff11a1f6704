"""The methods that can be compared, and what each of them has to buy."""

from dataclasses import dataclass

from client.train.errors import check_name

__all__ = ["METHODS", "Method", "find_method"]


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the comparison."""

    name: str
    reads_images: bool
    """Whether training reads the teacher's vectors of the training images."""
    reads_texts: bool
    """Whether it reads the teacher's vectors of the class texts."""
    trains: bool
    summary: str


METHODS = {
    method.name: method
    for method in (
        Method("zero-shot", False, True, False, "the teacher itself, asked about every image"),
        Method("erm", False, False, True, "labels only: linear probe, then the whole student"),
        Method("text-only", False, True, True, "align and distil towards the class texts alone"),
        Method("kd", True, True, True, "labels and the teacher's softened answers"),
        Method("adip", True, True, True, "align, distil, predict: image and text vectors"),
    )
}


def find_method(name: str) -> Method:
    """The method of that name. Raises UnknownName with close matches."""
    return METHODS[check_name("method", name, METHODS)]
