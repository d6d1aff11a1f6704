"""Distilling from an account with a private space gets as far as from a plain one.

A real vendor of a tiny teacher, two accounts, and nothing but the commands that a customer types: buy,
train, test. What differs between the two is the rotation, its rounding to float16, and the order in
which a sum is added up.
"""

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from client.cache import EmbeddingStore
from client.cli import app
from tests.client.train.shape_vendor import draw_shapes, serve_shapes
from vendor_api.auth.repository import issue_key
from vendor_api.cli import app as vendor_app
from vendor_api.db import read_clock
from vendor_api.db.tables import account, account_balance
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit

METHODS = ("adip", "text-only", "kd")
TOLERANCE = 1 / 30
"""Of accuracy: one picture of the target's thirty."""


@pytest.fixture
def data(tmp_path):
    return draw_shapes(tmp_path / "study")


@pytest.fixture
def accounts(sqlite_url, make_shop, pepper, pepper_file, monkeypatch):
    """Account → API key; `private` has a private space, `plain` does not."""
    shop, keys = make_shop(sqlite_url), {}
    for name in ("plain", "private"):
        with shop.database.write() as connection:
            keys[name] = _open_account(connection, name, pepper)
    monkeypatch.setenv("VENDOR_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(pepper_file))
    done = CliRunner().invoke(vendor_app, ["accounts", "space", "private", "--on"])
    assert done.exit_code == 0, done.output
    return keys


def _open_account(connection, name, pepper):
    """An account whose id, and so its rotation, is the same in every run; returns a key of it."""
    now = read_clock(connection)
    owner = f"acct_{name}"
    row = {"id": owner, "name": name, "status": "active", "created_at": now}
    connection.execute(account.insert().values(row))
    money = ("credited_nanousd", "debited_nanousd", "held_nanousd", "credit_limit_nanousd")
    connection.execute(account_balance.insert().values(account_id=owner, **dict.fromkeys(money, 0)))
    add_credit(connection, now, Credit(owner, 10**9, f"opening of {name}"))
    return issue_key(connection, now, pepper, owner).text


class Customer:
    """One account's commands, with a cache of its own."""

    def __init__(self, home, url, key, data):
        self.home, self.data = home, str(data)
        self.environment = {
            "VL2V_HOME": str(home),
            "VL2V_API_KEY": key,
            "VL2V_BASE_URL": url,
            "NO_COLOR": "1",
        }

    def type(self, *words):
        done = CliRunner().invoke(app, [*words, "--json"], env=self.environment)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in _documents(done.stdout)]

    def distil(self):
        """Buy everything, train, test: accuracy by method, and the teacher's own."""
        for purpose in ("training", "evaluation"):
            options = ("--target", "wash", "--budget", "1", "--purpose", purpose)
            self.type("fetch", self.data, "--model", "icon-clip", *options)
        words = ["train", self.data, "--model", "icon-clip", "--target", "wash"]
        words += ["--student", "test_efficientnet", "--image-size", "32", "--batch", "9"]
        words += ["--steps", "60", "--lr", "3e-3", "--warmup", "5", "--threads", "1"]
        words += ["--out", str(self.home / "runs")]
        for method in ("zero-shot", *METHODS):
            words += ["--method", method]
        return {line["method"]: line for line in self.type(*words)}

    def vectors(self):
        """Digest → vector, of everything bought, and the revision it is kept under."""
        with EmbeddingStore.open(self.home / "client.db") as store:
            revision = store.model("icon-clip").revision
            with store.database.read() as connection:
                rows = connection.exec_driver_sql("SELECT modality, digest FROM embedding").all()
            found: dict[bytes, Any] = {}
            for modality in ("image", "text"):
                digests = [row.digest for row in rows if row.modality == modality]
                found |= store.get_many(revision, modality, digests, purpose="evaluation")
            return revision, found


def _documents(text):
    """The fetch prints one document over many lines, the training one a line."""
    try:
        return [json.dumps(json.loads(text))]
    except json.JSONDecodeError:
        return text.splitlines()


def test_a_private_space_costs_no_accuracy(accounts, data, tmp_path, sqlite_url, pepper_file):
    with serve_shapes(sqlite_url, pepper_file) as url:
        customers = {
            name: Customer(tmp_path / name, url, key, data) for name, key in accounts.items()
        }
        lines = {name: customer.distil() for name, customer in customers.items()}
    (plain_revision, plain), (private_revision, private) = (
        customers[name].vectors() for name in ("plain", "private")
    )
    assert private_revision.startswith(f"{plain_revision}~s")
    assert plain.keys() == private.keys()
    left = np.stack([plain[digest] for digest in sorted(plain)])
    right = np.stack([private[digest] for digest in sorted(plain)])
    assert np.abs(left - right).max() > 0.1
    np.testing.assert_allclose(left @ left.T, right @ right.T, atol=2e-3)  # float16 on the wire
    for measure in ("ood_class_acc", "in_domain_class_acc"):
        told = {n: {m: line[measure] for m, line in found.items()} for n, found in lines.items()}
        assert told["plain"]["zero-shot"] == told["private"]["zero-shot"]
        for method in METHODS:
            assert told["private"][method] == pytest.approx(told["plain"][method], abs=TOLERANCE)
