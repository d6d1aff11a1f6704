"""open_clip models through our door: the same vectors, faster, with a name for exactly these weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from shared.openclip import ModelNotFound, OpenClip, load_openclip

TEXTS = ["a dog", "!", "!!! wow", "one two three four five six seven eight nine", "x", "Ünïcödé 🙂"]
SIZES = [
    (32, 32),
    (64, 64),
    (40, 60),
    (61, 33),
    (20, 20),
    (333, 97),
    (97, 333),
    (500, 375),
    (33, 190),
]


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> OpenClip:
    return load_openclip(f"local-dir:{clip_folder}")


@pytest.fixture(scope="module")
def reference(clip_folder: Path) -> tuple[Any, Any, Any]:
    """open_clip's own model, transform and tokenizer."""
    name = f"local-dir:{clip_folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    return model.eval(), transform, open_clip.get_tokenizer(name)


@pytest.fixture
def altered(clip_folder: Path, tmp_path: Path) -> Callable[..., str]:
    """The SPEC of a copy of the model with changes to its config or weights."""

    def alter(preprocess: Any = None, bump: bool = False, **members: Any) -> str:
        folder = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(clip_folder, folder)
        path = folder / "open_clip_config.json"
        config = json.loads(path.read_text()) | members
        config["preprocess_cfg"] |= preprocess or {}
        path.write_text(json.dumps(config))
        if bump:
            weights = load_file(folder / "open_clip_model.safetensors")
            weights["ln_final.bias"][0] += 1e-3
            save_file(weights, folder / "open_clip_model.safetensors")
        return f"local-dir:{folder}"

    return alter


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def levels(transform: Any, image: Image.Image) -> Any:
    """open_clip's transform without its last two steps, in levels of 0 to 255."""
    for step in transform.transforms[:-2]:
        image = step(image)
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_preprocessing_is_within_one_level_of_open_clips(
    clip: OpenClip, reference: Any, width: int, height: int
) -> None:
    image = noise(width, height)
    ours = clip.preprocess(image)
    assert ours.dtype == np.uint8
    assert ours.shape == (32, 32, 3)
    assert np.abs(ours - levels(reference[1], image)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_preprocessing_treats_every_mode_as_open_clip_does(
    clip: OpenClip, reference: Any, mode: str
) -> None:
    image = noise(50, 70, mode)
    assert np.abs(clip.preprocess(image) - levels(reference[1], image)).max() <= 1


def test_a_palette_with_transparency_is_preprocessed_without_a_warning(clip: OpenClip) -> None:
    image = noise(50, 70, "P")
    image.info["transparency"] = b"\0\xff"
    assert clip.preprocess(image).shape == (32, 32, 3)


@pytest.mark.parametrize("resize_mode", ["longest", "squash"])
def test_other_resize_modes_are_open_clips_own(altered: Any, resize_mode: str) -> None:
    spec = altered(preprocess={"resize_mode": resize_mode})
    clip = load_openclip(spec)
    transform = open_clip.create_model_and_transforms(spec)[2]
    image = noise(50, 70)
    assert clip.preprocessing.resize_mode == resize_mode
    assert np.abs(clip.preprocess(image) - levels(transform, image)).max() <= 1


def test_images_have_open_clips_vectors(clip: OpenClip, reference: Any) -> None:
    model, transform, _ = reference
    images = [noise(width, height) for width, height in SIZES]
    with torch.no_grad():
        batch = torch.stack([transform(image) for image in images])
        theirs = model.encode_image(batch, normalize=True).numpy()
    ours = clip.encode_images(np.stack([clip.preprocess(image) for image in images]))
    assert ours.dtype == np.float32
    assert ((ours * theirs).sum(axis=1) > 0.9999).all()
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_texts_have_open_clips_vectors_alone_and_in_a_batch(clip: OpenClip, reference: Any) -> None:
    model, _, tokenizer = reference
    with torch.no_grad():
        theirs = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    tokens = clip.tokenize(TEXTS).tokens
    assert np.abs(clip.encode_texts(tokens) - theirs).max() < 1e-5
    alone = np.concatenate([clip.encode_texts(row[None]) for row in tokens])
    assert np.abs(alone - theirs).max() < 1e-5


def test_tokens_are_open_clips_and_cut_texts_are_flagged(clip: OpenClip, reference: Any) -> None:
    result = clip.tokenize(TEXTS)
    assert np.array_equal(result.tokens, reference[2](TEXTS).numpy())
    assert result.tokens.dtype == np.int32
    assert result.truncated == (False, False, False, True, False, True)
    assert result.counts[:4] == (4, 3, 4, 8)
    exact = "one two three four five six"
    assert clip.tokenize([exact, f"{exact} seven"]).truncated == (False, True)


def test_tokenizers_of_other_kinds_flag_cut_texts_too(clip: OpenClip) -> None:
    class Letters:
        """A tokenizer that open_clip might get from elsewhere: one letter, one token; pads with 1."""

        context_length = 5

        def __call__(self, texts: list[str], context_length: int | None = None) -> torch.Tensor:
            length = context_length or self.context_length
            rows = [[*[ord(c) for c in text[: length - 1]], 2] for text in texts]
            return torch.tensor([row + [1] * (length - len(row)) for row in rows])

    other = OpenClip(clip.model, Letters(), clip.config, "fp32")
    result = other.tokenize(["abc", "abcd", "abcde"])
    assert result.truncated == (False, False, True)
    assert result.counts == (4, 5, 5)


def test_the_model_describes_itself(clip: OpenClip, reference: Any) -> None:
    assert clip.dimension == 16
    assert clip.context_length == 8
    assert clip.preprocessing.image_size == 32
    assert clip.preprocessing.mean == (0.5, 0.4, 0.3)
    assert clip.logit_scale == pytest.approx(float(reference[0].logit_scale.detach().exp()))
    assert clip.prompt_templates == ("a photo of a {}.",)


def test_a_folder_may_recommend_its_prompts(altered: Any) -> None:
    assert load_openclip(altered(prompt_templates=["icon of {}"])).prompt_templates == (
        "icon of {}",
    )


def test_the_revision_changes_with_whatever_can_change_a_vector(
    clip: OpenClip, altered: Any
) -> None:
    others = [
        load_openclip(altered(bump=True)).revision,
        load_openclip(altered(preprocess={"mean": [0.4, 0.4, 0.3]})).revision,
        load_openclip(altered(), "bf16").revision,
    ]
    assert len({clip.revision, *others}) == 4
    assert len(clip.revision) == 16


def test_the_revision_does_not_change_with_the_folders_name(clip: OpenClip, altered: Any) -> None:
    assert load_openclip(altered()).revision == clip.revision


def test_weights_may_be_a_torch_file(clip: OpenClip, altered: Any) -> None:
    folder = Path(altered().removeprefix("local-dir:"))
    weights = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    assert load_openclip(f"local-dir:{folder}").revision == clip.revision


class Trap:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_weights_that_would_run_code_are_refused(altered: Any, tmp_path: Path) -> None:
    folder = Path(altered().removeprefix("local-dir:"))
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        load_openclip(f"local-dir:{folder}")
    assert not (tmp_path / "sprung").exists()


def test_bf16_stays_close(clip: OpenClip, altered: Any) -> None:
    half = load_openclip(altered(), "bf16")
    tokens = clip.tokenize(TEXTS).tokens
    pixels = np.stack([clip.preprocess(noise(40, 40)), clip.preprocess(noise(60, 40))])
    for ours, theirs in (
        (half.encode_texts(tokens), clip.encode_texts(tokens)),
        (half.encode_images(pixels), clip.encode_images(pixels)),
    ):
        assert ours.dtype == np.float32
        assert ((ours * theirs).sum(axis=1) > 0.99).all()


def test_unknown_model_names_close_ones() -> None:
    with pytest.raises(ModelNotFound, match="ViT-B-32/laion2b_s34b_b79k"):
        load_openclip("vit-b-32/laion2b_s34b_b97k")
    with pytest.raises(ModelNotFound, match="ARCHITECTURE/TAG"):
        load_openclip("zzzzzzzzzzzz")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no open_clip_config"):
        load_openclip(f"local-dir:{tmp_path}")


def test_damaged_or_missing_weights_are_refused(altered: Any) -> None:
    folder = Path(altered().removeprefix("local-dir:"))
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        load_openclip(f"local-dir:{folder}")
    weights.unlink()
    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        load_openclip(f"local-dir:{folder}")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_cuda_device_says_what_the_cpu_says(clip_folder: Path) -> None:
    spec = f"local-dir:{clip_folder}"
    slow, fast = load_openclip(spec), load_openclip(spec, device="cuda")
    assert fast.revision == slow.revision
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(fast.encode_images(pixels), slow.encode_images(pixels), atol=1e-5)
    tokens = slow.tokenize(["a dog", "two cats and a bird", ""]).tokens
    np.testing.assert_allclose(fast.encode_texts(tokens), slow.encode_texts(tokens), atol=1e-5)
