"""The student beside the teacher: size, speed, price, and when it has paid for itself."""

import torch

from client.export.blocks import Section, Table, Text
from client.export.evidence import ReportedRun
from client.export.measures import REPEATS, Size, measure_student, measure_teacher
from client.train.finished import load_finished
from client.train.spending import Spending
from shared.money import parse_usd, show_usd

__all__ = ["describe_economics"]


def describe_economics(
    run: ReportedRun, image_price: str | None, teacher: str | None
) -> list[Section]:
    """One section; none when the price is unknown or nought."""
    if image_price is None or parse_usd(image_price) <= 0:
        return []
    student = load_finished(run.folder)
    size = measure_student(student.student, student.config.image_size)
    price = parse_usd(image_price)
    cost = Spending.from_document(run.result["spending"]).training.cost_nanousd
    threads = torch.get_num_threads()
    name = f"{student.config.student_name}, {student.config.method} (yours)"
    rented = f"{run.config['model'] or 'the teacher'} (rented)"
    rows = [
        [name, *_describe_size(size), "$0"],
        [rented, *_describe_size(measure_teacher(teacher) if teacher else None), show_usd(price)],
    ]
    header = ["", "parameters", "MB", "ms an image", "price an image"]
    return [
        Section(
            "Student against teacher",
            [
                Table("Size, speed and price", header, rows),
                Text(
                    f"Its vectors cost {show_usd(cost)} once. At {show_usd(price)} an image the "
                    f"student has paid for itself after {-(-cost // price):,} images."
                ),
                Text(
                    "Time of one image at a time on this machine's processor, "
                    f"{threads} thread{'' if threads == 1 else 's'}, median of {REPEATS}; file size "
                    "with 32-bit weights.",
                    soft=True,
                ),
            ],
        )
    ]


def _describe_size(size: Size | None) -> list[str]:
    if size is None:
        return ["not published"] * 3
    return [f"{size.parameters:,}", f"{size.megabytes:.1f}", f"{size.milliseconds:.1f}"]
