"""Network cards as systemd-networkd knows them, and the file that says how one gets its address."""

import configparser
import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from appliance.machine.machine_shapes import Network

_MOST: Final = 16
_LINK_SCOPE: Final = 253


@dataclass(frozen=True)
class Card:
    """`addresses` as 10.0.0.7/24; `dhcp`: whether they are to come from the network; `mdns`: found as NAME.local."""

    name: str
    hardware: str
    cable: bool
    addresses: tuple[str, ...]
    gateway: str
    dns: tuple[str, ...]
    dhcp: bool
    mdns: bool

    def has(self, address: str) -> bool:
        """Whether it is one of this card's."""
        return any(ip_address(each.partition("/")[0]) == ip_address(address) for each in self.addresses)


def read(described: str, root: Path, kinds: Sequence[str] = ()) -> list[Card]:
    """Those of `Manager.Describe`. Bridges, tunnels and the like are no cards, but for `kinds`."""
    links = json.loads(described)["Interfaces"]
    real = [link for link in links if link.get("Type") in ("ether", "wlan") and link.get("Kind", "") in ("", *kinds)]
    return [_card(link, root) for link in sorted(real, key=lambda link: str(link["Name"]))[:_MOST]]


def _card(link: dict[str, Any], root: Path) -> Card:
    wide = [each for each in link.get("Addresses", ()) if int(each.get("Scope", 0)) < _LINK_SCOPE]
    said = _said(link, root)
    return Card(
        name=str(link["Name"]),
        hardware=bytes(link.get("HardwareAddress", ())).hex(":"),
        cable="lower-up" in str(link.get("FlagsString", "")).split(","),
        addresses=tuple(f"{_ip(each['Address'])}/{each['PrefixLength']}" for each in wide),
        gateway=next((_ip(route["Gateway"]) for route in link.get("Routes", ()) if _is_default(route)), ""),
        dns=tuple(_ip(each["Address"]) for each in link.get("DNS", ())),
        dhcp=said.get("dhcp", "no") not in ("no", "false", "0", "off"),
        mdns=said.get("multicastdns", "no") in ("yes", "true", "1", "on"),
    )


def _said(link: dict[str, Any], root: Path) -> dict[str, str]:
    """Of the file by which networkd goes for this card."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
    file = str(link.get("NetworkFile", ""))
    try:
        parser.read_string((root / file.lstrip("/")).read_text("utf-8") if file else "")
    except (OSError, ValueError, configparser.Error):
        return {}
    return {name: value.lower() for name, value in parser.items("Network")} if parser.has_section("Network") else {}


def _is_default(route: dict[str, Any]) -> bool:
    return not route.get("DestinationPrefixLength", 0) and bool(route.get("Gateway"))


def _ip(octets: Sequence[int]) -> str:
    return str(ip_address(bytes(octets)))


def file_of(wish: Network) -> str:
    """What networkd is to read. Names are looked up nowhere but with what `dns` says."""
    lines = ["# Written by Hako's helper.", "[Match]", f"Name={wish.interface}", "", "[Network]"]
    lines += ["LLMNR=no", f"MulticastDNS={'yes' if wish.mdns else 'no'}", "LinkLocalAddressing=ipv6"]
    if wish.dhcp:
        lines += ["DHCP=yes", "", "[DHCPv4]", "ClientIdentifier=mac", "UseDNS=no", "UseNTP=no", "UseHostname=no"]
    else:
        lines += ["DHCP=no", "IPv6AcceptRA=no", f"Address={wish.address}"]
        lines += [f"Gateway={wish.gateway}"] if wish.gateway else []
        lines += [f"DNS={address}" for address in wish.dns]
    return "\n".join(lines) + "\n"
