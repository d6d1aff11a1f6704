"""Labelled pictures on disk: what they are, which part trains, and the prompts their classes get."""

from client.data.folders import scan_folders
from client.data.manifest import DataError, DigestMemo, Manifest, Picture
from client.data.prompts import PromptStyle, build_prompts, load_synonyms, make_prompts
from client.data.splits import Split, split_pictures

__all__ = [
    "DataError",
    "DigestMemo",
    "Manifest",
    "Picture",
    "PromptStyle",
    "Split",
    "build_prompts",
    "load_synonyms",
    "make_prompts",
    "scan_folders",
    "split_pictures",
]
