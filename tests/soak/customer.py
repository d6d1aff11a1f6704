"""A customer that notes every purchase before it sends it, and after a kill goes on where it was."""

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from shared import headers
from shared.codecs import decode_base64
from tests.ledger.tiny import MODEL, TinyPreparation, make_vector

ITEMS = 3
FINAL = {200, 422}


@dataclass(frozen=True)
class Customer:
    """One customer process: its number, its journal, where it may buy, when it must not begin more."""

    number: int
    seed: int
    home: Path
    urls: Sequence[str]
    key: str

    @property
    def journal(self) -> Path:
        return self.home / f"customer-{self.number}.jsonl"

    def note(self, event: str, name: str, **more: Any) -> None:
        """One line, whole even if the process is killed next."""
        line = json.dumps({"event": event, "name": name, **more}) + "\n"
        file = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(file, line.encode())
        os.close(file)

    def read(self) -> list[dict[str, Any]]:
        """Everything that was noted."""
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in self.journal.read_text().splitlines()]
        return []


def texts_of(name: str) -> list[str]:
    """What the purchase of that name buys: nothing that any other buys."""
    return [f"{name} picture {number}" for number in range(ITEMS)]


def shop(customer: Customer) -> None:
    """Finish what was begun, then buy until `stop` exists; then finish and return."""
    rng = random.Random(f"{customer.seed} {customer.number} {os.getpid()}")
    with httpx.Client(
        headers={"authorization": f"Bearer {customer.key}"}, timeout=20, trust_env=False
    ) as http:
        for name in _purchases(customer):
            while not _try(customer, http, name, rng):
                time.sleep(rng.uniform(0.02, 0.2))


def _purchases(customer: Customer) -> Iterator[str]:
    noted = customer.read()
    begun = {row["name"]: None for row in noted if row["event"] == "begin"}
    done = {row["name"] for row in noted if row["event"] == "done"}
    yield from (name for name in begun if name not in done)
    number = len(begun)
    while not (customer.home / "stop").exists():
        name = f"c{customer.number}n{number}"
        customer.note("begin", name)
        yield name
        number += 1


def _try(customer: Customer, http: httpx.Client, name: str, rng: random.Random) -> bool:
    body = {"model": MODEL, "input": texts_of(name), "encoding_format": "base64"}
    try:
        answer = http.post(
            f"{rng.choice(customer.urls)}/v1/embeddings",
            json=body,
            headers={headers.IDEMPOTENCY_KEY: name},
        )
    except httpx.TransportError:
        customer.note("broken", name)
        return False
    if answer.status_code == 429 and answer.json()["code"] == "replay_limit":
        # Paid, computed four times, and killed each time before it was read: tomorrow, then.
        customer.note("done", name, status=429)
        return True
    if answer.status_code not in FINAL:
        customer.note("refused", name, status=answer.status_code)
        return False
    _check(answer, name)
    replayed = headers.IDEMPOTENCY_REPLAYED in answer.headers
    customer.note("done", name, status=answer.status_code, replayed=replayed)
    return True


def _check(answer: httpx.Response, name: str) -> None:
    assert answer.status_code == 200, answer.text
    tokens = TinyPreparation().tokenize(texts_of(name)).tokens
    for row, given in zip(answer.json()["data"], tokens, strict=True):
        assert np.array_equal(decode_base64(row["embedding"], "float32"), make_vector(given))
