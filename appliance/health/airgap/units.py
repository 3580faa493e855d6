"""The fences of the box's units as systemd has them in force, and what of them isn't closed."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from appliance.health.airgap.facts import Unit, Units, Why
from appliance.health.airgap.tools import Run, run

NAMES: Final = ("keys", "inference", "worker", "web", "health", "egress", "helper")
_SETTINGS: Final = (
    "Id", "ActiveState", "LoadState", "PrivateNetwork", "RestrictAddressFamilies", "IPAddressDeny", "IPAddressAllow",
    "NoNewPrivileges", "RestrictNamespaces", "CapabilityBoundingSet", "User",
)  # fmt: skip
_WAY_OUT: Final = "hako-egress.service"
FILTERED: Final = {"hako-health.service"}
"""It sees which ports are open, and asks the daemon of a UPS on this machine; other addresses are shut to it."""
_ALL: Final = {"0.0.0.0/0", "::/0"}
_INTERNET: Final = frozenset({"AF_INET", "AF_INET6", "AF_PACKET"})


def seen(ask: Run = run) -> Units:
    """Asks systemd. `open` of a unit names settings that should shut it in and don't."""
    names = [f"hako-{name}.service" for name in NAMES]
    try:
        told = ask(("systemctl", "show", "--no-pager", f"--property={','.join(_SETTINGS)}", *names), b"")
    except OSError as error:
        return Units(state="unknown", why=_why(error))
    units = tuple(_units(told.decode("utf-8", "replace")))
    if not units:
        return Units(state="unknown", why="no-units")
    about = ("unit-open",) if any(unit.open for unit in units) else ()
    return Units(state="error" if about else "ok", about=about, units=units)


def _why(error: OSError) -> Why:
    return "no-right" if isinstance(error, PermissionError) else "no-units"


def _units(text: str) -> Iterator[Unit]:
    for block in text.strip().split("\n\n"):
        said = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if said.get("LoadState") != "loaded":
            continue
        name = said.get("Id", "")
        settings: dict[str, str] = {key: said[key] for key in _SETTINGS[3:] if key in said}
        yield Unit(name=name, active=said.get("ActiveState", ""), settings=settings, open=tuple(_open(name, settings)))


def _open(name: str, settings: dict[str, str]) -> Iterator[str]:
    if settings.get("NoNewPrivileges") != "yes":
        yield "NoNewPrivileges"
    if name == _WAY_OUT:  # the one that may; the firewall says to whom
        return
    if name in FILTERED:
        if not _is_filtered(settings):
            yield "IPAddressDeny"
        return
    if settings.get("PrivateNetwork") != "yes":
        yield "PrivateNetwork"
    families = settings.get("RestrictAddressFamilies", "")
    if not families or families.startswith("~") or _INTERNET & set(families.split()):
        yield "RestrictAddressFamilies"


def _is_filtered(settings: dict[str, str]) -> bool:
    """Whether systemd lets it send to this machine and to nobody else, whatever network it has."""
    try:
        allowed = [ip_network(each) for each in settings.get("IPAddressAllow", "").split()]
    except ValueError:
        return False
    return set(settings.get("IPAddressDeny", "").split()) >= _ALL and all(each.is_loopback for each in allowed)
