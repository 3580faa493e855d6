"""Every state that a power cut can leave of what changes a box, opened: all of them are the old one or the new one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.bundle.publish import cutting
from appliance.bundle.publish.releases import collect
from appliance.bundle.update import install
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import MANIFEST, Places, Release
from tests.simulators import cut_scenes, releases
from tests.simulators.cut_scenes import Scene
from tests.simulators.power_cuts import Recording, State, lay_down, states

MIXTURES = 10
"""Random ones after each event, beside nothing lost, all lost, and names without content."""
OPENED = 60
"""One in so many states of an installation that hold no release is opened as well."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", cut_scenes.SCENES, ids=lambda make: make.__name__)
def test_every_cut_leaves_the_old_or_the_new(
    make: Callable[[Path], Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cutting, "PART_BYTES", 20_000)
    scene = make(tmp_path)
    opened = scene.replay(tmp_path / "cut", MIXTURES)
    with capfd.disabled():
        print(f"\n{make.__name__}: {len(scene.recording.events)} events, {opened} states opened, all old or new")
    assert opened > 40


@pytest.mark.timeout(1800)
def test_every_cut_of_a_real_installation_leaves_a_whole_release_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = releases.everything_else(tmp_path / "wheels")
    content = tmp_path / "content"
    collect(content, releases.wheel(tmp_path / "r", "0.2.0", 2), lock, lock.parent)
    manifest = Manifest.model_validate_json((content / "release.json").read_bytes())
    release = Release("0.2.0-x", "0.2.0", 2, 0, manifest.schema_steps)
    places = Places(tmp_path / "releases", tmp_path)
    places.root.mkdir()
    recording = Recording([places.root])
    real = install._push

    def pushed(folder: Path) -> None:
        real(folder)
        recording.everything_is_sure()

    monkeypatch.setattr(install, "_push", pushed)
    with recording.running():
        install.install(places, release, manifest, content)
    whole = tree(places.folder("0.2.0-x"))

    def check(state: State) -> bool:
        left = lay_down(state, tmp_path / "cut")
        is_whole = Places(left, left).is_whole("0.2.0-x")
        assert not is_whole or tree(left / "0.2.0-x") == whole
        return is_whole

    # Every state is looked at for what makes a release count; opened are all that have it, and some of the others.
    seen = opened = wholes = 0
    half: State = {}
    for number, state in states(recording, mixtures=1):
        seen += 1
        half = state if number < len(recording.events) // 2 else half
        if f"0.2.0-x/{MANIFEST}" in state or seen % OPENED == 0:
            wholes += check(state)
            opened += 1
    for _number, state in states(recording, mixtures=5, since=len(recording.events) - 60):
        wholes += check(state)
        seen, opened = seen + 1, opened + 1
    with capfd.disabled():
        print(
            f"\ninstallation: {len(recording.events)} events, {seen} states, in each the whole release or none; "
            f"{opened} of them opened, {wholes} whole"
        )
    assert wholes
    assert not check(half)
    left = Places(tmp_path / "cut", tmp_path)  # cut off half way: done again
    install.install(left, release, manifest, content)
    assert left.is_whole("0.2.0-x")
    assert tree(left.folder("0.2.0-x")).keys() == whole.keys()


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
