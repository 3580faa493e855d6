"""Factory reset as root: the vault's keys, on an imaged machine the disk's as well, and then a first start.

`python -m appliance.image.box.erase DATA`, by `hako-erase.service`; goes on at the next start where it was interrupted.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from appliance.errors import ImageStepError
from appliance.image import layout
from appliance.image.box import disks
from appliance.image.box.disks import Disk, run
from appliance.machine import erasing

SEALED_PASSPHRASE: Final = Path("/etc/credstore.encrypted/hako-passphrase")
"""By the TPM, where somebody has put it there; it opens nothing any more."""


def main() -> int:
    """Everything of the box stands still meanwhile."""
    data = Path(sys.argv[1])
    run("systemctl", "stop", "hako.target", "hako-web.socket", "hako-helper.socket")
    erasing.destroy_keys(data)
    SEALED_PASSPHRASE.unlink(missing_ok=True)
    try:
        disk = disks.started_from()
    except ImageStepError:
        erasing.erase(data)
        run("systemctl", "--no-block", "start", "hako.target", "hako-web.socket", "hako-helper.socket")
        return 0
    erase_disk(disk)
    run("systemctl", "--no-block", "reboot")
    return 0


def erase_disk(disk: Disk) -> None:
    """Every way into the data partition. It loses its name first: whatever happens now, the next start makes it anew.

    Raises:
        ImageStepError: the disk refuses.
    """
    part = disk.partitions.get(layout.DATA) or disk.partitions[layout.FRESH]
    words = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--part-label")
    run(*words, disk.device, str(part.number), layout.FRESH)
    subprocess.run(["sync"], check=False)
    destroy_slots(part.device)


def destroy_slots(device: Path) -> None:
    """All of a LUKS device's key slots: TPM, passphrase and recovery key open it no more. Raises ImageStepError."""
    run("cryptsetup", "erase", "--batch-mode", device)


if __name__ == "__main__":
    sys.exit(main())
