"""Which drawings are whose: the client's labelled pictures, and what that forbids the teacher."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from shared.icons.names import Naming
from shared.icons.plan import Plan
from shared.icons.render import Icon, read_icons

PER_CLASS_AND_DOMAIN = 30
"""At most this many pictures of one class in one style."""
DRAW_SEED = 0
"""Fixes which pictures are drawn when a class has more."""

Selection = dict[tuple[str, str], list[Icon]]
"""(domain, class) → its icons."""


def load_deny_list() -> frozenset[str]:
    """`set--name` of icons that the class rule admits and a look at the contact sheets rejected."""
    text = (files("shared.icons") / "deny.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)["icons"])


def identify(icon: Icon) -> str:
    """`set--name`: the icon's file stem and its entry in the deny list."""
    return f"{icon.icon_set}--{icon.name}"


def distinct_icons(modules: Path, icon_set: str, naming: Naming) -> Iterator[tuple[Icon, str, str]]:
    """(icon, style, clean name), the first of each (style, clean name) of a set; near-copies left out."""
    seen: set[tuple[str, str]] = set()
    for icon in read_icons(modules / "@iconify-json" / icon_set):
        clean = naming.clean_name(icon.name)
        style = naming.style_of(icon_set, icon.name)
        if clean and not naming.is_skipped(icon.name) and (style, clean) not in seen:
            seen.add((style, clean))
            yield icon, style, clean


def find_candidates(
    plan: Plan, modules: Path, concepts: Iterable[str], styles: Iterable[str] | None = None
) -> Selection:
    """Every drawing of `concepts` in the sets of `styles` (default the domains).

    A domain takes from each of its sets the drawings of its own style only; a final style takes all
    of its sets, one variant of a drawing.
    """
    wanted, naming = frozenset(concepts), Naming(plan)
    found: Selection = defaultdict(list)
    for style in plan.domains if styles is None else styles:
        list_icons = _list_final if style in plan.final_sets else _list_domain
        for icon, clean in list_icons(plan, modules, style, naming):
            concept = naming.concept_of(clean)
            if concept in wanted:
                found[style, str(concept)].append(icon)
    return dict(found)


def _list_domain(
    plan: Plan, modules: Path, domain: str, naming: Naming
) -> Iterator[tuple[Icon, str]]:
    for icon_set in plan.client_sets[domain]:
        for icon, style, clean in distinct_icons(modules, icon_set, naming):
            if style == domain:
                yield icon, clean


def _list_final(
    plan: Plan, modules: Path, final: str, naming: Naming
) -> Iterator[tuple[Icon, str]]:
    for icon_set in plan.final_sets[final]:
        seen: set[str] = set()
        for icon, _, clean in distinct_icons(modules, icon_set, naming):
            plain = _drop_prefix(clean, plan.name_prefixes.get(icon_set, ()))
            if plain not in seen:
                seen.add(plain)
                yield icon, plain


def _drop_prefix(name: str, prefixes: Iterable[str]) -> str:
    for prefix in prefixes:
        if name.startswith(f"{prefix}-"):
            return name.removeprefix(f"{prefix}-")
    return name


def draw(
    candidates: Selection,
    *,
    denied: frozenset[str] = frozenset(),
    at_most: int = PER_CLASS_AND_DOMAIN,
    seed: int = DRAW_SEED,
) -> Selection:
    """The candidates without the denied, at most `at_most` a class and domain, drawn with a fixed seed."""
    drawn: Selection = {}
    for key in sorted(candidates):
        icons = sorted((i for i in candidates[key] if identify(i) not in denied), key=identify)
        if len(icons) > at_most:
            # Seeded by the key, so that denying an icon of one class leaves the other draws alone.
            icons = random.Random(f"{seed}:{key}").sample(icons, at_most)  # noqa: S311
        drawn[key] = sorted(icons, key=identify)
    return drawn
