"""Images of the whole machine: making, trying and writing them."""

from appliance.errors.root import HakoError


class ImageStepError(HakoError):
    """A step of making an image has failed. Params: `step`."""

    code, status = "HK-IMG-001", 500


class ProfileError(HakoError):
    """A hardware profile can't be used. Params: `name`, `field`."""

    code, status = "HK-IMG-002", 422


class TargetDiskError(HakoError):
    """Nothing may be written there. Params: `name`, `reason`."""

    code, status = "HK-IMG-003", 409


class BootTestError(HakoError):
    """An image hasn't done in the emulator what it should. Params: `step`."""

    code, status = "HK-IMG-004", 500


class NotImagedError(HakoError):
    """This machine doesn't run the box's own image, so it has no other slot for a system."""

    code, status = "HK-IMG-005", 409


class OtherProfileError(HakoError):
    """A system is for another kind of machine. Params: `need`, and `here`."""

    code, status = "HK-IMG-006", 409


class SystemTooLargeError(HakoError):
    """A system doesn't fit a machine. Params: `what` (slot, tree, esp, kernels), `size` and `room` in bytes."""

    code, status = "HK-IMG-007", 409


class ServerUnfitError(HakoError):
    """A server lacks what an installation needs. Params: `need`, in a name that needs no translation."""

    code, status = "HK-IMG-010", 409


class WheelhouseError(HakoError):
    """A folder holds no release to install, or a file of it is damaged. Params: `name` of the file."""

    code, status = "HK-IMG-011", 422


class ServerStepError(HakoError):
    """A step of installing a server has failed. Params: `step`."""

    code, status = "HK-IMG-012", 500


class ContainerImageError(HakoError):
    """An image for containers couldn't be made. Params: `step`."""

    code, status = "HK-IMG-013", 500


class ContainerReleaseError(HakoError):
    """A box in a container is updated by a new image, so it takes no release of itself."""

    code, status = "HK-IMG-014", 409


class ContainerDataError(HakoError):
    """The folder of the data can't be used in a container. Params: `name` of the folder, `account` (a number)."""

    code, status = "HK-IMG-015", 409


class ContainerSettingsError(HakoError):
    """The settings aren't those of a box in a container. Params: `name` of the file."""

    code, status = "HK-IMG-016", 409


class ContainerTestError(HakoError):
    """An image for containers hasn't done what it should when it was tried. Params: `step`."""

    code, status = "HK-IMG-018", 500
