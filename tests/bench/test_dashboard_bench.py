"""The dashboard's bench runs from end to end; what it measures is the machine's, so nothing here is."""

import json

from tests.bench.dashboard import main

TINY = ["--charges", "2000", "--accounts", "3", "--days", "40", "--times", "1"]


def test_it_asks_for_every_page_and_finds_its_books_again(capsys, tmp_path):
    books = ["--books", str(tmp_path / "books.db")]
    main([*TINY, *books, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["books"].startswith("2,000 charge")
    pages = {cell["page"] for cell in report["cells"]}
    assert {"money, all time", "charges, by request id", "one charge", "audit log"} <= pages
    assert all(cell["median_ms"] > 0 for cell in report["cells"])
    main([*TINY, *books])
    assert "2,000 charge" in (said := capsys.readouterr().out)
    assert said.count("\n| ") == len(pages) + 1
