"""The five DomainBed data sets by their folder names, and what trips people up in each."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.entries import is_image, list_folders

DEEPEST = 2
"""Folders that a download may put above the domains."""

__all__ = [
    "DATASETS",
    "Dataset",
    "Domain",
    "Layout",
    "count_folders",
    "find_dataset",
    "find_nested",
    "index_domains",
    "recognise",
]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One published data set as it is usually downloaded."""

    name: str
    domains: Mapping[str, int | None]
    """Folder → images; None where the source gives the total alone."""
    classes: int
    images: int
    """In all, as counted from published lists."""
    pitfalls: tuple[str, ...] = ()
    """Sentences that hold for every copy."""


DATASETS = (
    Dataset(
        "PACS",
        {"art_painting": 2048, "cartoon": 2344, "photo": 1670, "sketch": 3929},
        classes=7,
        images=9991,
        pitfalls=(
            "the published VL2V-ADiP code drops a domain folder named Cartoon with a capital C: keep "
            "the folders in lower case when figures are to be compared",
        ),
    ),
    Dataset(
        "VLCS",
        {"Caltech101": 1415, "LabelMe": 2656, "SUN09": 3282, "VOC2007": 3376},
        classes=5,
        images=10729,
    ),
    Dataset(
        "OfficeHome",
        {"Art": 2427, "Clipart": 4365, "Product": 4439, "Real World": 4357},
        classes=65,
        images=15588,
        pitfalls=("quote the domain with a space in a shell: --target 'Real World'",),
    ),
    Dataset(
        "TerraIncognita",
        {"location_100": 4741, "location_38": 9736, "location_43": 3970, "location_46": 5883},
        classes=10,
        images=24330,
        pitfalls=(
            "papers print 24,788 images, the published lists hold 24,330: go by what your copy has",
            "the class `empty` makes the prompt “a photo of a empty”: give it words of its own in "
            "DATA/classes.json",
            "domains sort as text (location_100 first): check the index before --test-envs",
        ),
    ),
    Dataset(
        "DomainNet",
        dict.fromkeys(("clipart", "infograph", "painting", "quickdraw", "real", "sketch")),
        classes=345,
        images=586575,
    ),
)

DUPLICATES = 9431
"""Lines of DomainBed's list of DomainNet files to delete."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain's folder as it is found."""

    index: int
    """Its place in sorted order: DomainBed's --test_envs."""
    name: str
    classes: int
    images: int
    expected: int | None
    """Images in the published lists; None for an unknown domain, or where only a total is known."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a data folder holds, by names alone; no image was opened."""

    root: Path
    """The folder that holds the domains."""
    dataset: Dataset | None
    domains: tuple[Domain, ...]
    classes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def images(self) -> int:
        """In all domains."""
        return sum(domain.images for domain in self.domains)


def recognise(root: Path, known: Sequence[Dataset] = DATASETS) -> Layout:
    """What is at `root`, or up to two folders below it where a download was unpacked one too deep."""
    place = find_nested(root, known) or root
    counts = count_folders(place)
    dataset = find_dataset(counts, known)
    usual = _expected(dataset)
    domains = tuple(
        Domain(
            index=index,
            name=name,
            classes=sum(1 for images in counts[name].values() if images),
            images=sum(counts[name].values()),
            expected=usual.get(_plain(name)),
        )
        for index, name in enumerate(index_domains(counts))
    )
    classes = tuple(sorted({label for found in counts.values() for label in found}))
    layout = Layout(place, dataset, domains, classes, ())
    return Layout(place, dataset, domains, classes, tuple(_warn(root, layout, counts)))


def find_dataset(domains: Iterable[str], known: Sequence[Dataset] = DATASETS) -> Dataset | None:
    """The data set whose domains these are, up to case, spaces and underscores; else None."""
    names = {_plain(name) for name in domains}
    for dataset in known:
        if names and names == {_plain(name) for name in dataset.domains}:
            return dataset
    return None


def find_nested(root: Path, known: Sequence[Dataset] = DATASETS) -> Path | None:
    """The folder below `root` whose subfolders are a known data set's domains (as PACS/kfold or
    OfficeHomeDataset_10072016); None when that is `root` itself, or nowhere."""
    level = [root]
    for depth in range(DEEPEST + 1):
        for folder in level:
            names = [below.name for below in _folders(folder)]
            if find_dataset(names, known) is not None:
                return folder if depth else None
        level = [below for folder in level for below in _folders(folder)]
    return None


def index_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """Domains in DomainBed's order: position i is --test_envs i."""
    return tuple(sorted(domains))


def count_folders(root: Path) -> dict[str, dict[str, int]]:
    """Domain → class → files with an image's suffix; hidden folders are left out."""
    return {
        domain.name: {label.name: _count_images(label) for label in _folders(domain)}
        for domain in _folders(root)
    }


def _warn(root: Path, layout: Layout, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    dataset = layout.dataset
    if layout.root != root:
        yield f"the domains lie deeper than {root}: name {layout.root} as DATA"
    for name, found in counts.items():
        if set(found) != set(layout.classes):
            missing = sorted(set(layout.classes) - set(found))
            yield f"{name} lacks {len(missing)} of the {len(layout.classes)} classes: {_list(missing)}"
    if all(re.fullmatch(r"\d+", label) for label in layout.classes) and layout.classes:
        yield (
            "class folders are numbers, so prompts would name numbers: rename them, or give words in "
            f"{layout.root / 'classes.json'}"
        )
    if {"train", "test"} <= set(layout.classes):
        yield (
            "class folders named train and test are the parts of a raw download: merge them, the "
            "split is drawn here"
        )
    if dataset is None:
        return
    yield from _compare_names(dataset, layout)
    if len(layout.classes) != dataset.classes:
        yield f"{dataset.name} has {dataset.classes} classes, this folder {len(layout.classes)}"
    if dataset.name == "DomainNet" and layout.images > dataset.images:
        yield (
            f"{layout.images:,} images are more than the {dataset.images:,} that are left when "
            f"DomainBed's list of {DUPLICATES:,} duplicates (domain_net_duplicates.txt) is deleted: "
            "do that, or training and test share pictures"
        )
    yield from dataset.pitfalls


def _compare_names(dataset: Dataset, layout: Layout) -> Iterator[str]:
    usual = {_plain(name): name for name in dataset.domains}
    for domain in layout.domains:
        name = usual[_plain(domain.name)]
        if name != domain.name:
            yield f"folder {domain.name!r} is called {name!r} in DomainBed: figures name it so"
        if domain.expected is not None and domain.images != domain.expected:
            yield (
                f"{domain.name} holds {domain.images:,} images, the published lists "
                f"{domain.expected:,}"
            )


def _expected(dataset: Dataset | None) -> dict[str, int | None]:
    return {_plain(name): images for name, images in (dataset.domains if dataset else {}).items()}


def _plain(name: str) -> str:
    """The name as copies agree on it: 'Real World', Real_World and RealWorld are one."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown}, …" if len(names) > 5 else shown


def _folders(parent: Path) -> list[Path]:
    return list_folders(parent) if parent.is_dir() else []


def _count_images(folder: Path) -> int:
    total = 0
    for _, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        total += sum(1 for name in names if not name.startswith(".") and is_image(name))
    return total
