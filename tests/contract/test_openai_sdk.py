"""The unmodified `openai` package against a real server process."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import openai
import pytest
import torch

from tests.contract.conftest import MODEL, Contract

TEXTS = ["a photo of a bell", "a cat", "one two three four five six seven eight nine"]


@pytest.fixture(scope="module")
def expected(clip_folder: Path) -> Any:
    """open_clip's own unit vectors of the texts."""
    name = f"local-dir:{clip_folder}"
    clip = open_clip.create_model(name).eval()
    with torch.no_grad():
        return clip.encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True).numpy()


def count_answers(contract: Contract, status: int) -> float:
    with openai.DefaultHttpxClient() as http:
        text = http.get(f"{contract.url}/metrics").text
    line = f'vl2v_http_requests_total{{method="POST",route="/v1/embeddings",status="{status}"}} '
    return sum(float(row.removeprefix(line)) for row in text.splitlines() if row.startswith(line))


def test_text_vectors_are_open_clips(contract: Contract, expected: Any) -> None:
    with contract.connect(contract.key) as client:
        default = client.embeddings.create(model=MODEL, input=TEXTS)
        floats = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
        single = client.embeddings.create(model=MODEL, input=TEXTS[0])
    for answer in (default, floats):
        ours = np.array([row.embedding for row in answer.data])
        assert ((ours * expected).sum(axis=1) >= 0.9999).all()
        assert [row.index for row in answer.data] == [0, 1, 2]
    assert np.allclose(single.data[0].embedding, default.data[0].embedding, atol=1e-5)
    assert default.object == "list"
    assert default.model.startswith(f"{MODEL}@")
    assert default.usage.prompt_tokens == default.usage.total_tokens > 0


def test_models_are_listed(contract: Contract) -> None:
    with contract.connect(contract.key) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).owned_by == "vl2v"


def test_wrong_key(contract: Contract) -> None:
    with (
        contract.connect("vl2v_live_wrong") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.embeddings.create(model=MODEL, input="a cat")
    assert caught.value.code == "invalid_api_key"
    assert (caught.value.request_id or "").startswith("req_")


def test_no_credit_is_one_402_and_no_retry(contract: Contract) -> None:
    before = count_answers(contract, 402)
    with (
        contract.connect(contract.poor_key) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.embeddings.create(model=MODEL, input="a cat")
    assert caught.value.status_code == 402
    assert caught.value.code == "insufficient_credit"
    assert count_answers(contract, 402) - before == 1


def test_other_errors_are_the_sdks_own_classes(contract: Contract) -> None:
    with contract.connect(contract.key) as client:
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="nothing", input="a cat")
        with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
            client.embeddings.create(model=MODEL, input=[[1, 2, 3]])
        with pytest.raises(openai.BadRequestError, match="dimensions"):
            client.embeddings.create(model=MODEL, input="a cat", dimensions=3)
