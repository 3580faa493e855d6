"""Factory reset: keys first, interrupted anywhere it goes on, and what came from publishers stays."""

import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.errors import ImageStepError
from appliance.image.box import disks, erase
from appliance.machine import erasing


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """As a box that has worked."""
    folder = tmp_path / "data"
    keys = ("vault.json", "dev-passphrase")
    contents = ("hako.db", "hako.db-wal", "blobs/ab/cd", "shared/x.json", "log/hako.log", "audit/checkpoints/1")
    others = ("hako.toml", "models/m/model.gguf", "trust/mark", "model-aliases.json")
    for name in (*keys, *contents, *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    (folder / "link").symlink_to(tmp_path)
    (tmp_path / "outside").write_text("not the box's")
    return folder


def left(data: Path) -> list[str]:
    return sorted(str(path.relative_to(data)) for path in data.rglob("*"))


STAYED = ["hako.toml", "log", "models", "models/m", "models/m/model.gguf", "shared"]


def test_everything_goes_but_settings_and_what_came_from_publishers(data: Path) -> None:
    erasing.erase(data)
    assert left(data) == STAYED
    assert (data.parent / "outside").read_text() == "not the box's"
    erasing.erase(data)
    assert left(data) == STAYED


def test_a_key_is_written_over_before_its_file_goes(data: Path) -> None:
    held = (data / "vault.json").open("rb")  # another name of the same place on the disk
    erasing.destroy_keys(data)
    with held:
        after = held.read()
    assert (len(after), b"content" in after) == (len("content of vault.json"), False)
    assert not {"vault.json", "dev-passphrase"} & set(left(data))


@pytest.mark.parametrize("broken_at", range(1, 8))
def test_cut_off_anywhere_the_wish_is_there_until_all_is_done(
    data: Path, broken_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[Path] = []
    remove = erasing._remove

    def cut(path: Path) -> None:
        gone.append(path)
        if len(gone) == broken_at:
            raise OSError("no power")
        remove(path)

    monkeypatch.setattr(erasing, "_remove", cut)
    with pytest.raises(OSError, match="no power"):
        erasing.erase(data)
    assert erasing.is_wished(data)
    assert not (data / "vault.json").exists()
    monkeypatch.undo()
    erasing.erase(data)
    assert left(data) == STAYED


def test_a_wish_that_nobody_took_up_is_forgotten(data: Path) -> None:
    erasing.wish(data)
    erasing.forget(data)
    assert not erasing.is_wished(data)
    assert (data / "vault.json").read_text() == "content of vault.json"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    words: list[list[str]] = []
    monkeypatch.setattr(erase, "run", lambda *said, **_more: words.append([str(word) for word in said]) or "")
    return words


def test_on_a_server_the_box_stands_still_meanwhile_and_starts_anew(
    data: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_image() -> disks.Disk:
        raise ImageStepError(step="disk")

    monkeypatch.setattr(erase.disks, "started_from", no_image)
    monkeypatch.setattr(erase.sys, "argv", ["erase", str(data)])
    assert erase.main() == 0
    assert left(data) == STAYED
    assert [words[1] for words in ran] == ["stop", "--no-block"]
    assert ran[1][2] == "start"


def test_on_an_imaged_machine_the_partition_loses_its_name_before_its_keys(ran: list[list[str]]) -> None:
    part = disks.Partition(Path("/dev/vda6"), 6, 1000)
    erase.erase_disk(disks.Disk(Path("/dev/vda"), {"hako-data": part}))
    assert [words[0] for words in ran] == ["sfdisk", "cryptsetup"]
    assert ran[0][-3:] == ["/dev/vda", "6", "hako-data-new"]
    assert ran[1][-1] == "/dev/vda6"
    ran.clear()
    erase.erase_disk(disks.Disk(Path("/dev/vda"), {"hako-data-new": part}))  # cut off after the first step
    assert [words[0] for words in ran] == ["sfdisk", "cryptsetup"]


@pytest.mark.skipif(shutil.which("cryptsetup") is None, reason="cryptsetup is not installed")
def test_no_key_opens_the_disk_afterwards(tmp_path: Path) -> None:
    device, key = tmp_path / "disk", tmp_path / "key"
    device.write_bytes(b"")
    subprocess.run(["truncate", "-s", "20M", str(device)], check=True)
    key.write_text("a passphrase")
    quick = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", str(key)]
    subprocess.run(["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *quick, str(device)], check=True)
    opens = ["cryptsetup", "open", "--test-passphrase", "--key-file", str(key), str(device)]
    assert subprocess.run(opens, capture_output=True, check=False).returncode == 0
    erase.destroy_slots(device)
    assert subprocess.run(opens, capture_output=True, check=False).returncode != 0
