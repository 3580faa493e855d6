"""Fetches one address: from a host whose addresses were looked at once, follows nothing, stops at every limit.

A page that redirects, or a name that changes its address, must not lead into the publisher's own network.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from appliance import clock
from appliance.closing import Closing
from appliance.errors import DestinationForbiddenError, PrivateDestinationError
from appliance.gateway.addresses import demand_allowed, parse_address
from appliance.warc.manifest import Why
from appliance.warc.message import Answer
from appliance.warc.writer import Exchange

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 20.0
_WHOLE_S: Final = 120.0
_DROPPED: Final = frozenset({b"transfer-encoding"})
_RENAMED: Final = b"X-Archive-Orig-"


class LeftOutError(Exception):
    """It can't be had, or is not wanted; `why` as a manifest says it."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


@dataclass(frozen=True)
class Fetched:
    """What came, as it goes into a WARC file and as it can be looked at; `answer` has the raw body."""

    exchange: Exchange
    answer: Answer


class Fetcher(Closing):
    """Speaks HTTP/1.1 to hosts; no proxy, no cookies, no redirects."""

    def __init__(self, agent: str, *, allow_private: bool, most_bytes: int) -> None:
        """`allow_private`: also to this machine and its network; `most_bytes` of one answer."""
        self._agent, self._allow_private, self._most = agent, allow_private, most_bytes
        self._addresses: dict[str, str | Why] = {}
        self._clients: dict[str, httpx2.Client] = {}

    def close(self) -> None:
        """Let all connections go."""
        for client in self._clients.values():
            client.close()

    def get(self, url: str, wanted: Callable[[int, str], bool] = lambda _status, _mime: True) -> Fetched:
        """Fetch a plain address. `wanted(status, mime)` is asked before the body is read.

        Raises:
            LeftOutError: unreachable, inside, too large, or not wanted.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        place = f"[{address}]" if ":" in address else address
        place += f":{parts.port}" if parts.port else ""
        target = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
        client = self._clients.setdefault(host, self._client())
        request = client.build_request("GET", target, headers={"Host": parts.netloc})
        request.extensions["sni_hostname"] = host
        at = clock.now()
        try:
            with contextlib.closing(client.send(request, stream=True)) as response:
                mime = response.headers.get("content-type", "").split(";")[0].strip().lower()
                if not wanted(response.status_code, mime):
                    raise LeftOutError("status" if response.status_code >= 400 else "kind")
                body = b"".join(self._bounded(response))
                head = _head(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise LeftOutError("unreachable") from error
        lines = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in request.headers.raw]
        asked = "\r\n".join([f"GET {urlunsplit(('', '', parts.path, parts.query, ''))} HTTP/1.1", *lines, "", ""])
        headers = {
            name.lower(): value for name, value in response.headers.items() if name.lower() != "transfer-encoding"
        }
        exchange = Exchange(url, at, address, asked.encode("latin-1", "replace"), head, body)
        return Fetched(exchange, Answer(response.status_code, headers, body))

    def _client(self) -> httpx2.Client:
        """One for each host: a connection that was made to one name is not used for another."""
        return httpx2.Client(
            headers={"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    def _bounded(self, response: httpx2.Response) -> Iterator[bytes]:
        size, until = 0, clock.monotonic() + _WHOLE_S
        for piece in response.iter_raw():
            size += len(piece)
            if size > self._most:
                raise LeftOutError("size")
            if clock.monotonic() > until:
                raise LeftOutError("unreachable")
            yield piece

    def _address(self, host: str, port: int) -> str:
        """Looked up once for each host, and kept. A host with one address inside is not spoken to at all."""
        if host not in self._addresses:
            self._addresses[host] = self._looked_up(host, port)
        found = self._addresses[host]
        if found in ("private", "unreachable"):
            raise LeftOutError(found)
        return found

    def _looked_up(self, host: str, port: int) -> str | Why:
        try:
            found = [str(place[4][0]) for place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            return "unreachable"
        try:
            for address in found:
                demand_allowed(parse_address(address), private=self._allow_private, open_gap=True)
        except (DestinationForbiddenError, PrivateDestinationError):
            return "private"
        return min(found, key=lambda address: ":" in address)


def _head(response: httpx2.Response) -> bytes:
    """As it came, but for what is no longer so: the body is kept out of its chunks."""
    reason = response.extensions.get("reason_phrase", b"")
    lines = [b"HTTP/1.1 %d %s" % (response.status_code, reason)]
    for name, value in response.headers.raw:
        lines.append((_RENAMED + name if name.lower() in _DROPPED else name) + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
