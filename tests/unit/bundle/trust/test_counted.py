"""A memory that is mirrored in a security chip: swtpm is one, spoken to by the same tools as a real one."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bundle.trust.counted import FILE, Count, CountedStore, Counter
from appliance.bundle.trust.state import TrustState
from appliance.errors import TrustDamagedError
from appliance.machine.tpm import TpmCounter, TpmError

KEY = bytes(range(32))


class Paper:
    """A counter that a test may break."""

    def __init__(self) -> None:
        self.stands: int | None = None
        self.is_silent = self.is_deaf = False

    def value(self) -> int | None:
        if self.is_silent:
            raise TpmError("tpm2_nvread")
        return self.stands

    def make(self) -> int:
        self.stands = 42
        return self.stands

    def increase(self) -> None:
        if self.is_deaf or self.stands is None:
            raise TpmError("tpm2_nvincrement")
        self.stands += 1


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[TpmCounter]:
    if not (shutil.which("swtpm") and shutil.which("tpm2_nvread")):
        pytest.skip("this machine has no swtpm and tpm2-tools")
    (tmp_path / "chip").mkdir()
    place = tmp_path / "tpm"
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={tmp_path / 'chip'}", "--flags", "startup-clear",
         "--server", f"type=unixio,path={place}", "--ctrl", f"type=unixio,path={place}.ctrl"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while not (place.exists() and Path(f"{place}.ctrl").exists()):
        assert time.monotonic() < end
        time.sleep(0.02)
    yield TpmCounter(f"swtpm:path={place}")
    process.kill()
    process.wait()


def copied(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.parent / name))


def put_back(copy: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def store(folder: Path, counter: Counter, publisher: str = "first") -> CountedStore:
    return CountedStore(folder / publisher, KEY, Count(folder, KEY, counter))


def test_a_disk_that_was_put_back_is_told_by_the_chip(chip: TpmCounter, tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    assert store(folder, chip).load() == TrustState()
    state = store(folder, chip).save(TrustState(counter=1))
    older = copied(folder, "older")
    store(folder, chip).save(state)
    assert store(folder, chip).load().serial == 2
    put_back(older, folder)
    with pytest.raises(TrustDamagedError):
        store(folder, chip).load()
    shutil.rmtree(folder)  # as if the machine had never learned anything
    with pytest.raises(TrustDamagedError):
        store(folder, chip).load()
    chip.forget()
    assert store(folder, chip).load() == TrustState()


def test_another_machine_does_not_believe_the_disk(chip: TpmCounter, tmp_path: Path) -> None:
    store(tmp_path / "memory", Paper()).save(TrustState(counter=1))
    with pytest.raises(TrustDamagedError):
        store(tmp_path / "memory", chip).load()


def test_the_chip_counts_on_from_what_it_has_counted_before(chip: TpmCounter) -> None:
    assert chip.value() is None
    first = chip.make()
    chip.increase()
    assert chip.value() == first + 1
    chip.forget()
    chip.forget()
    assert chip.value() is None
    assert chip.make() > first + 1


def test_a_power_cut_between_disk_and_chip_is_caught_up_with(tmp_path: Path) -> None:
    paper, folder = Paper(), tmp_path / "memory"
    state = store(folder, paper).save(TrustState(counter=1))
    older = copied(folder, "older")
    paper.is_deaf = True
    with pytest.raises(TrustDamagedError):
        store(folder, paper).save(state)
    paper.is_deaf = False
    assert store(folder, paper).load().serial == 2
    put_back(older, folder)
    with pytest.raises(TrustDamagedError):  # by now the chip has counted the one that was cut
        store(folder, paper).load()


def test_a_silent_chip_is_not_taken_for_none(tmp_path: Path) -> None:
    paper = Paper()
    store(tmp_path / "memory", paper).save(TrustState(counter=1))
    paper.is_silent = True
    with pytest.raises(TrustDamagedError):
        store(tmp_path / "memory", paper).load()


def test_changes_of_every_publisher_are_counted_together(tmp_path: Path) -> None:
    paper, folder = Paper(), tmp_path / "memory"
    store(folder, paper).save(TrustState(counter=1))
    older = copied(folder, "older")
    assert store(folder, paper, "second").load() == TrustState()
    store(folder, paper, "second").save(TrustState(counter=5))
    assert store(folder, paper).load().counter == 1
    put_back(older, folder)
    with pytest.raises(TrustDamagedError):
        store(folder, paper, "second").load()


def test_the_count_can_not_be_changed(tmp_path: Path) -> None:
    store(tmp_path / "memory", Paper()).save(TrustState(counter=1))
    file = tmp_path / "memory" / FILE
    for before, after in ((b"42, 1", b"99, 1"), (b"42, 1", b"42, 7"), (b"{", b"[")):
        sound = file.read_bytes()
        assert before in sound
        file.write_bytes(sound.replace(before, after, 1))
        with pytest.raises(TrustDamagedError):
            store(tmp_path / "memory", Paper()).load()
        file.write_bytes(sound)


def test_a_chip_that_is_far_behind_is_another_one(tmp_path: Path) -> None:
    paper, folder = Paper(), tmp_path / "memory"
    state = TrustState()
    for _save in range(6):
        state = store(folder, paper).save(state)
    assert paper.stands is not None
    paper.stands -= 5
    with pytest.raises(TrustDamagedError):
        store(folder, paper).load()


def test_tools_that_are_not_there_are_a_silent_chip() -> None:
    with pytest.raises(TpmError):
        TpmCounter("device:/nonexistent").value()
