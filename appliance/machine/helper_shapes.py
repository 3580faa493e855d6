"""What the helper can be asked for: a closed list, each in one strict shape. Nothing here touches the machine."""

import json
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

import appliance
from appliance.errors import HelperRefusedError

_YEAR_2100: Final = 4_102_444_800
LONGEST_ROOT: Final = 24_000
"""Characters of a root that fit into one message with room to spare; one of five keys has about 4,000."""

Partition = Annotated[str, StringConstraints(pattern=r"^sd[a-z]{1,2}([1-9][0-9]?)?$")]
"""As the kernel names it below /dev."""
Interface = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,14}$")]
Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}$")]
Folder = Annotated[str, StringConstraints(pattern=r"^[^/\x00.][^/\x00]{0,254}$")]
"""One folder's name, as people give them to their sticks; never a hidden one, nor the one above."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Reboot(_Shape):
    """Start the machine anew."""

    verb: Literal["reboot"]


class PowerOff(_Shape):
    """Switch the machine off."""

    verb: Literal["power-off"]


class SetZone(_Shape):
    """Set the time zone, as Asia/Tokyo."""

    verb: Literal["set-zone"]
    zone: Zone


class SetClock(_Shape):
    """Set the clock; `at` in seconds since the epoch, never before this release was made."""

    verb: Literal["set-clock"]
    at: int = Field(ge=appliance.RELEASED, lt=_YEAR_2100)


class SetNetwork(_Shape):
    """How one network card gets its address: from the network's DHCP, or as it is said here."""

    verb: Literal["set-network"]
    interface: Interface
    dhcp: bool
    address: IPv4Interface | IPv6Interface | None = None
    gateway: IPv4Address | IPv6Address | None = None
    dns: tuple[IPv4Address | IPv6Address, ...] = Field((), max_length=3)

    @model_validator(mode="after")
    def _check(self) -> "SetNetwork":
        if self.dhcp:
            if self.address or self.gateway or self.dns:
                raise ValueError("either DHCP or an address")
        elif self.address is None or self.address.ip.is_unspecified or self.address.ip.is_multicast:
            raise ValueError("no address")
        elif self.gateway is not None and self.gateway not in self.address.network:
            raise ValueError("the gateway is elsewhere")
        return self


class Mount(_Shape):
    """Have a stick's partition mounted, to be read and nothing else."""

    verb: Literal["mount"]
    partition: Partition


class Unmount(_Shape):
    """Let it go, so that it can be taken out."""

    verb: Literal["unmount"]
    partition: Partition


class Install(_Shape):
    """Install a release from a stick, after the helper has verified it by the root that the machine trusts.

    `media`: one of the folders below which sticks appear, as root's settings name them. `below`: the way on from there
    to the bundle. `digest`: of its index, which the operator confirmed. `stale`: an operator takes it past its date.
    """

    verb: Literal["install"]
    media: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    below: tuple[Folder, ...] = Field((), max_length=4)
    digest: Digest
    stale: bool = False


class Switch(_Shape):
    """Let the box change to a release that the helper has installed; `digest` as for `Install`."""

    verb: Literal["switch"]
    digest: Digest


class Trust(_Shape):
    """Trust this publisher from now on, where the machine trusts none yet. `root`: its root metadata, as text."""

    verb: Literal["trust"]
    root: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ROOT)]


Request = Reboot | PowerOff | SetZone | SetClock | SetNetwork | Mount | Unmount | Install | Switch | Trust
VERBS: Final = (
    "reboot", "power-off", "set-zone", "set-clock", "set-network", "mount", "unmount", "install", "switch", "trust",
)  # fmt: skip
WORKERS: Final = frozenset({"install"})
"""What the worker may ask for, which takes bundles; everything else is web's."""
_ADAPTER: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])


def parsed(message: dict[str, Any]) -> Request:
    """The request that a message is. Raises HelperRefusedError, which quotes nothing of it."""
    if message.get("verb") not in VERBS:
        raise HelperRefusedError(reason="verb")
    try:
        return _ADAPTER.validate_json(json.dumps(message))
    except ValidationError as error:
        raise HelperRefusedError(reason="shape") from error
