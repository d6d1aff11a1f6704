"""What a command may rely on, whoever the teacher is."""

import numpy as np
import pytest

from client.api import ImageInput, TextInput, VendorError
from client.cache.documents import TeacherDocument
from client.errors import UsageError
from client.teachers import Teacher
from client.teachers.terms import price_of
from tests.client.pictures import make_picture
from tests.client.standin import BROKEN


def nothing(_model: str) -> list[TeacherDocument]:
    """A cache in which no model is known."""
    return []


def ask(teacher: Teacher, model: str, items, key: str = "key"):
    document = teacher.describe(model, nothing)
    return document, teacher.embed(items, model=document.name, idempotency_key=key)


def test_its_document_is_enough_to_quote_fetch_and_train(teacher: Teacher, model: str) -> None:
    document = teacher.describe(model, nothing)
    assert document.id
    assert document.revision.isalnum()
    assert len(document.revision) == 16
    assert document.dimension > 0
    assert document.logit_scale > 0
    assert all("{}" in template for template in document.prompt_templates)
    assert document.prompt_templates
    assert document.preprocessing.image_size > 0
    assert price_of(document, "image") > 0
    assert document.teacher == teacher.spec
    assert document.metered == teacher.metered


def test_the_same_teacher_has_the_same_revision(teacher: Teacher, model: str) -> None:
    first, again = (teacher.describe(model, nothing) for _ in range(2))
    assert first == again


def test_texts_and_images_are_answered_in_order_with_unit_vectors(
    teacher: Teacher, model: str
) -> None:
    items = [
        TextInput("a cat"),
        ImageInput(make_picture(1)),
        TextInput("a dog"),
        ImageInput(make_picture(2, "JPEG")),
    ]
    document, answer = ask(teacher, model, items)
    assert answer.model == document.name
    assert [item.index for item in answer.data] == [0, 1, 2, 3]
    vectors = [item.embedding for item in answer.data]
    assert all(item.error is None for item in answer.data)
    for place, vector in enumerate(vectors):
        assert vector is not None
        assert vector.dtype == np.float32
        assert vector.shape == (document.dimension,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        _, alone = ask(teacher, model, [items[place]], f"alone-{place}")
        np.testing.assert_allclose(alone.data[0].embedding, vector, atol=1e-3)


def test_a_broken_picture_is_free_and_its_neighbours_are_answered(
    teacher: Teacher, model: str
) -> None:
    broken = make_picture(3)[:40] + BROKEN
    items = [ImageInput(make_picture(1)), ImageInput(broken), ImageInput(make_picture(2))]
    document, answer = ask(teacher, model, items)
    first, second, third = answer.data
    assert second.embedding is None
    assert second.error is not None
    assert second.error.code == "invalid_image"
    assert second.cost_nanousd == 0
    assert first.embedding is not None
    assert third.embedding is not None
    assert answer.cost_nanousd == 2 * price_of(document, "image")


def test_distinct_items_cost_their_price_and_repeats_nothing(teacher: Teacher, model: str) -> None:
    items = [TextInput("a cat"), TextInput("a cat"), ImageInput(make_picture(1))]
    document, answer = ask(teacher, model, items)
    text, image = (price_of(document, modality) for modality in ("text", "image"))
    assert [item.cost_nanousd for item in answer.data] == [text, 0, image]
    assert answer.cost_nanousd == text + image
    np.testing.assert_array_equal(answer.data[0].embedding, answer.data[1].embedding)


def test_another_revision_than_it_has_is_not_answered(teacher: Teacher, model: str) -> None:
    document = teacher.describe(model, nothing)
    with pytest.raises(VendorError):
        teacher.embed(
            [TextInput("a cat")], model=f"{document.id}@{'f' * 16}", idempotency_key="other"
        )
    with pytest.raises(UsageError, match=f"{document.revision}.*, not.*ffff"):
        teacher.describe(f"{document.id}@{'f' * 16}", nothing)


def test_only_a_metered_teacher_has_books(teacher: Teacher, model: str) -> None:
    _, answer = ask(teacher, model, [TextInput("a cat")], "the key")
    charge = teacher.find_charge("the key")
    assert (charge is not None) == (teacher.read_balance() is not None) == teacher.metered
    assert bool(answer.charge_id) == teacher.metered
    assert teacher.find_charge("no such key") is None
