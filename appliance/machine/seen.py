"""The machine as any process may see it, where no helper could ask systemd: names, addresses, time zone."""

import socket
from pathlib import Path

import psutil

from appliance.machine.cards import Card

_ZONES = "/zoneinfo/"


def name() -> str:
    """What it is called."""
    return socket.gethostname()


def cards() -> list[Card]:
    """Its network cards, bridges and the like among them; gateway and DNS can't be seen from here."""
    stats = psutil.net_if_stats()
    found = []
    for link, addresses in sorted(psutil.net_if_addrs().items()):
        wide = [
            each for each in addresses if each.family in (socket.AF_INET, socket.AF_INET6) and _is_wide(each.address)
        ]
        hardware = next((each.address for each in addresses if each.family == psutil.AF_LINK), "")
        if link != "lo" and wide:
            length = [f"{each.address}/{_prefix(each.netmask)}" for each in wide]
            up = link in stats and stats[link].isup
            found.append(Card(link, hardware, up, tuple(length), "", (), dhcp=False, mdns=False))
    return found


def zone(link: Path = Path("/etc/localtime")) -> str:
    """As Asia/Tokyo; empty where the system doesn't say it by name."""
    try:
        target = str(link.readlink())
    except OSError:
        return ""
    return target.partition(_ZONES)[2]


def _is_wide(address: str) -> bool:
    return not address.startswith("fe80:")


def _prefix(mask: str | None) -> int:
    """How many bits of the network a mask has."""
    if not mask:
        return 0
    family = socket.AF_INET6 if ":" in mask else socket.AF_INET
    return sum(octet.bit_count() for octet in socket.inet_pton(family, mask))
