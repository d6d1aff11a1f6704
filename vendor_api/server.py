"""One HTTP server process: it binds before it loads, says when it is ready, and drains when asked to stop."""

import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from vendor_api.ledger.commands import REQUEST_SECONDS
from vendor_api.protocol import BoundedProtocol
from vendor_api.refusal import Refusal

DRAIN_SECONDS = REQUEST_SECONDS + 15
"""A request under way is answered within its own limit; what hangs longer is a client that does not read."""
KEEP_ALIVE_SECONDS = 75
SWITCH_SECONDS = 0.0005
"""A thread that wants the interpreter gets it within this: the engine's must not wait for the decoders'."""

YOUNG_OBJECTS = 10_000
"""So many more objects than were freed before the collector looks for cycles among the new ones; Python
waits for 700, which a request of 64 items makes a few times over."""

__all__ = ["bind", "calm_collector", "configure", "run_server", "url_of"]


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises Refusal when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(socket.SOMAXCONN)
    except OSError as error:
        listening.close()
        raise Refusal(_explain(error, host, port)) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a socket of `bind` can be reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(app: FastAPI, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM (returns) or SIGINT (raises KeyboardInterrupt), after every answer is out."""
    sys.setswitchinterval(SWITCH_SECONDS)
    calm_collector()
    _Server(configure(app), app, on_ready).run(sockets=[listening])


def calm_collector() -> None:
    """Leave what is loaded out of every later search for garbage: it stays as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def configure(app: ASGIApp) -> uvicorn.Config:
    """How every server of ours speaks HTTP."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=BoundedProtocol,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.started:
            self._app.state.shop.draining = True
        # uvicorn would send the signal again at the end; SIGTERM has then been obeyed already.
        self._captured_signals = [
            caught for caught in self._captured_signals if caught != signal.SIGTERM
        ]


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken: stop what listens there, or choose another with "
            "--port (--port 0 picks a free one)"
        )
    reason = error.strerror or str(error)
    return f"cannot listen on {host} port {port} ({reason}): choose another with --host and --port"
