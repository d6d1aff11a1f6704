"""Copies SQLite's log back into the file beside the writer, not inside its commits."""

import logging
from collections.abc import Callable
from threading import Event, Thread

_log = logging.getLogger(__name__)

__all__ = ["Checkpointer"]


class Checkpointer:
    """Runs `copy` in a thread of its own soon after `wake`, and not more often than once a second.

    A commit that copies the log itself makes everyone wait who is in its group, for as long as it
    takes to write every page that changed since the last time.
    """

    def __init__(self, copy: Callable[[], object], *, every_s: float = 1.0) -> None:
        self._copy = copy
        self._every_s = every_s
        self._woken = Event()
        self._closed = Event()
        self._thread = Thread(target=self._run, name="ledger-checkpoint", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the log."""
        self._woken.set()

    def close(self) -> None:
        """Let a copy that has begun end, and begin no other."""
        self._closed.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            self._woken.wait()
            if self._closed.is_set():
                return
            self._woken.clear()
            try:
                self._copy()
            except Exception as error:
                # Nothing is lost: the log holds every commit, and a later copy takes it along.
                _log.warning("the log was not copied back: %s", error)
