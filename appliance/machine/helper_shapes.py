"""What the helper can be asked for: a closed list, each in one strict shape. Nothing here touches the machine."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from appliance.errors import HelperRefusedError
from appliance.machine import machine_shapes
from appliance.machine.machine_shapes import MachineRequest, Shape

Partition = Annotated[str, StringConstraints(pattern=r"^sd[a-z]{1,2}([1-9][0-9]?)?$")]
"""As the kernel names it below /dev."""
Folder = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._ -]{0,100}$")]
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


class Install(Shape):
    """Install a release from a stick, after the helper has verified it by the root that the machine trusts.

    `below`: folders on the stick that lead to the bundle. `digest`: of its index, which the operator confirmed.
    """

    verb: Literal["install"]
    partition: Partition
    below: tuple[Folder, ...] = Field((), max_length=3)
    digest: Digest


class Restart(Shape):
    """Have the box restarted into a release that the helper has installed; `digest` as for `Install`."""

    verb: Literal["restart"]
    digest: Digest


Request = Reboot | PowerOff | Mount | Unmount | Install | Restart | MachineRequest
VERBS: Final = ("reboot", "power-off", "mount", "unmount", "install", "restart", *machine_shapes.VERBS)
_ADAPTER: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])


def parsed(message: dict[str, Any]) -> Request:
    """The request that a message is. Raises HelperRefusedError, which quotes nothing of it."""
    if message.get("verb") not in VERBS:
        raise HelperRefusedError(reason="verb")
    try:
        return _ADAPTER.validate_json(json.dumps(message))
    except ValidationError as error:
        raise HelperRefusedError(reason="shape") from error
