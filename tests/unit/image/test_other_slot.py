"""What the publisher gets of a build, and the bundle that the command line makes of it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import clock
from appliance.bundle.reading import Reading
from appliance.bundle.trust.state import TrustStore
from appliance.bundle.update import system
from appliance.bundle.update.system import System
from appliance.cli.main import main
from appliance.errors import ImageStepError
from appliance.image import other_slot, stick
from appliance.image.slot import Slot
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.two_slots import digest, fill, own

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
PACKAGES = "libstdc++6 12.2.0-14+deb12u1 amd64\nsystemd 252.39-1~deb12u1 amd64\nadduser 3.134 all\n"


def built(folder: Path, number: int = 2) -> Slot:
    """As a build leaves it."""
    fill(folder, number)
    (folder / system.MANIFEST).write_text(own(number).model_dump_json())
    (folder / "packages.txt").write_text(PACKAGES)
    for name in system.KERNELS.values():
        (folder / name).chmod(0o755)  # as binutils leaves them
    kernels = {of: folder / name for of, name in system.KERNELS.items()}
    return Slot(folder / system.ROOT, folder / system.TREE, digest(number), kernels)


def test_a_build_leaves_a_folder_with_all_of_a_slot_and_what_it_consists_of(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "system"
    manifest = other_slot.gather(work, built(work), "bookworm", out)
    assert {path.name for path in out.iterdir()} == {system.MANIFEST, system.SBOM, *system.FILES}
    assert system.parsed((out / system.MANIFEST).read_bytes()) == manifest
    assert (manifest.number, manifest.digest, manifest.python) == (2, digest(2), "3.11")
    assert {path.stat().st_mode & 0o777 for path in out.iterdir() if path.name in system.FILES} == {0o644}
    said = json.loads((out / system.SBOM).read_text())
    assert (said["bomFormat"], len(said["components"])) == ("CycloneDX", 3)
    assert (
        said["components"][0]["purl"] == "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm"
    )
    with pytest.raises(ImageStepError):
        other_slot.demand_new(out)


def test_what_a_system_says_of_itself_has_room_in_the_manifest_of_its_bundle() -> None:
    assert set(System.model_fields) < set(system.Manifest.model_fields)


def test_the_publisher_makes_a_bundle_of_it_as_of_everything_else(tmp_path: Path) -> None:
    terminal = PublishersTerminal(tmp_path)
    work, out = tmp_path / "work", tmp_path / "system"
    other_slot.gather(work, built(work), "bookworm", out)
    for name in system.KERNELS.values():
        (out / name).chmod(0o755)  # on the way, e.g. by a stick
    words = ["build", terminal.repository, out, "--kind", "system", "--name", "hako-system-generic", "--version", "2",
             "--licence", "GPL-2.0-or-later"]  # fmt: skip
    terminal.hako(*words)
    terminal.sign()
    terminal.hako("write", terminal.repository, tmp_path / "stick")
    said = terminal.hako("verify", tmp_path / "stick", "--root", terminal.root)
    assert "system  hako-system-generic 2" in said
    (out / system.ROOT).write_bytes(b"another system")
    ran = CliRunner().invoke(main, ["bundle", *map(str, words)])
    assert ran.exit_code == 1
    assert "HK-BND-" in ran.output


@pytest.mark.skipif(shutil.which("mcopy") is None or shutil.which("mkfs.vfat", path=_PATH) is None, reason="no tools")
def test_the_stick_of_a_boot_test_is_one_that_a_box_believes(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "system"
    other_slot.gather(work, built(work), "bookworm", out)
    root, image = stick.write(out, "system", "2", 2, tmp_path / "stick")
    assert image.stat().st_size > 60 << 20
    store = TrustStore(tmp_path / "memory", bytes(32))
    with Reading(tmp_path / "stick" / "content", root, store, at_least=0, clock=clock.now()) as reading:
        (offer,) = reading.offers
    assert (offer.index.kind, offer.index.counter) == ("system", 2)
