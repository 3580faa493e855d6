"""The launcher's steps as units take them: which release starts, how long a crash waits, and who restarts the box."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import modes
from appliance.bundle.update import units
from appliance.bundle.update.launch import RUNNING_RELEASE, Pace
from appliance.bundle.update.state import MANIFEST, STATE, Phase, Places, Release, Update

FAST = Pace(look=0.01, between_checks=0.0, check=20.0, answer=20.0, passes=1, fails=1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "releases" / STATE).mkdir(parents=True)
    (tmp_path / "data").mkdir()
    return Places(tmp_path / "releases", tmp_path / "data")


def install(places: Places, name: str, script: str) -> None:
    """A release whose interpreter is a shell script."""
    python = places.python(name)
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (places.folder(name) / MANIFEST).write_text("{}")


def on_trial(places: Places, name: str, phase: Phase = Phase.SWITCHED) -> None:
    places.point("current", name)
    places.write(Update(phase, Release(name), boots_left=2))


@pytest.mark.parametrize(("status", "phase", "restarts"), [(0, Phase.COMMITTED, 0), (1, Phase.ROLLING_BACK, 1)])
def test_a_release_on_trial_is_kept_or_given_up_by_its_own_check(
    places: Places, status: int, phase: Phase, restarts: int
) -> None:
    install(places, "new", f"exit {status}")
    on_trial(places, "new")
    asked: list[None] = []
    units.watch(places, lambda: asked.append(None), FAST)
    assert (places.read().phase, len(asked)) == (phase, restarts)


def test_an_operators_word_restarts_the_box_and_resting_does_not(places: Places) -> None:
    asked: list[None] = []
    units.watch(places, lambda: asked.append(None), FAST)
    assert asked == []
    places.write(Update(Phase.WANTED, Release("new")))
    units.watch(places, lambda: asked.append(None), FAST)
    assert asked == [None]


def test_resume_switches_and_goes_back_when_the_boots_are_used_up(places: Places) -> None:
    install(places, "new", "exit 0")
    places.agree("new")
    places.write(Update(Phase.WANTED, Release("new")))
    for phase, current in [(Phase.SWITCHED, "new")] * 3 + [(Phase.ROLLED_BACK, "")]:
        units.resume(places)
        assert (places.read().phase, places.current) == (phase, current)


def test_what_the_box_writes_lies_apart_from_roots_releases(places: Places) -> None:
    places.write(Update(Phase.WANTED, Release("new")))
    places.note_base(Release(version="1"))
    places.note_seen({"number": 1})
    assert (places.root / "checks.json").stat().st_mode & 0o777 == 0o644, "root looks, and web shows it"
    places.forget_seen()
    units.resume(places)  # no such release is whole: it goes back at once
    assert {path.name for path in places.root.iterdir()} == {STATE}
    assert places.read().phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "state/../../evil", ".."])
def test_a_state_that_names_a_folder_elsewhere_leads_nowhere(places: Places, name: str) -> None:
    evil = places.root.parent / "evil"
    evil.mkdir()
    (evil / MANIFEST).write_text("{}")
    assert not places.is_whole(name)
    on_trial(places, name)
    assert places.current == ""
    units.resume(places)
    assert places.read().phase is Phase.ROLLED_BACK


def started(places: Places, *arguments: str, **more: str) -> list[str]:
    words = [sys.executable, "-m", "appliance.bundle.update.units", *arguments]
    (places.data / "hako.toml").write_text(f'releases_dir = "{places.root}"\n')
    environment = {**os.environ, "PYTHONPATH": "/elsewhere", **more}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.split("\n")


def test_a_process_starts_from_the_release_that_is_current(places: Places) -> None:
    install(places, "new", f'echo "$@"; echo "${RUNNING_RELEASE} $PYTHONPATH $PYTHONSAFEPATH"')
    places.point("current", "new")
    said = started(places, "start", str(places.data), "keys")
    assert said[:2] == [f"-m appliance.processes keys --data-dir {places.data}", "new  1"]
    said = started(places, "command", str(places.data), "doctor")
    assert said[0] == f"-m appliance --data-dir {places.data} doctor"


def test_starts_in_a_row_wait_longer_and_a_steady_one_is_forgiven(tmp_path: Path) -> None:
    folder, now = str(tmp_path), 1000.0
    waited = []
    for _ in range(6):
        waited.append(units.pause(folder, now))
        now += waited[-1] + 1.0
    assert waited == [0.0, 0.2, 1.0, 3.0, 10.0, 10.0]
    assert units.pause(folder, now + 61) == 0.0
    assert units.pause(folder, 5.0) == 0.0, "the machine was restarted"
    (tmp_path / "starts.json").write_text("[")
    assert units.pause(folder, now) == 0.0
    assert units.pause("", now) == 0.0
    assert json.loads((tmp_path / "starts.json").read_text())[0] == 0


def test_where_accounts_are_separate_what_is_put_back_is_for_their_group(tmp_path: Path) -> None:
    try:
        for text, mode in (("[accounts]\nkeys = 'k'\n", 0o660), ("", 0o600), ("no toml", 0o600)):
            (tmp_path / "hako.toml").write_text(text)
            assert units.main(["nothing", str(tmp_path)]) == 2
            assert modes.file() == mode
    finally:
        modes.share(False)
        os.umask(0o022)
