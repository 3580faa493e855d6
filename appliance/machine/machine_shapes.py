"""What the helper can be asked of the machine itself: network, name, time, certificate, end; each in a strict shape."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

import appliance

_YEAR_2100: Final = 4_102_444_800

Interface = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,14}$")]
Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")]
"""One word, as it stands before `.local`."""


class Shape(BaseModel):
    """Nothing more, nothing less, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Machine(Shape):
    """How the machine is: its name, network cards, time; and whether a change of the network is on trial."""

    verb: Literal["machine"]


class Network(Shape):
    """How one network card gets its address: from the network's DHCP, or as it is said here."""

    interface: Interface
    dhcp: bool
    address: IPv4Interface | IPv6Interface | None = None
    gateway: IPv4Address | IPv6Address | None = None
    dns: tuple[IPv4Address | IPv6Address, ...] = Field((), max_length=3)
    mdns: bool = True
    """Whether machines on the same cable find this one as NAME.local."""

    @model_validator(mode="after")
    def _check(self) -> "Network":
        if self.dhcp:
            if self.address or self.gateway or self.dns:
                raise ValueError("either DHCP or an address")
        elif self.address is None or not _is_of_a_machine(self.address):
            raise ValueError("no address")
        elif self.gateway is not None and self.gateway not in self.address.network:
            raise ValueError("the gateway is elsewhere")
        return self


def _is_of_a_machine(address: IPv4Interface | IPv6Interface) -> bool:
    ip = address.ip
    return not (ip.is_unspecified or ip.is_multicast or ip.is_loopback or ip.is_link_local)


class SetNetwork(Network):
    """Try it; it is taken back unless somebody has come in by it in time."""

    verb: Literal["set-network"]


class KeepNetwork(Shape):
    """Keep what is on trial. `arrived`: the address of this machine at which the request came in."""

    verb: Literal["keep-network"]
    arrived: IPv4Address | IPv6Address


class DropNetwork(Shape):
    """Take back what is on trial, at once."""

    verb: Literal["drop-network"]


class SetName(Shape):
    """What the machine is called in its network."""

    verb: Literal["set-name"]
    name: HostName


class SetZone(Shape):
    """Set the time zone, as Asia/Tokyo."""

    verb: Literal["set-zone"]
    zone: Zone


class SetClock(Shape):
    """Set the clock; `at` in seconds since the epoch, never before this release was made."""

    verb: Literal["set-clock"]
    at: int = Field(ge=appliance.RELEASED, lt=_YEAR_2100)


class SetCertificate(Shape):
    """Serve the pages with this certificate (PEM, its chain behind it) and its key."""

    verb: Literal["set-certificate"]
    certificate: str = Field(max_length=20_000)
    key: str = Field(max_length=8_000)


class DropCertificate(Shape):
    """Serve the pages with the machine's own certificate again."""

    verb: Literal["drop-certificate"]


class Erase(Shape):
    """Destroy the keys of everything that is stored here, and begin anew."""

    verb: Literal["erase"]


MachineRequest = (
    Machine
    | SetNetwork
    | KeepNetwork
    | DropNetwork
    | SetName
    | SetZone
    | SetClock
    | SetCertificate
    | DropCertificate
    | Erase
)
VERBS: Final = (
    "machine", "set-network", "keep-network", "drop-network", "set-name", "set-zone", "set-clock", "set-certificate",
    "drop-certificate", "erase",
)  # fmt: skip
