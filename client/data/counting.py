"""How many pictures of which class and domain a source names, without opening one."""

from collections import Counter
from pathlib import Path

from client.data.domainbed import Domain, Layout, index_domains, recognise
from client.data.folders import open_source
from client.data.manifest import Source

__all__ = ["count_pictures"]


def count_pictures(data: Path) -> Layout:
    """What a tree of folders, or a CSV of paths, holds by names alone. Raises DataError."""
    if data.is_dir():
        layout = recognise(data)
        if layout.images:
            return layout
    return _count(open_source(data))


def _count(source: Source) -> Layout:
    pictures = Counter((file.domain, file.label) for file in source.find() if not file.problem)
    names = index_domains({domain for domain, _ in pictures})
    domains = tuple(
        Domain(
            index=index,
            name=name,
            classes=sum(1 for domain, label in pictures if domain == name and label),
            images=sum(count for (domain, _), count in pictures.items() if domain == name),
            expected=None,
        )
        for index, name in enumerate(names)
    )
    classes = tuple(sorted({label for _, label in pictures} - {""}))
    warnings = () if len(domains) > 1 else ("training leaves a domain out, and there is one alone",)
    return Layout(source.data, None, domains, classes, warnings)
