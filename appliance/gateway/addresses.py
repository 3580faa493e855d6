"""Where a destination may be: which addresses are never one, which need to be named on purpose, and web addresses."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from appliance.errors import (
    BadInputError,
    DestinationForbiddenError,
    PrivateDestinationError,
    PublicDestinationError,
)

Address = IPv4Address | IPv6Address

_NEVER: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and where clouds keep their machines' secrets
        "100.100.100.200/32",  # the same of another cloud
        "168.63.129.16/32",  # and of a third
        "fd00:ec2::/32",
        "fe80::/10",
        "64:ff9b::/96",  # other addresses in disguise, as the three below
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::/96",
    )
)
_PRIVATE: Final = tuple(
    ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7")
)
_LOOPBACK_6: Final = IPv6Address("::1")
_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-_:\[\]]+(/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)
_LONGEST_URL: Final = 300
_DEFAULT_PATH: Final = "/v1"


@dataclass(frozen=True)
class Place:
    """The parts of a web address."""

    tls: bool
    host: str
    """As the server calls itself: for its certificate and the Host header."""
    port: int
    path: str
    """Begins with a slash and ends without one; empty for the root."""

    @property
    def host_header(self) -> str:
        """The host as HTTP writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_url(url: str) -> Place:
    """The parts of `url`; without a path it is `/v1`, where such servers are.

    Raises:
        BadInputError: anything but http or https, host, port and plain path.
    """
    if len(url) > _LONGEST_URL or not _URL.fullmatch(url):
        raise BadInputError("url", field="url")
    try:
        parts = urlsplit(url)
        tls = parts.scheme.lower() == "https"
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadInputError("url", field="url") from error
    path = parts.path.rstrip("/")
    if not host or port == 0 or "//" in path or {".", ".."} & set(path.split("/")):
        raise BadInputError("url", field="url")
    return Place(tls, host, port or (443 if tls else 80), path if parts.path else _DEFAULT_PATH)


def parse_address(text: str) -> Address:
    """An IP address; one of IPv4 that is written as IPv6 counts as what it is.

    Raises:
        BadInputError: not an address.
    """
    try:
        address = ip_address(text)
    except ValueError as error:
        raise BadInputError("address", field="address") from error
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise DestinationForbiddenError(address=str(address))
        return address.ipv4_mapped or address
    return address


def demand_allowed(address: Address, *, private: bool, open_gap: bool) -> None:
    """Refuse what can't be a destination, or not without the words that make it one.

    Raises:
        DestinationForbiddenError: link-local, a cloud's own services, many machines at once, none at all.
        PrivateDestinationError: this machine or its network, without `private`.
        PublicDestinationError: the internet, without `open_gap`.
    """
    shown = str(address)
    if address == _LOOPBACK_6 or _is_in(address, _PRIVATE):
        if _is_in(address, _NEVER) and address != _LOOPBACK_6:
            raise DestinationForbiddenError(address=shown)
        if not private:
            raise PrivateDestinationError(address=shown)
        return
    if _is_in(address, _NEVER) or address.is_multicast or address.is_reserved or address.is_unspecified:
        raise DestinationForbiddenError(address=shown)
    if not open_gap:
        raise PublicDestinationError(address=shown)


def _is_in(address: Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(address in network for network in networks)  # one of the other version is in none of them
