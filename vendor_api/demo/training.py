"""Train a small CLIP on any folder of captioned pictures: `DIR/pairs.jsonl` beside its images.

Each line is `{"image": path, "captions": [text, …], "group": name, "style": name, "split": "train" | …}`.
Captions are drawn uniformly; pictures with equal `group` (default: the first caption) are positives of
one another's captions, so that a batch holds no false negatives (multi-positive InfoNCE). Pictures of a
rare `style` (default: all of one) are drawn more often than their share.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

MODEL = {
    "embed_dim": 256,
    "vision_cfg": {
        "timm_model_name": "resnet18",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 64,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 3},
}
PREPROCESSING = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
MAX_SCALE = math.log(100.0)
TINTED = 0.5
"""Share of the pictures whose ink is tinted."""


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Everything that decides the weights, with the defaults of the shipped checkpoint."""

    steps: int = 2000
    """Optimiser steps."""
    batch: int = 512
    """Pairs a step."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup: int = 150
    """Steps of linear warm-up."""
    decay: float = 0.4
    """Share of the steps, at the end, over which the learning rate falls to zero (cosine)."""
    balance: float = 0.5
    """A style with n pictures is drawn in proportion to n**(1 − balance): 0 as it comes, 1 all alike."""
    weight_decay: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pictures as uint8[n, s, s, 3] with their tokenised captions and groups."""

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    tokens: Tensor
    """int32[t, context]: every distinct caption once."""
    captions: list[np.ndarray[Any, np.dtype[np.int64]]]
    """Per picture: rows of `tokens`."""
    groups: np.ndarray[Any, np.dtype[np.int64]]
    styles: np.ndarray[Any, np.dtype[np.int64]]


def read_corpus(root: Path, split: str, model: dict[str, Any] = MODEL) -> Corpus:
    """The pairs of one split, decoded once into a cache file beside them."""
    lines = (root / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row.get("split", "train") == split]
    if not rows:
        raise ValueError(f"{root / 'pairs.jsonl'} holds no pair of split {split!r}")
    side = int(model["vision_cfg"]["image_size"])
    pixels = _read_pixels(
        root, [row["image"] for row in rows], root / f"pixels-{split}-{side}.npy", side
    )
    index = {text: i for i, text in enumerate(sorted({t for row in rows for t in row["captions"]}))}
    tokenizer = open_clip.SimpleTokenizer(context_length=int(model["text_cfg"]["context_length"]))
    return Corpus(
        pixels=pixels,
        tokens=torch.cat([tokenizer([text]) for text in index]).to(torch.int32),
        captions=[np.array([index[t] for t in row["captions"]], dtype=np.int64) for row in rows],
        groups=_number([str(row.get("group", row["captions"][0])) for row in rows]),
        styles=_number([str(row.get("style", "")) for row in rows]),
    )


def train_teacher(
    root: Path,
    out: Path,
    config: TeacherConfig,
    *,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    save_every: int = 100,
) -> Path:
    """Train, resuming from `out/state.pt` when it is there; returns the open_clip model folder."""
    torch.manual_seed(config.seed)
    corpus = read_corpus(root, "train")
    clip = open_clip.model.CLIP(**MODEL).to(memory_format=torch.channels_last)
    optimizer = _make_optimizer(clip, config)
    out.mkdir(parents=True, exist_ok=True)
    start = _restore(out / "state.pt", clip, optimizer)
    shares = draw_shares(corpus.styles, config.balance)
    clip.train()
    began = time.monotonic()
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        loss = _train_step(clip, optimizer, corpus, shares, step, config)
        if (step + 1) % save_every == 0 or step == config.steps - 1:
            _save_state(out / "state.pt", clip, optimizer, step + 1)
        if step % 20 == 0 or step == config.steps - 1:
            scale = float(clip.logit_scale.detach().exp())
            seconds = time.monotonic() - began
            done = step + 1 - start
            report({"step": step, "done": done, "loss": loss, "scale": scale, "seconds": seconds})
    return save_checkpoint(clip, corpus.tokens, out / "open_clip", asdict(config))


def learning_rate(step: int, config: TeacherConfig) -> float:
    """Linear warm-up, a plateau, then a cosine fall to zero: the plateau lets a run be lengthened."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    onset = config.steps * (1 - config.decay)
    if step < onset:
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - onset) / (config.steps - onset)))


def draw_shares(
    styles: np.ndarray[Any, np.dtype[np.int64]], balance: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64[n] that sums to one: how often each picture is drawn, given its style's number."""
    weights = np.bincount(styles)[styles] ** -balance
    shares: np.ndarray[Any, np.dtype[np.float64]] = weights / weights.sum()
    return shares


def contrast(image: Tensor, text: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """Symmetric InfoNCE with every caption of the same group a positive; f32 scalar."""
    logits = scale * image @ text.T
    positive = (groups[:, None] == groups[None, :]).to(logits.dtype)
    target = positive / positive.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def augment(pixels: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """uint8[n, 3, s, s] → f32[n, 3, side, side] in [-1, 1]: moved, turned, flipped, tinted or greyed.

    Paper stays white: only ink is tinted, so that one shape is met in many colours.
    """
    n = len(pixels)
    scale, turn, dx, dy, flip, grey, tinted = torch.rand(7, n, generator=generator)
    zoom = 1 / (0.8 + 0.45 * scale)
    angle = (turn - 0.5) * 0.25
    mirror = torch.where(flip < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [cos * mirror, -sin, (dx - 0.5) * 0.28, sin * mirror, cos, (dy - 0.5) * 0.28]
    grid = F.affine_grid(
        torch.stack(rows, 1).view(n, 2, 3), [n, 3, side, side], align_corners=False
    )
    ink = 1 - pixels.float() / 255  # white becomes zero, the value that grid_sample pads with
    tint = 0.4 + 0.75 * torch.rand(n, 3, 1, 1, generator=generator)
    ink = torch.where((tinted < TINTED)[:, None, None, None], ink * tint, ink).clamp_(max=1)
    moved = 1 - F.grid_sample(ink, grid, align_corners=False)
    moved = torch.where((grey < 0.1)[:, None, None, None], moved.mean(1, keepdim=True), moved)
    return moved * 2 - 1


def save_checkpoint(
    clip: torch.nn.Module, tokens: Tensor, out: Path, training: dict[str, Any]
) -> Path:
    """An open_clip `local-dir:` folder: fp16 safetensors with the rows of unused tokens zeroed."""
    weights = {name: tensor.detach().clone() for name, tensor in clip.state_dict().items()}
    unused = torch.ones(len(weights["token_embedding.weight"]), dtype=torch.bool)
    unused[tokens.long().flatten()] = False
    weights["token_embedding.weight"][unused] = 0
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in weights.items()}
    half.pop("attn_mask", None)
    out.mkdir(parents=True, exist_ok=True)
    save_file(half, out / "open_clip_model.safetensors")
    document = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESSING, "training": training}
    (out / "open_clip_config.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return out


def _train_step(
    clip: Any,
    optimizer: torch.optim.Optimizer,
    corpus: Corpus,
    shares: np.ndarray[Any, np.dtype[np.float64]],
    step: int,
    config: TeacherConfig,
) -> float:
    rng = np.random.default_rng([config.seed, step])
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    rows = np.sort(rng.choice(len(corpus.pixels), config.batch, replace=False, p=shares))
    pixels = torch.from_numpy(corpus.pixels[rows]).permute(0, 3, 1, 2)
    images = augment(pixels, pixels.shape[-1], generator).to(memory_format=torch.channels_last)
    chosen = [rng.choice(corpus.captions[row]) for row in rows]
    tokens = corpus.tokens[torch.tensor(np.array(chosen))].long()
    groups = torch.from_numpy(corpus.groups[rows])
    # A dozen tokens are too few for the fused attention: its backward takes several times as long.
    with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        image = clip.encode_image(images, normalize=True)
        text = clip.encode_text(tokens, normalize=True)
    loss = contrast(image.float(), text.float(), clip.logit_scale.exp(), groups)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    with torch.no_grad():
        clip.logit_scale.clamp_(0, MAX_SCALE)
    return float(loss.detach())


def _make_optimizer(clip: torch.nn.Module, config: TeacherConfig) -> torch.optim.Optimizer:
    matrices = [p for p in clip.parameters() if p.ndim >= 2]
    vectors = [p for p in clip.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def _restore(path: Path, clip: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    clip.load_state_dict(state["clip"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save_state(
    path: Path, clip: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    partial = path.with_suffix(".partial")
    state = {"clip": clip.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, partial)
    partial.replace(path)


def _read_pixels(
    root: Path, images: list[str], cache: Path, side: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if cache.is_file():
        stored = np.load(cache, mmap_mode="r")
        if len(stored) == len(images):
            return np.asarray(stored)
    pixels = np.full((len(images), side, side, 3), 255, dtype=np.uint8)
    for row, name in enumerate(images):
        with Image.open(root / name) as image:
            rgb = image.convert("RGB")
        scale = side / max(rgb.size)
        size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        small = np.asarray(rgb.resize(size, Image.Resampling.BICUBIC))
        top, left = (side - size[1]) // 2, (side - size[0]) // 2
        pixels[row, top : top + size[1], left : left + size[0]] = small
    np.save(cache, pixels)
    return pixels


def _number(names: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers: np.ndarray[Any, np.dtype[np.int64]] = np.unique(names, return_inverse=True)[1]
    return numbers
