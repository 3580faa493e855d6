"""Writing an image: only to a whole disk that nobody uses, and read back."""

from pathlib import Path

import pytest

from appliance.errors import TargetDiskError
from appliance.image import flash


def machine(folder: Path, *, sectors: int = 4096, mounted: str = "") -> tuple[Path, Path]:
    block = folder / "sys" / "class" / "block"
    (block / "sdz" / "sdz1").mkdir(parents=True)
    (block / "sdz" / "size").write_text(f"{sectors}\n")
    (block / "sdz" / "sdz1" / "partition").write_text("1\n")
    (block / "sdz1").symlink_to(block / "sdz" / "sdz1")
    mounts = folder / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\n{mounted}")
    return folder / "sys", mounts


def test_a_whole_disk_that_nobody_uses_is_taken(tmp_path: Path) -> None:
    sys, mounts = machine(tmp_path)
    flash.check(Path("/dev/sdz"), 4096 * 512, sys, mounts)


@pytest.mark.parametrize(
    ("name", "size", "mounted", "reason"),
    [
        ("nothing", 512, "", "no disk"),
        ("sdz1", 512, "", "partition"),
        ("sdz", 4096 * 512 + 1, "", "too small"),
        ("sdz", 512, "/dev/sdz1 /data ext4 rw 0 0\n", "in use"),
    ],
)
def test_anything_else_is_refused(name: str, size: int, mounted: str, reason: str, tmp_path: Path) -> None:
    sys, mounts = machine(tmp_path, mounted=mounted)
    with pytest.raises(TargetDiskError) as caught:
        flash.check(Path("/dev") / name, size, sys, mounts)
    assert caught.value.params["reason"] == reason


def test_a_disk_below_another_mapping_is_in_use(tmp_path: Path) -> None:
    sys, mounts = machine(tmp_path)
    (sys / "class" / "block" / "sdz1" / "holders" / "dm-0").mkdir(parents=True)
    with pytest.raises(TargetDiskError):
        flash.check(Path("/dev/sdz"), 512, sys, mounts)


def test_what_is_written_is_what_is_read_back(tmp_path: Path) -> None:
    image, disk = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(bytes(range(256)) * 40_000)
    disk.write_bytes(bytes(12_000_000))
    wanted = flash.write(image, disk)
    assert flash.digest(disk, image.stat().st_size) == wanted
    assert disk.stat().st_size == 12_000_000
    with disk.open("r+b") as changed:
        changed.seek(5_000_000)
        changed.write(b"\xff\xfe")
    assert flash.digest(disk, image.stat().st_size) != wanted
