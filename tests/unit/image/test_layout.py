"""The disk: partitions follow each other, an image is the same twice, and a system that is too large is refused."""

import itertools
import shutil
from pathlib import Path

import pytest

from appliance.errors import ImageStepError
from appliance.image import boot_test, disk, layout, slot, tools
from appliance.image.layout import MIB
from appliance.image.slot import Slot

needs_tools = pytest.mark.skipif(
    any(
        shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") is None
        for tool in ("sfdisk", "mkfs.vfat", "mcopy", "faketime")
    ),
    reason="the tools of an image are not installed",
)


@pytest.mark.parametrize(("slot_mib", "esp_mib"), [(256, 128), (1024, 256), (6144, 256)])
def test_partitions_follow_each_other_and_both_slots_are_the_same(slot_mib: int, esp_mib: int) -> None:
    parts = layout.plan(slot_mib, esp_mib)
    for before, after in itertools.pairwise(parts):
        assert before.start + before.size == after.start
    sizes = {part.name: part.size for part in parts}
    assert sizes[layout.root("a")] == sizes[layout.root("b")] == slot_mib
    assert sizes[layout.verity("a")] == sizes[layout.verity("b")] >= slot_mib / 127
    assert [part.number for part in parts] == list(range(1, 7))
    assert (parts[-1].name, parts[-1].size) == (layout.FRESH, 0)


def test_the_kernel_is_told_its_slot_and_what_it_must_be() -> None:
    words = slot.command_line("b", "ab" * 32, ("more",)).split()
    assert {"hako.slot=b", f"hako.hash={'ab' * 32}", "panic=10", "lockdown=integrity", "more"} <= set(words)


def test_the_copy_of_a_system_comes_behind_it() -> None:
    assert 'IMAGE_VERSION="7.1.2"\n' in slot.release("a", 7, "1.2")
    assert 'IMAGE_VERSION="7.1.2~spare"\n' in slot.release("b", 7, "1.2")


def filled(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int = 3 * MIB) -> Slot:
    for name, content in (
        ("loader", b"loader"),
        ("system", bytes(size - 1) + b"x"),
        ("tree", b"tree"),
        ("kernel", b"k" * 5000),
    ):
        (folder / name).write_bytes(content)
    monkeypatch.setattr(slot, "LOADER", folder / "loader")
    kernel = folder / "kernel"
    return Slot(folder / "system", folder / "tree", "00", {"a": kernel, "b": kernel})


@needs_tools
def test_the_same_parts_make_the_same_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, content = layout.plan(8, 40), filled(tmp_path, monkeypatch)
    images = [tmp_path / "one.img", tmp_path / "two.img"]
    for image in images:
        disk.write(parts, content, image)
    assert tools.sha256(images[0]) == tools.sha256(images[1])
    said = tools.run("look", ["sfdisk", "--dump", images[0]])
    assert [word for word in ("hako-esp", "hako-root-a", "hako-verity-a", "hako-root-b") if word in said] == [
        "hako-esp", "hako-root-a", "hako-verity-a",
    ]  # fmt: skip
    assert boot_test.sizes(images[0]) == (8, 40)
    listed = tools.run("look", ["mdir", "-b", "-/", "-i", f"{images[0]}@@1M", "::"])
    assert f"::/EFI/Linux/hako-a+{layout.TRIES}.efi" in listed.splitlines()
    with images[0].open("rb") as image:
        image.seek(parts[1].start * MIB + 3 * MIB - 1)
        assert image.read(1) == b"x"
    assert disk.taken(images[0]) < images[0].stat().st_size / 2
    assert not list(tmp_path.glob("*.new")) + list(tmp_path.glob("*.esp"))


@needs_tools
def test_a_system_larger_than_its_slot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageStepError) as caught:
        disk.write(layout.plan(2, 40), filled(tmp_path, monkeypatch), tmp_path / "one.img")
    assert caught.value.params["step"] == "slot size"
    assert not (tmp_path / "one.img").exists()


def test_a_tool_that_fails_is_named_with_what_it_said() -> None:
    with pytest.raises(ImageStepError) as caught:
        tools.run("trying", ["sh", "-c", "echo no such luck >&2; exit 3"])
    assert caught.value.params["step"] == "trying"
    assert "no such luck" in str(caught.value.detail)
