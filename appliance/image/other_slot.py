"""What goes into a bundle of kind `system`: the files of a slot as they were built, a manifest, a list of packages."""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from appliance.bundle.update import system
from appliance.bundle.update.system import Content, Manifest, System
from appliance.errors import ImageStepError
from appliance.image import tools
from appliance.image.slot import Slot


def gather(work: Path, filled: Slot, suite: str, out: Path) -> Manifest:
    """Fill the new folder `out` for `hako bundle build --kind system`; the slot's files are moved there from `work`.

    Raises:
        ImageStepError: as `demand_new`.
    """
    demand_new(out)
    out.mkdir(parents=True, exist_ok=True)
    sources = {system.ROOT: filled.system, system.TREE: filled.verity}
    sources |= {system.KERNELS[slot]: kernel for slot, kernel in filled.kernels.items()}
    for name, source in sources.items():
        shutil.move(source, out / name)
        (out / name).chmod(0o644)
    said = System.model_validate_json((work / system.MANIFEST).read_bytes())
    files = {name: Content(size=(out / name).stat().st_size, sha256=tools.sha256(out / name)) for name in sources}
    manifest = Manifest(**said.model_dump(), digest=filled.digest, files=files)
    packages = (work / "packages.txt").read_text("utf-8")
    (out / system.SBOM).write_text(json.dumps(parts(manifest, packages, suite), indent=1) + "\n", "utf-8")
    (out / system.MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
    return manifest


def demand_new(out: Path) -> None:
    """Raises ImageStepError: something is in the folder, and a bundle would be made of it, too."""
    if out.exists() and any(out.iterdir()):
        raise ImageStepError(f"{out} isn't empty", step="system")


def parts(manifest: Manifest, packages: str, suite: str) -> dict[str, Any]:
    """CycloneDX: Debian's packages, as dpkg names them (`name version architecture`, one a line)."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "operating-system", "name": "hako-system", "version": f"{manifest.number}"},
            "properties": [{"name": "hako:profile", "value": manifest.profile}],
        },
        "components": [
            {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro={suite}",
            }
            for name, version, architecture in (line.split() for line in packages.splitlines())
        ],
    }
