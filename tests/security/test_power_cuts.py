"""A power cut at any moment of what changes a box: afterwards it is the old one or the new one, and goes on by itself.

Here a sample of the states; `make lifecycle` opens every one of them.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import durable
from appliance.bundle.publish import cutting
from tests.simulators import cut_scenes
from tests.simulators.cut_scenes import Scene
from tests.simulators.power_cuts import Recording, states

SAMPLE = 8


@pytest.mark.parametrize("make", cut_scenes.SCENES, ids=lambda make: make.__name__)
def test_a_cut_leaves_the_old_or_the_new(
    make: Callable[[Path], Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "PART_BYTES", 20_000)
    scene = make(tmp_path)
    assert scene.replay(tmp_path / "cut", mixtures=2, most=SAMPLE, seed=int.from_bytes(os.urandom(4))) == SAMPLE


def left(recording: Recording, path: str) -> set[bytes | None]:
    """What cuts may leave in a file."""
    return {tree[path][2] if path in tree else None for _number, tree in states(recording, mixtures=300)}


def test_the_simulator_sees_a_careless_replacement(tmp_path: Path) -> None:
    place = tmp_path / "box" / "file"
    place.parent.mkdir()
    place.write_bytes(b"old")
    recording = Recording([place.parent])
    with recording.running():
        fresh = place.with_name("fresh")
        fresh.write_bytes(b"renewed")
        fresh.rename(place)
    assert {b"old", b"", b"ren", bytes(7), b"renewed"} <= left(recording, "file")


def test_the_simulator_sees_what_is_sure(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(b"old")
    recording = Recording([folder])
    with recording.running():
        durable.replace(folder / "deep" / "file", b"new")
        (folder / "lost").mkdir()
        durable.replace(folder / "lost" / "file", b"new")
    assert left(recording, "deep/file") == {b"old", b"new"}
    assert left(recording, "lost/file") == {None, b"new"}  # its folder's name is not sure
    *_others, last = (tree for _number, tree in states(recording, mixtures=0))
    assert last["deep/file"][2] == b"new"
