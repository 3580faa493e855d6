"""Another system comes into the other slot, is tried and kept or taken back, whatever interrupts it and wherever."""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from appliance import durable
from appliance.bundle.update import system
from appliance.bundle.update.system_state import Standing
from appliance.errors import DiskFullError, ImageStepError
from appliance.image import slot, tools
from appliance.image.box import exchange, slots, tend, trial
from appliance.image.box.trial import Pace
from tests.simulators.two_slots import ROOT_BYTES, Cut, Power, TwoSlots, kernel

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk below these tests is never cut off itself."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(durable, "sync", lambda _path: None)


@pytest.fixture
def machine(tmp_path: Path) -> TwoSlots:
    return TwoSlots(tmp_path)


def standing(machine: TwoSlots) -> Standing:
    found = machine.places.standing()
    assert found is not None
    return found


def kept_kernels(machine: TwoSlots) -> set[bytes]:
    return {path.read_bytes() for path in (machine.esp / "EFI" / "hako").iterdir()}


def test_a_system_that_is_good_is_kept_and_the_one_before_stays_in_the_other_slot(machine: TwoSlots) -> None:
    machine.order(2)
    assert machine.power() == 1
    waits = standing(machine)
    assert (waits.phase, waits.wanted and waits.wanted.number, waits.slot) == ("waiting", 2, "a")
    assert machine.power() == 2
    now = standing(machine)
    assert (now.phase, now.slot, now.running.number, now.other and now.other.number) == ("idle", "b", 2, 1)
    assert (now.ended and now.ended.kept, now.highest) == (True, 2)
    assert machine.entries() == ["hako-a+3.efi", "hako-b+3.efi"]
    assert kept_kernels(machine) == {kernel(2, "a"), kernel(2, "b")}
    assert not machine.places.staged.exists()


def test_a_system_that_panics_is_given_up_by_the_loader_and_the_slot_becomes_a_copy(machine: TwoSlots) -> None:
    machine.panics.add(2)
    machine.order(2)
    assert (machine.power(), machine.power()) == (1, 1)
    now = standing(machine)
    assert (now.phase, now.ended and (now.ended.kept, now.ended.reason), now.highest) == ("idle", (False, "boots"), 0)
    assert machine.number("b") == 1
    assert now.other
    assert now.other.number == 1


def test_a_system_that_is_unwell_goes_back_by_itself_and_says_why(machine: TwoSlots) -> None:
    machine.unwell.add(2)
    machine.order(2)
    machine.power()
    assert machine.power() == 1
    ended = standing(machine).ended
    assert ended is not None
    assert (ended.kept, ended.reason, ended.number) == (False, "check-answer", 2)
    assert (machine.number("b"), machine.entries()) == (1, ["hako-a+3.efi", "hako-b+3.efi"])


def test_an_operator_goes_back_and_either_slot_can_then_be_made_whole_again(machine: TwoSlots) -> None:
    machine.order(2)
    machine.power()
    machine.power()
    assert standing(machine).can_go_back
    machine.places.want_back()
    assert machine.power() == 1
    now = standing(machine)
    assert (now.ended and now.ended.reason, now.highest, now.alone) == ("operator", 2, False)
    assert (machine.number("a"), machine.number("b")) == (1, 1)
    assert kept_kernels(machine) == {kernel(1, "a"), kernel(1, "b")}
    machine.order(3)
    machine.power()
    assert machine.power() == 3


def test_an_operator_goes_back_during_the_trial(machine: TwoSlots) -> None:
    machine.order(2)
    machine.power()
    machine.places.want_back()
    assert machine.power() == 1
    ended = standing(machine).ended
    assert ended
    assert (ended.kept, ended.reason) == (False, "operator")


def test_a_wish_to_go_back_is_nothing_where_there_is_no_other_system(machine: TwoSlots) -> None:
    machine.places.want_back()
    assert machine.power() == 1
    assert machine.power() == 1
    assert standing(machine).ended is None


def test_a_new_system_that_is_damaged_later_leaves_the_one_before_with_two_slots(machine: TwoSlots) -> None:
    machine.order(2)
    machine.power()
    machine.power()
    machine.root("b").write_bytes(bytes(ROOT_BYTES))
    assert machine.power() == 1
    assert (machine.number("b"), standing(machine).alone) == (1, False)


def test_without_kernels_of_its_own_a_system_is_never_copied_behind_kernels_of_another(machine: TwoSlots) -> None:
    machine.order(2)
    machine.power()
    machine.power()
    for path in machine.places.before.iterdir():
        path.unlink()
    machine.root("b").write_bytes(bytes(ROOT_BYTES))
    assert machine.power() == 1
    assert (machine.number("b"), standing(machine).alone) == (0, True)


@pytest.mark.parametrize("name", [system.ROOT, system.TREE, *system.KERNELS.values(), system.MANIFEST])
def test_what_was_changed_after_root_has_verified_it_is_never_written(machine: TwoSlots, name: str) -> None:
    machine.order(2)
    path = machine.places.staged / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert (machine.power(), machine.power()) == (1, 1)
    assert machine.number("b") == 1
    ended = standing(machine).ended
    assert ended
    assert (ended.kept, ended.reason) == (False, "damaged")


def test_a_disk_that_does_not_keep_what_is_written_is_told_by_reading_it_back(
    machine: TwoSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = machine.verify

    def verify(root: Path, tree: Path, digest: str) -> None:
        root.write_bytes(b"?" + root.read_bytes()[1:])
        real(root, tree, digest)

    monkeypatch.setattr(machine, "verify", verify)
    machine.order(2)
    assert (machine.power(), machine.power()) == (1, 1)
    ended = standing(machine).ended
    assert ended
    assert ended.reason == "unwritable"
    assert machine.number("b") == 1


def test_nothing_is_written_while_the_slot_that_runs_could_not_be_started_again(machine: TwoSlots) -> None:
    machine.order(2)
    slots.strike(machine.esp, "a")
    with machine.ground() as ground:
        order = machine.places.order()
        assert order is not None
        with pytest.raises(ImageStepError):
            exchange.write(ground, order, machine.verify)
    assert machine.number("b") == 1


def lives(machine: TwoSlots) -> None:
    for _ in range(3):
        machine.power()


def cut_off(machine: TwoSlots, at: int, live: Callable[[], object]) -> Power:
    """One cut at this step of a life, and some starts after it."""
    with pytest.MonkeyPatch.context() as patch:
        power = Power(patch, at)
        with suppress(Cut):
            live()
    if power.is_gone:
        machine.scramble()
        for _ in range(4):
            machine.power()
    return power


LIVES = {"good": (set(), set(), 2), "panics": ({2}, set(), 1), "unwell": (set(), {2}, 1)}


@pytest.mark.parametrize("life", sorted(LIVES))
def test_a_power_cut_at_any_step_ends_in_the_old_system_or_the_new_one(life: str, tmp_path: Path) -> None:
    """One cut in a whole life, at each of its steps; every start after it finds something to start."""
    panics, unwell, ends = LIVES[life]
    for at in itertools.count(1):
        machine = TwoSlots(tmp_path / f"{at}")
        machine.panics, machine.unwell = panics, unwell
        machine.order(2)
        power = cut_off(machine, at, partial(lives, machine))
        if not power.is_gone:
            break
        now = standing(machine)
        assert (now.running.number, now.phase) == (ends, "idle"), at
        assert machine.entries() == ["hako-a+3.efi", "hako-b+3.efi"], at
        assert kept_kernels(machine) == {kernel(ends, "a"), kernel(ends, "b")}, at
        assert now.ended is not None, at
        assert now.ended.kept is (ends == 2), at
        assert (now.alone, machine.places.staged.exists(), machine.places.order()) == (False, False, None)
    assert power.steps > 40


class Clock:
    """Looks that end one after the other, on a clock that only waiting moves."""

    def __init__(self, *ends: tuple[int, str]) -> None:
        self.ends, self.now, self.told = list(ends), 0.0, []  # type: ignore[var-annotated]

    def judge(self, pace: Pace | None = None, back_at: int = 0) -> str:
        def tell(reason: str) -> bool:
            self.told.append(reason)
            return len(self.told) == back_at

        def wait(seconds: float) -> None:
            self.now += seconds

        return trial.judge(lambda: self.ends.pop(0) if len(self.ends) > 1 else self.ends[0], wait, tell, pace,
                           lambda: self.now)  # fmt: skip


PASSED, FAILED, NOT_YET, SEALED = (0, ""), (1, "answer"), (3, ""), (4, "")


def test_a_trial_waits_for_somebody_to_open_the_box_and_then_for_two_good_looks() -> None:
    clock = Clock(*[SEALED] * 900, PASSED, SEALED, PASSED, PASSED)
    assert clock.judge() == ""
    assert (set(clock.told), clock.ends) == ({"closed", ""}, [PASSED])


def test_looks_that_fail_are_borne_for_a_while_and_then_named() -> None:
    assert Clock(FAILED, FAILED, FAILED, FAILED, PASSED).judge() == ""
    clock = Clock(SEALED, FAILED)
    assert clock.judge() == "check-answer"
    assert clock.now >= Pace().patience


def test_a_box_that_never_answers_is_given_up_and_an_operator_is_heard() -> None:
    clock = Clock(NOT_YET)
    assert clock.judge() == trial.NO_ANSWER
    assert clock.now >= Pace().answer
    assert Clock(SEALED).judge(back_at=3) == "operator"


def test_after_a_restart_of_the_service_nothing_has_to_be_told_again(machine: TwoSlots) -> None:
    """The helper restarts it with each order."""
    machine.order(2)
    tend.tend(machine)
    tend.tend(machine)
    assert (machine.said[-1], standing(machine).phase) == (
        "sound; system 2 waits in the other one for the next start", "waiting",
    )  # fmt: skip
    assert machine.power() == 2


def test_an_operator_drops_a_system_that_waits_and_the_other_slot_becomes_a_copy_again(machine: TwoSlots) -> None:
    machine.order(2)
    machine.power()
    machine.places.want_back()
    tend.tend(machine)
    now = standing(machine)
    assert (now.phase, now.wanted, now.ended and (now.ended.kept, now.ended.reason)) == (
        "idle",
        None,
        (False, "dropped"),
    )
    assert (machine.number("b"), machine.entries()) == (1, ["hako-a+3.efi", "hako-b+3.efi"])
    assert (machine.places.staged.exists(), machine.power()) == (False, 1)
    machine.order(2)
    machine.power()
    assert machine.power() == 2


def test_a_power_cut_while_a_system_is_dropped_ends_without_it(tmp_path: Path) -> None:
    """Where the word was heard already, and the system still starts, it is on trial and can be given up there."""
    for at in itertools.count(1):
        machine = TwoSlots(tmp_path / f"{at}")
        machine.order(2)
        machine.power()
        machine.places.want_back()
        power = cut_off(machine, at, partial(tend.tend, machine))
        if not power.is_gone:
            break
        now = standing(machine)
        assert now.phase == "idle", at
        assert machine.entries() == ["hako-a+3.efi", "hako-b+3.efi"], at
        assert kept_kernels(machine) == {kernel(now.running.number, of) for of in "ab"}, at
        assert now.ended is not None, at
        assert now.ended.kept is (now.running.number == 2), at
    assert power.steps > 10


def test_what_is_being_written_is_not_dropped(machine: TwoSlots) -> None:
    machine.order(2)
    machine.places.want_back()
    tend.tend(machine)
    assert standing(machine).phase == "waiting"


def test_a_full_disk_keeps_no_slot_from_getting_its_tries_back(
    machine: TwoSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object, **_more: object) -> None:
        raise DiskFullError

    monkeypatch.setattr(durable, "replace", full)
    assert machine.power() == 1
    assert machine.entries() == ["hako-a+3.efi", "hako-b+3.efi"]


def test_a_full_disk_keeps_no_system_that_is_unwell(machine: TwoSlots, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object, **_more: object) -> None:
        raise DiskFullError

    machine.unwell.add(2)
    machine.order(2)
    machine.power()
    monkeypatch.setattr(durable, "replace", full)
    assert machine.power() == 1
    assert machine.entries() == ["hako-a+3.efi", "hako-b+3.efi"]


@pytest.mark.skipif(shutil.which("veritysetup", path=_PATH) is None, reason="veritysetup is not installed")
def test_the_real_tree_tells_a_changed_byte_on_a_larger_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", _PATH)
    root, tree = tmp_path / "root", tmp_path / "tree"
    root.write_bytes(bytes(range(256)) * 256)
    said = tools.run("verity", ["veritysetup", "format", f"--salt={'68' * 32}", root, tree])
    found = re.search(r"Root hash:\s+([0-9a-f]{64})", said)
    assert found
    for path in (root, tree):
        path.write_bytes(path.read_bytes() + bytes(1 << 16))
    exchange.verify(root, tree, found[1])
    root.write_bytes(b"!" + root.read_bytes()[1:])
    with pytest.raises(ImageStepError):
        exchange.verify(root, tree, found[1])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    ("newer", "older"), [(("b", 2), ("a", 1)), (("b", 10), ("a", 9)), (("a", 2), ("b", 2)), (("b", 3), ("a", 2))]
)
def test_the_loader_sorts_by_number_and_of_two_the_same_takes_the_first(
    newer: tuple[str, int], older: tuple[str, int]
) -> None:
    """By the same rule as systemd-boot's."""
    words = [re.findall(r'IMAGE_VERSION="(.+)"', slot.release(of, number))[0] for of, number in (newer, older)]
    said = subprocess.run(["systemd-analyze", "compare-versions", words[0], "gt", words[1]], check=False)
    assert said.returncode == 0, words
