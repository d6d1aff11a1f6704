"""Any open_clip model as numpy in, unit vectors out: load, identify, preprocess, tokenise, encode.

Heavy: imports torch. Both sides import it lazily, the vendor to sell a model's vectors, the client to
use a teacher of its own.
"""

import difflib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from shared.codecs import Vector
from shared.mixed import lower_products
from shared.packed import can_pack, fuse_attention, pack_weights
from shared.pixels import ModelNotFound, PixelTransform, read_preprocessing
from shared.revision import hash_json, hash_weights, join_hashes
from shared.tokens import TokenizedTexts
from shared.words import ClipTokenizer, load_tokenizer

Precision = Literal["fp32", "bf16"]
LOCAL_DIR = "local-dir:"
DEFAULT_TEMPLATES = ("a photo of a {}.",)

_PROBES = ("a photo of a dog.", "Ünïcödé – 東京 🙂", "THE   end!!", "it's 3,14")
"""Texts whose tokens tell two tokenizers apart that share a vocabulary."""

__all__ = [
    "LOCAL_DIR",
    "ModelNotFound",
    "OpenClip",
    "Precision",
    "TokenizedTexts",
    "limit_threads",
    "load_openclip",
    "resolve",
]


def limit_threads(count: int) -> None:
    """Let torch use `count` threads for work started from the calling thread."""
    # torch reads its process-wide setting once per thread, at first use, and would then undo ours.
    torch.get_num_threads()
    torch.set_num_threads(count)


def load_openclip(spec: str, precision: Precision = "fp32", device: str = "cpu") -> "OpenClip":
    """The model named `architecture/pretrained-tag` or `local-dir:PATH`, on `device`, ready to encode.

    bf16 is that of its products alone on a CPU (`shared.mixed`), of everything elsewhere; the revision
    tells the two apart.
    Weights other than safetensors are read with torch's `weights_only=True`. Raises ModelNotFound.
    """
    name, tag = resolve(spec)
    try:
        model = open_clip.create_model(name, tag, require_pretrained=True, weights_only=True)
        tokenizer = load_tokenizer(name)
    except Exception as error:  # whatever a damaged file makes torch or safetensors raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelNotFound(f"the model {spec!r} cannot be loaded: {reason}") from error
    model = model.to(device).eval().requires_grad_(False)
    if precision == "bf16" and device == "cpu":
        side = read_preprocessing(open_clip.get_model_preprocess_cfg(model)).image_size
        lower_products(model, side, ClipTokenizer(tokenizer).context_length)
    elif precision == "bf16":
        model = model.to(torch.bfloat16)
    return OpenClip(model, tokenizer, _read_config(name), precision)


class OpenClip:
    """One loaded model; any thread may encode, preprocess and tokenise."""

    def __init__(
        self, model: torch.nn.Module, tokenizer: Any, config: dict[str, Any], precision: Precision
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.words = ClipTokenizer(tokenizer)
        self.config = config
        self.precision = precision
        cfg = open_clip.get_model_preprocess_cfg(model)
        self.preprocessing = read_preprocessing(cfg)
        self.fill = int(cfg.get("fill_color", 0))
        self.transform = PixelTransform(self.preprocessing, self.fill)
        self._dtype: torch.dtype = model.logit_scale.dtype  # type: ignore[assignment]
        mean, std = torch.tensor(self.preprocessing.mean), torch.tensor(self.preprocessing.std)
        self._device = next(model.parameters()).device
        self._gain = (1 / (255 * std)).view(1, 3, 1, 1).to(self._device)
        self._offset = (-mean / std).view(1, 3, 1, 1).to(self._device)

    @cached_property
    def context_length(self) -> int:
        """Tokens a text may use, start and end included."""
        return self.words.context_length

    @cached_property
    def dimension(self) -> int:
        """Length of every vector."""
        return int(self.encode_texts(self.tokenize(["a"]).tokens).shape[1])

    @cached_property
    def logit_scale(self) -> float:
        """exp of the learned scale."""
        return float(self.model.logit_scale.detach().float().exp().mean())  # type: ignore[operator]

    @cached_property
    def prompt_templates(self) -> tuple[str, ...]:
        """Prompts the model's folder recommends (`prompt_templates` in its config), or the usual one."""
        return tuple(self.config.get("prompt_templates") or DEFAULT_TEMPLATES)

    @cached_property
    def revision(self) -> str:
        """16 hexadecimal digits that change with anything that can change a vector."""
        return join_hashes(
            hash_weights((name, *_raw(tensor)) for name, tensor in self.model.state_dict().items()),
            hash_json(self.config.get("model_cfg", {})),
            _hash_tokenizer(self.tokenizer),
            hash_json(self.preprocessing.model_dump()),
            hash_json(self.precision),
        )

    def pack_weights(self) -> None:
        """Encode faster on this processor from now on, where it can; nothing can be trained any more."""
        if can_pack(torch.bfloat16 if self.precision == "bf16" else torch.float32):
            # It is hashed from the weights, which are then no longer there.
            _ = self.revision
            pack_weights(self.model)

    def fuse_attention(self) -> None:
        """Attend with the device's own kernels from now on; nothing can be trained any more."""
        # It is hashed from the weights under the names that they had.
        _ = self.revision
        fuse_attention(self.model)

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        """uint8[size, size, 3], as `PixelTransform` makes it. Any thread may call."""
        return self.transform(image)

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Tokens of each text, as `ClipTokenizer` makes them. Any thread may call."""
        return self.words(texts)

    @torch.inference_mode()
    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """float32[n, d] unit vectors of uint8[n, size, size, 3]; normalisation happens here."""
        return self.embed_pixels(torch.from_numpy(pixels).to(self._device)).cpu().numpy()

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """The same from tensor to tensor on its device, in one piece that can be exported."""
        scaled = torch.addcmul(self._offset, pixels.permute(0, 3, 1, 2).float(), self._gain)
        return _unit(self.model.encode_image(scaled.to(self._dtype)))  # type: ignore[operator]

    @torch.inference_mode()
    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """float32[n, d] unit vectors of int32[n, context].

        Under a causal mask what follows the end token cannot matter, so the batch is cut after its
        last end token; models without one are given every position.
        """
        batch = torch.from_numpy(tokens).long()[:, : self.measure_tokens(tokens)]
        return self.embed_tokens(batch.to(self._device)).cpu().numpy()

    def measure_tokens(self, tokens: NDArray[np.int32]) -> int:
        """How many of the int32[n, context] positions must be given to the model."""
        if not self._causal:
            return int(tokens.shape[1])
        return int(np.nonzero(tokens)[1].max()) + 1

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """float32[n, d] unit vectors of int64[n, length], from tensor to tensor on its device."""
        if self._causal:
            return _unit(self._encode_causal(tokens))
        return _unit(self.model.encode_text(tokens))  # type: ignore[operator]

    @cached_property
    def _causal(self) -> bool:
        """Whether the text tower is open_clip's own causal one, pooled at the end token."""
        return (
            type(self.model) is open_clip.CLIP
            and isinstance(self.tokenizer, open_clip.SimpleTokenizer)
            and self.model.attn_mask is not None
            and self.model.text_pool_type == "argmax"
        )

    def _encode_causal(self, tokens: Tensor) -> Tensor:
        tower: Any = self.model
        length = tokens.shape[1]
        x = tower.token_embedding(tokens) + tower.positional_embedding[:length]
        x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
        pooled = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)]
        projection = tower.text_projection
        if isinstance(projection, torch.nn.Linear):
            pooled = projection(pooled)
        elif projection is not None:
            pooled = pooled @ projection
        return cast("Tensor", pooled)


def resolve(spec: str) -> tuple[str, str | None]:
    """open_clip's model name and pretrained tag. Raises ModelNotFound with close matches."""
    if spec.startswith(LOCAL_DIR):
        folder = Path(spec.removeprefix(LOCAL_DIR)).expanduser()
        if not (folder / "open_clip_config.json").is_file():
            raise ModelNotFound(f"{folder} is no model folder: it holds no open_clip_config.json")
        return f"{LOCAL_DIR}{folder}", None
    known = [f"{name}/{tag}" for name, tag in open_clip.list_pretrained()]
    if spec in known:
        name, tag = spec.split("/", 1)
        return name, tag
    lower = {name.lower(): name for name in known}
    close = [
        lower[match] for match in difflib.get_close_matches(spec.lower(), lower, n=3, cutoff=0.4)
    ]
    hint = (
        f"did you mean {', '.join(close)}?"
        if close
        else f"write ARCHITECTURE/TAG or {LOCAL_DIR}PATH"
    )
    raise ModelNotFound(f"no open_clip model is called {spec!r}: {hint}")


def _read_config(name: str) -> dict[str, Any]:
    if name.startswith(LOCAL_DIR):
        path = Path(name.removeprefix(LOCAL_DIR)) / "open_clip_config.json"
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document
    return {"model_cfg": open_clip.get_model_config(name)}


def _raw(tensor: Tensor) -> tuple[str, memoryview]:
    flat = tensor.detach().cpu().contiguous().flatten()
    return f"{tensor.dtype} {tuple(tensor.shape)}", flat.view(torch.uint8).numpy().data


def _hash_tokenizer(tokenizer: Any) -> bytes:
    inner = getattr(tokenizer, "tokenizer", None)
    vocabulary = getattr(tokenizer, "encoder", None) or (inner.get_vocab() if inner else {})
    probes = tokenizer(list(_PROBES)).tolist()
    return hash_json([type(tokenizer).__name__, sorted(vocabulary.items()), probes])


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=-1)
