"""One random ViT-B/32, in open_clip's format and in transformers'.

    python weights.py transformers FOLDER     run by the Python of a peer that has transformers

Written with nothing but torch and safetensors around it, so that a peer's environment can run it.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

NAME = "ViT-B-32"
MERGES = 49152 - 256 - 2
"""Of the file that open_clip ships; the rest of it is not CLIP's."""
LAYERS, WIDTHS = 12, {"vision": 768, "text": 512}

__all__ = ["NAME", "make_openclip", "make_transformers", "write_vocabulary"]


def make_openclip(folder: Path) -> None:
    """A folder for `local-dir:`, with quick GELU as OpenAI's ViT-B/32 has it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(NAME, force_quick_gelu=True).eval()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {
        "model_cfg": {**(open_clip.get_model_config(NAME) or {}), "quick_gelu": True},
        "preprocess_cfg": {
            "mean": list(open_clip.OPENAI_DATASET_MEAN),
            "std": list(open_clip.OPENAI_DATASET_STD),
            "interpolation": "bicubic",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")


def make_transformers(source: Path, folder: Path) -> None:
    """The same weights as a `CLIPModel` with its processor and tokenizer."""
    from safetensors.torch import load_file
    from transformers import (  # type: ignore[import-not-found]
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    config = CLIPConfig(text_config={"eos_token_id": 49407, "bos_token_id": 49406})
    model = CLIPModel(config).eval()
    given = load_file(source / "open_clip_model.safetensors")
    missing, unexpected = model.load_state_dict(rename(given), strict=False)
    left = [name for name in missing if "position_ids" not in name]
    if left or unexpected:
        raise SystemExit(f"the weights do not fit: {left} {unexpected}")
    model.save_pretrained(folder)
    write_vocabulary(folder)
    tokenizer = CLIPTokenizer(folder / "vocab.json", folder / "merges.txt")
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder)


def rename(given: dict[str, Any]) -> dict[str, Any]:
    """open_clip's names and layouts → transformers'."""
    plain = {
        "logit_scale": "logit_scale",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    }
    found = {theirs: given[ours] for ours, theirs in plain.items()}
    found["text_projection.weight"] = given["text_projection"].T.contiguous()
    found["visual_projection.weight"] = given["visual.proj"].T.contiguous()
    for tower, prefix in (("text", "transformer"), ("vision", "visual.transformer")):
        for layer in range(LAYERS):
            found |= _rename_layer(given, f"{prefix}.resblocks.{layer}", tower, layer)
    return found


def _rename_layer(given: dict[str, Any], ours: str, tower: str, layer: int) -> dict[str, Any]:
    theirs = f"{tower}_model.encoder.layers.{layer}"
    found: dict[str, Any] = {}
    for kind in ("weight", "bias"):
        joined = given[f"{ours}.attn.in_proj_{kind}"]
        for part, piece in zip("qkv", joined.chunk(3), strict=True):
            found[f"{theirs}.self_attn.{part}_proj.{kind}"] = piece.contiguous()
        for one, other in (
            ("attn.out_proj", "self_attn.out_proj"),
            ("ln_1", "layer_norm1"),
            ("ln_2", "layer_norm2"),
            ("mlp.c_fc", "mlp.fc1"),
            ("mlp.c_proj", "mlp.fc2"),
        ):
            found[f"{theirs}.{other}.{kind}"] = given[f"{ours}.{one}.{kind}"]
    return found


def write_vocabulary(folder: Path) -> None:
    """CLIP's tokenizer in transformers' files, from the merges that open_clip ships."""
    from open_clip.tokenizer import SimpleTokenizer, default_bpe

    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")
    merges = ["#version: 0.2", *lines[1 : MERGES + 1], ""]
    (folder / "merges.txt").write_text("\n".join(merges), encoding="utf-8")
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    numbers = {renamed.get(word, word): n for word, n in SimpleTokenizer().encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")


if __name__ == "__main__":
    make_transformers(Path(sys.argv[1]), Path(sys.argv[2]))
