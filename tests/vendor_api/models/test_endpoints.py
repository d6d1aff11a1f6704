"""The catalogue over HTTP."""

from typing import Any

import pytest

from shared.wire import ModelDocument, ModelList


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_a_model_is_listed_with_its_prices(vendor: Any) -> None:
    listed = ModelList.model_validate((await vendor.http.get("/v1/models")).json())
    (model,) = listed.data
    assert model.price_per_image_usd == "0.000100000"
    assert model.price_per_text_usd == "0.000010000"
    assert (model.revision, model.dimension) == ("0123456789abcdef", 4)
    for name in ("icon-clip", "icon-clip@0123456789abcdef"):
        one = await vendor.http.get(f"/v1/models/{name}")
        assert ModelDocument.model_validate(one.json()) == model


async def test_another_revision_is_409(vendor: Any) -> None:
    assert (await vendor.http.get("/v1/models/icon-clip@0000000000000000")).status_code == 409


async def test_a_model_with_slashes_in_its_name_can_be_asked_for(vendor: Any) -> None:
    answer = await vendor.http.get("/v1/models/ViT-B-32/openai")
    assert answer.status_code == 404
    assert answer.json()["code"] == "model_not_found"
    assert "ViT-B-32/openai" in answer.json()["detail"]
