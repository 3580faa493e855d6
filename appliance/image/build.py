"""From the inputs to an image: root, slot, disk, with the figures of each step."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import ImageStepError
from appliance.image import disk, layout, other_slot, rootfs, slot, tools
from appliance.image.profiles import Profile
from appliance.image.rootfs import Inputs


@dataclass
class Figures:
    """Seconds of each step, and what came out."""

    seconds: dict[str, float] = field(default_factory=dict)
    size: int = 0
    taken: int = 0
    sha256: str = ""
    root_sha256: str = ""
    digest: str = ""
    packages: int = 0

    @contextmanager
    def step(self, name: str, tell: Callable[[str], None]) -> Iterator[None]:
        """Measure one step and tell it."""
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        tell(f"{name}: {self.seconds[name]} s")


def build(
    inputs: Inputs[Profile], out: Path, work: Path, debs: Path, tell: Callable[[str], None], system: Path | None = None
) -> Figures:
    """Make `out` (an image) and `out` with .json (its figures). `work` is emptied of what an earlier build left.

    `system`: a folder for what the slot consists of, for `hako bundle build --kind system`.

    Raises:
        ImageStepError: what it takes is missing, or a step has failed.
        ProfileError: the profile can't be used.
    """
    if missing := tools.missing():
        raise ImageStepError("on Debian: apt-get install " + " ".join(missing), step="tools")
    if system is not None:
        other_slot.demand_new(system)
    work.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    with figures.step("root file system", tell):
        tar = rootfs.build(inputs, work, debs)
    with figures.step("slot", tell):
        filled = slot.build(tar, work / "vmlinuz", work / "initrd", inputs.profile.kernel, work, inputs.number)
    with figures.step("disk", tell):
        disk.write(layout.plan(inputs.profile.slot_mib, inputs.profile.esp_mib), filled, out)
    with figures.step("digests", tell):
        figures.size, figures.taken = out.stat().st_size, disk.taken(out)
        figures.sha256, figures.root_sha256 = tools.sha256(out), tools.sha256(tar)
    figures.digest = filled.digest
    figures.packages = len((work / "packages.txt").read_text("utf-8").splitlines())
    if system is not None:
        other_slot.gather(work, filled, rootfs.SUITE, system)
    for name in ("root.tar", "root.squashfs", "root.verity", "hako-a.efi", "hako-b.efi"):
        (work / name).unlink(missing_ok=True)
    out.with_suffix(".json").write_text(json.dumps(vars(figures), indent=1) + "\n", "utf-8")
    return figures
