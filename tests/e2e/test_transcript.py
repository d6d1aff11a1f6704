"""The transcript's script on a few pictures: real vendor, real teacher, a real terminal."""

import io
import re

import pytest
from rich.console import Console

from client.demo.story import Story
from client.demo.transcript import BEGIN, record


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_interrupted_goes_on_and_both_books_agree(tmp_path):
    block = record(Story(out=tmp_path, classes=20), Console(file=io.StringIO(), width=120))
    assert (tmp_path / "transcript.md").read_text(encoding="utf-8") == block
    assert block.startswith(BEGIN)
    quoted, interrupted, resumed, *_ = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    assert "--dry-run" in quoted
    assert "^C" in interrupted
    assert "finishing what is under way" in interrupted
    assert "[exit code 130]" in interrupted
    bought = [
        sum(int(number) for number in found[0])
        for part in (interrupted, resumed)
        if (found := re.findall(r"bought (\d+) images and (\d+) texts", part))
    ]
    (all_of_it,) = map(int, re.findall(r"(\d+) to buy for", quoted))
    assert sum(bought) == all_of_it
    assert 0 < bought[0] < all_of_it
    assert "; 0 differences" in block
