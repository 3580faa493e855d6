"""The root file system: Debian by mmdebstrap, and what `customise` does inside of it, as one tar."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic

from appliance.image import profiles, slot, tools
from appliance.image.profiles import Container, Kind

SUITE: Final = "bookworm"
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")


@dataclass(frozen=True)
class Inputs(Generic[Kind]):
    """All that an image is made of. Paths are whole ones."""

    profile: Kind
    sources: Path
    """The builder's package sources, in either of apt's forms."""
    wheels: Path
    """The wheelhouse of the profile's lock, and the box's own wheel."""
    lock: Path
    models: Path
    """Built starter models."""
    number: int = slot.NUMBER
    """Of the system."""
    firmware: Path = profiles.FIRMWARE
    systemd: Path = profiles.FIRMWARE.parent / "systemd"


def command(inputs: Inputs[Kind], plan: Path, debs: Path, out: Path) -> list[str]:
    """Mmdebstrap's words. `debs` keeps packages from one build to the next; apt looks at their digests again."""
    archives = "/var/cache/apt/archives"
    python = f"{sys.executable} -I -m appliance.image.customise {plan}"
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        "--quiet",
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        f"--include={','.join(profiles.packages(inputs.profile, inputs.firmware))}",
        f'--setup-hook=mkdir -p "$1"{archives}',
        f"--setup-hook=sync-in {debs} {archives}",
        f"--customize-hook=sync-out {archives} {debs}",
        f'--customize-hook={python} "$1"',
        SUITE,
        str(out),
        str(inputs.sources),
    ]


def build(inputs: Inputs[Kind], work: Path, debs: Path) -> Path:
    """The tar, `root.tar`; beside it `packages.txt` and, of a machine, `vmlinuz`, `initrd` and `system.json`.

    Raises:
        ImageStepError: a tool is missing or has failed.
        ProfileError: a list of packages can't be used.
    """
    out = work / "root.tar"
    plan = work / "plan.json"
    is_container = isinstance(inputs.profile, Container)
    plan.write_text(
        json.dumps(
            {
                "out": str(work),
                "is_container": is_container,
                "overlay": str(inputs.firmware / ("container" if is_container else "rootfs")),
                "systemd": str(inputs.systemd),
                "wheels": str(inputs.wheels),
                "lock": str(inputs.lock),
                "models": str(inputs.models),
                "profile": inputs.profile.model_dump(),
                "number": inputs.number,
            }
        ),
        "utf-8",
    )
    debs.mkdir(parents=True, exist_ok=True)
    tools.run("root file system", command(inputs, plan, debs, out))
    return out
