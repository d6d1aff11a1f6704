"""A model on this machine: the vendor's own vectors, without a vendor."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.api import ImageInput, TextInput
from client.cache.documents import TeacherDocument
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import Teacher, Terms, open_teacher
from shared.openclip import load_openclip
from tests.client.pictures import make_picture
from tests.client.standin import StandInVendor
from tests.client.teachers.test_conformance import nothing


def open_local(weights: str, **terms) -> Teacher:
    return open_teacher(f"local:{weights}", ClientSettings.load(), Terms(**terms))


def test_it_says_what_open_clip_says(clip_folder: Path) -> None:
    teacher, clip = (
        open_local(f"local-dir:{clip_folder}"),
        load_openclip(f"local-dir:{clip_folder}"),
    )
    document = teacher.describe("", nothing)
    assert (document.revision, document.logit_scale) == (clip.revision, clip.logit_scale)
    data = make_picture(5)
    answer = teacher.embed(
        [ImageInput(data), TextInput("a cat")], model=document.name, idempotency_key=""
    )
    with Image.open(io.BytesIO(data)) as image:
        seen = clip.encode_images(clip.preprocess(image)[None])[0]
    read = clip.encode_texts(clip.tokenize(["a cat"]).tokens)[0]
    for item, expected in zip(answer.data, (seen, read), strict=True):
        assert item.embedding is not None
        np.testing.assert_allclose(item.embedding, expected, atol=1e-6)


def test_more_pictures_than_are_encoded_at_once(clip_folder: Path) -> None:
    teacher = open_local(f"local-dir:{clip_folder}")
    document = teacher.describe("", nothing)
    items = [ImageInput(make_picture(number)) for number in range(70)]
    items[40] = ImageInput(b"no picture")
    answer = teacher.embed(items, model=document.name, idempotency_key="")
    assert [item.index for item in answer.data if item.error] == [40]


def test_a_text_that_is_cut_says_so(clip_folder: Path) -> None:
    teacher = open_local(f"local-dir:{clip_folder}")
    document = teacher.describe("", nothing)
    items = [TextInput("a cat"), TextInput("a cat " * 20)]
    answer = teacher.embed(items, model=document.name, idempotency_key="")
    assert [item.truncated for item in answer.data] == [False, True]


def test_its_folder_has_one_name_from_anywhere(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip_folder.parent)
    teacher = open_local(f"local-dir:{clip_folder.name}")
    assert teacher.spec == f"local:local-dir:{clip_folder}"
    assert teacher.describe("", nothing).id == f"local:{clip_folder.name}"
    assert teacher.describe("mine", nothing).id == "mine"


def test_a_price_and_a_scale_are_remembered_until_others_are_given(clip_folder: Path) -> None:
    weights = f"local-dir:{clip_folder}"
    first = open_local(weights, item_price_nanousd=9, logit_scale=12.5).describe("", nothing)
    assert first.price_per_text_usd == "0.000000009"
    assert open_local(weights).describe("", lambda _: [first]) == first
    free = open_local(weights, item_price_nanousd=0).describe("", lambda _: [first])
    assert (free.price_per_image_usd, free.logit_scale) == ("0.000000000", 12.5)


def test_the_name_of_what_the_vendor_sold_is_taken(clip_folder: Path) -> None:
    teacher = open_local(f"local-dir:{clip_folder}")
    revision = teacher.describe("toy", nothing).revision
    sold = TeacherDocument.model_validate(
        StandInVendor(revision=revision).model_document() | {"id": "toy"}
    )
    with pytest.raises(UsageError, match=r"was bought from the vendor: .* --model my-toy"):
        teacher.describe("toy", lambda _: [sold])


@pytest.mark.parametrize("weights", ["local-dir:/nowhere", "ViT-B-32/nobody"])
def test_weights_that_are_not_there(weights: str) -> None:
    with pytest.raises(UsageError, match=f"--teacher local:{weights}: "):
        open_local(weights).describe("", nothing)


@pytest.mark.parametrize("terms", [{"item_price_nanousd": 1}, {"logit_scale": 2.0}])
def test_the_vendor_sets_its_own_terms(terms) -> None:
    with pytest.raises(UsageError, match="leave it out"):
        open_teacher("vendor", ClientSettings.load(), Terms(**terms))
