"""The one module that knows httpx: calls go out, answers or connection errors come back."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from client.api.calls import Call
from client.api.errors import APIConnectionError, APITimeoutError, VendorError

Transport = httpx.BaseTransport
"""What carries requests; tests give an in-process one."""
CONNECT_SECONDS = 5.0

__all__ = ["Answer", "Connection", "Transport"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Connection:
    """Connections to one vendor; one try per `send`."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        transport: Transport | None,
        insecure: bool,
    ) -> None:
        self.base_url = _check_url(base_url, insecure=insecure)
        self._timeout = timeout
        self._client = httpx.Client(
            base_url=self.base_url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            transport=transport,
            # A redirect would carry the key and the pictures somewhere else.
            follow_redirects=False,
        )

    def send(self, call: Call, headers: Mapping[str, str]) -> Answer:
        """One try. Raises APIConnectionError or APITimeoutError when no whole answer arrives."""
        try:
            response = self._client.request(
                call.method,
                call.path,
                params=dict(call.query),
                content=call.body,
                headers={**headers, **call.headers},
            )
        except httpx.TimeoutException as error:
            raise APITimeoutError(
                f"the vendor at {self.base_url} did not answer within {self._timeout:g} s: "
                "run the same command again, nothing is paid twice"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise APIConnectionError(
                f"cannot reach the vendor at {self.base_url} ({error}): check that it runs and "
                "that VL2V_BASE_URL is right"
            ) from error
        return Answer(response.status_code, dict(response.headers), response.content)

    def close(self) -> None:
        """Let go of every connection."""
        self._client.close()


def _check_url(base_url: str, *, insecure: bool) -> str:
    """The vendor's root, without the `/v1` that OpenAI's users put there."""
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
