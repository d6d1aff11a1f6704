"""The one module that knows httpx: calls go out, answers or connection errors come back."""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from client.api.calls import Answer, Call
from client.api.errors import APIConnectionError, APITimeoutError, VendorError

Transport = httpx.BaseTransport
"""What carries requests; tests give an in-process one."""
AsyncTransport = httpx.AsyncBaseTransport
CONNECT_SECONDS = 5.0
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=256)
"""How many calls go on at once is the caller's affair, and none of them waits for a new connection."""

__all__ = ["AsyncConnection", "AsyncTransport", "Connection", "Transport", "check_url"]


class Connection:
    """Connections to one vendor; one try per `send`. Safe to use from several threads."""

    def __init__(
        self, base_url: str, *, transport: Transport | None, clock: Callable[[], float]
    ) -> None:
        self._base_url = base_url
        self._clock = clock
        # A redirect would carry the key and the pictures somewhere else.
        self._client = httpx.Client(
            base_url=base_url, transport=transport, follow_redirects=False, limits=LIMITS
        )

    def send(self, call: Call, headers: Mapping[str, str], timeout: float) -> Answer:
        """One try. Raises APIConnectionError, or APITimeoutError when the seconds are over."""
        end = self._clock() + timeout
        with _translated(self._base_url, timeout):
            request = _build(self._client, call, headers, timeout)
            response = self._client.send(request, stream=True)
            try:
                body = bytearray()
                # httpx bounds the wait for each piece; a vendor that drips is bounded here.
                for piece in response.iter_bytes():
                    body += piece
                    if self._clock() > end:
                        raise TimeoutError
            finally:
                response.close()
        return Answer(response.status_code, dict(response.headers), bytes(body))

    def close(self) -> None:
        """Let go of every connection."""
        self._client.close()


class AsyncConnection:
    """`Connection`, awaited, for one event loop."""

    def __init__(self, base_url: str, *, transport: AsyncTransport | None) -> None:
        self._base_url = base_url
        self._client = httpx.AsyncClient(
            base_url=base_url, transport=transport, follow_redirects=False, limits=LIMITS
        )

    async def send(self, call: Call, headers: Mapping[str, str], timeout: float) -> Answer:  # noqa: ASYNC109 (it is an error of ours)
        """One try. Raises APIConnectionError, or APITimeoutError when the seconds are over."""
        with _translated(self._base_url, timeout):
            request = _build(self._client, call, headers, timeout)
            async with asyncio.timeout(timeout):
                response = await self._client.send(request)
        return Answer(response.status_code, dict(response.headers), response.content)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.aclose()


def _build(
    client: httpx.Client | httpx.AsyncClient, call: Call, headers: Mapping[str, str], timeout: float
) -> httpx.Request:
    return client.build_request(
        call.method,
        call.path,
        params=dict(call.query),
        content=call.body,
        headers={**headers, **call.headers},
        timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
    )


@contextmanager
def _translated(base_url: str, timeout: float) -> Iterator[None]:
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise APITimeoutError(
            f"the vendor at {base_url} did not answer within {timeout:g} s: "
            "run the same command again, nothing is paid twice"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise APIConnectionError(
            f"cannot reach the vendor at {base_url} ({error}): check that it runs and "
            "that VL2V_BASE_URL is right"
        ) from error


def check_url(base_url: str, *, insecure: bool) -> str:
    """The vendor's root, without the `/v1` that OpenAI's users put there. Raises VendorError."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise VendorError(f"{base_url!r} is not a URL: write it like https://host") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise VendorError(f"{base_url!r} is not a web address: write it like https://host")
    if url.scheme == "http" and not insecure and not _is_loopback(url.host):
        raise VendorError(
            f"{base_url} would carry your API key unencrypted: use https, or set insecure=True "
            "(VL2V_INSECURE=1) when the network is your own"
        )
    return str(url).rstrip("/").removesuffix("/v1")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
