"""Copying SQLite's log back: beside the writer, and never at the price of a commit."""

import logging
import shutil
import sqlite3
from threading import Event

from shared.migrating import upgrade
from vendor_api.db import open_database
from vendor_api.db.checkpoints import Checkpointer


class Copies:
    """Counts the copies that are asked for."""

    def __init__(self, *, failing=0):
        self.count = 0
        self.failing = failing
        self.made = Event()

    def __call__(self):
        self.count += 1
        self.made.set()
        if self.count <= self.failing:
            raise OSError("disk full")


def _wake(checkpointer, copies):
    copies.made.clear()
    checkpointer.wake()
    assert copies.made.wait(5)


def test_nothing_is_copied_before_there_is_something_new():
    copies = Copies()
    checkpointer = Checkpointer(copies, every_s=0)
    checkpointer.close()
    assert copies.count == 0


def test_every_wake_is_followed_by_a_copy():
    copies = Copies()
    checkpointer = Checkpointer(copies, every_s=0)
    _wake(checkpointer, copies)
    _wake(checkpointer, copies)
    checkpointer.close()
    assert copies.count == 2


def test_many_wakes_within_the_interval_are_one_copy():
    copies = Copies()
    checkpointer = Checkpointer(copies, every_s=0.3)
    for _ in range(50):
        checkpointer.wake()
    assert copies.made.wait(5)
    checkpointer.close()
    assert copies.count == 1


def test_a_copy_that_fails_is_tried_again_at_the_next_wake(caplog):
    copies = Copies(failing=1)
    checkpointer = Checkpointer(copies, every_s=0)
    with caplog.at_level(logging.WARNING, logger="vendor_api.db.checkpoints"):
        _wake(checkpointer, copies)
        _wake(checkpointer, copies)
        checkpointer.close()
    assert copies.count == 2
    assert "disk full" in caplog.text


def test_a_checkpoint_brings_commits_into_the_file_while_others_hold_it_open(tmp_path):
    file = tmp_path / "vendor.db"
    url = f"sqlite:///{file}"
    upgrade("vendor", url)
    database = open_database(url)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('colour', 'green')")
    assert _read_alone(file, tmp_path / "before.db") == []
    database.checkpoint()
    assert _read_alone(file, tmp_path / "after.db") == [("green",)]
    database.close()


def _read_alone(file, copy):
    """What the file holds without its log."""
    shutil.copyfile(file, copy)
    connection = sqlite3.connect(copy)
    try:
        return connection.execute("SELECT value FROM meta WHERE name = 'colour'").fetchall()
    finally:
        connection.close()
