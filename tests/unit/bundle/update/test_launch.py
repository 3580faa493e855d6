"""The launcher with releases that work, crash, hang, fail their check, wait for an unlock, and never end."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bundle.update import launch, switch
from appliance.bundle.update.state import BOOTS, Phase
from tests.simulators.tiny_releases import TinyBox

OVER = (Phase.COMMITTED, Phase.ROLLED_BACK)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TinyBox]:
    made = TinyBox(tmp_path / "box")
    yield made
    made.stop()


def boots(box: TinyBox, *names: str) -> None:
    """Wait until these have been started, the last of them just now."""
    end = time.monotonic() + 20
    while box.boots != list(names):
        assert time.monotonic() < end, box.boots
        time.sleep(0.02)


def test_a_healthy_release_is_kept_and_its_migration_with_it(box: TinyBox) -> None:
    new = box.make("new", counter=2, schema=6)
    box.launch()
    boots(box, "old")
    box.want(new)
    assert box.settle(*OVER) is Phase.COMMITTED
    assert (box.boots, box.places.current) == (["old", "new"], "new")
    assert box.database == {"schema": 6, "by": "new", "kept": True}
    box.stop()
    assert box.processes() == []


@pytest.mark.parametrize(
    ("serve", "check", "reason"),
    [
        ("crash", 0, "boots"),
        ("ok", "answer", "check-answer"),
        ("ok", "hang", "check-timeout"),
        ("ok", 3, "no-answer"),
        ("ok", 9, "check-9"),
    ],
)
def test_a_broken_release_is_taken_back_with_its_reason(
    box: TinyBox, serve: str, check: int | str, reason: str
) -> None:
    box.want(box.make("new", counter=2, serve=serve, check=check, schema=6))
    box.launch(check=0.5 if check == "hang" else 30, answer=0.5 if check == 3 else 30)
    assert box.settle(*OVER) is Phase.ROLLED_BACK
    assert (box.places.read().reason, box.places.current) == (reason, "old")
    expected = ["new"] * (BOOTS if serve == "crash" else 1)
    boots(box, *expected, "old")
    assert box.database == {"schema": 5, "by": "old", "kept": True}


def test_a_release_that_is_never_well_twice_in_a_row_is_taken_back_in_time(box: TinyBox) -> None:
    box.want(box.make("new", counter=2, check="waver"))
    box.launch(trial=2.0)
    assert box.settle(*OVER) is Phase.ROLLED_BACK
    update = box.places.read()
    assert (update.reason, update.until, box.places.current) == (switch.TOO_LONG, 0.0, "old")
    assert update.times["probing"] + 2.0 <= update.times["rolling-back"] + 0.5


def test_a_release_that_does_not_end_is_ended_with_all_that_it_has_started(box: TinyBox) -> None:
    box.want(box.make("new", counter=2, serve="deaf", check="answer"))
    launcher = box.launch()
    assert box.settle(*OVER) is Phase.ROLLED_BACK
    boots(box, "new", "old")
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    assert len(children) == 1  # the old one


def test_a_sealed_box_waits_for_who_unlocks_it(box: TinyBox) -> None:
    box.want(box.make("new", counter=2, check=launch.SEALED))
    box.launch(answer=0.2)
    boots(box, "new")
    time.sleep(0.6)
    waiting = box.places.read()
    assert (waiting.phase, waiting.until) == (Phase.SWITCHED, 0.0)
    assert "sealed" in waiting.times
    own = box.places.folder("new") / "own.json"
    own.write_text(own.read_text().replace(f'"check": {launch.SEALED}', '"check": 0'))
    assert box.settle(*OVER) is Phase.COMMITTED


def test_power_cuts_during_the_trial_use_up_its_boots(box: TinyBox) -> None:
    box.want(box.make("new", counter=2, check=launch.SEALED, schema=6))
    for number in range(BOOTS):
        box.launch()
        boots(box, *["new"] * (number + 1))
        box.kill()
    box.launch()
    boots(box, *["new"] * BOOTS, "old")
    assert (box.places.read().phase, box.database["schema"]) == (Phase.ROLLED_BACK, 5)


def test_a_box_that_ends_by_itself_ends_the_launcher_with_its_status(box: TinyBox) -> None:
    box.make("bad", counter=2, serve="crash")
    box.places.point("current", "bad")
    assert box.launch().wait(20) == 7


def test_a_second_launcher_leaves_the_box_alone(box: TinyBox, capfd: pytest.CaptureFixture[str]) -> None:
    with (box.places.root / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert launch.main([str(box.data)]) == 1
    assert "runs here already" in capfd.readouterr().err
    assert box.boots == []


def test_only_who_was_not_launched_makes_way(box: TinyBox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not launch.is_to_make_way(box.data)
    box.want(box.make("new", counter=2))
    assert launch.is_to_make_way(box.data)
    monkeypatch.setenv(launch.RUNNING_RELEASE, "old")
    assert not launch.is_to_make_way(box.data)
    launch.hand_over(box.data, [])  # comes back, although releases are in use
    assert os.getpid()


def test_ctrl_c_ends_the_box(box: TinyBox) -> None:
    launcher = box.launch()
    boots(box, "old")
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 0
    assert box.processes() == []
