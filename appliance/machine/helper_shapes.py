"""What the helper can be asked for: a closed list, each in one strict shape. Nothing here touches the machine."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from appliance.errors import HelperRefusedError
from appliance.machine import machine_shapes
from appliance.machine.machine_shapes import MachineRequest, Shape

LONGEST_ROOT: Final = 24_000
"""Characters of a root that fit into one message with room to spare; one of five keys has about 4,000."""

Partition = Annotated[str, StringConstraints(pattern=r"^sd[a-z]{1,2}([1-9][0-9]?)?$")]
"""As the kernel names it below /dev."""
Folder = Annotated[str, StringConstraints(pattern=r"^[^/\x00.][^/\x00]{0,254}$")]
"""One folder's name, as people give them to their sticks; never a hidden one, nor the one above."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Reboot(Shape):
    """Start the machine anew."""

    verb: Literal["reboot"]


class PowerOff(Shape):
    """Switch the machine off."""

    verb: Literal["power-off"]


class Mount(Shape):
    """Have a stick's partition mounted, to be read and nothing else."""

    verb: Literal["mount"]
    partition: Partition


class Unmount(Shape):
    """Let it go, so that it can be taken out."""

    verb: Literal["unmount"]
    partition: Partition


class FromStick(Shape):
    """Something to be taken from a stick, after the helper has verified it by the root that the machine trusts.

    `media`: one of the folders below which sticks appear, as root's settings name them. `below`: the way on from there
    to the bundle. `digest`: of its index, which the operator confirmed. `stale`: an operator takes it past its date.
    """

    media: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    below: tuple[Folder, ...] = Field((), max_length=4)
    digest: Digest
    stale: bool = False


class Install(FromStick):
    """Install a release."""

    verb: Literal["install"]


class TakeSystem(FromStick):
    """Bring a whole system to where the machine puts it into its other slot."""

    verb: Literal["take-system"]


class SystemBack(Shape):
    """Start the machine with the system in its other slot, and don't come back to this one by itself."""

    verb: Literal["system-back"]


class Switch(Shape):
    """Let the box change to a release that the helper has installed; `digest` as for `Install`."""

    verb: Literal["switch"]
    digest: Digest


class Trust(Shape):
    """Trust this publisher from now on, where the machine trusts none yet. `root`: its root metadata, as text."""

    verb: Literal["trust"]
    root: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ROOT)]


Request = Reboot | PowerOff | Mount | Unmount | Install | TakeSystem | SystemBack | Switch | Trust | MachineRequest
VERBS: Final = (
    "reboot", "power-off", "mount", "unmount", "install", "take-system", "system-back", "switch", "trust",
    *machine_shapes.VERBS,
)  # fmt: skip
WORKERS: Final = frozenset({"install", "take-system"})
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
