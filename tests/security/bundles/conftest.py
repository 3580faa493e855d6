"""A box that trusts a publisher, and his stick with two models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import clock
from appliance.bundle.publish import cutting
from tests.simulators.bundle_cases import PIECES, noise
from tests.simulators.sticks import Sticks, plain
from tests.simulators.taking_box import TakingBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TakingBox]:
    opened = TakingBox(tmp_path / "box")
    yield opened
    opened.close()


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    plain(folder, "first", noise(3 * PIECES))
    plain(folder, "second", noise(2 * PIECES))
    return folder


@pytest.fixture
def sticks(tmp_path: Path, content: Path, box: TakingBox, monkeypatch: pytest.MonkeyPatch) -> Sticks:
    monkeypatch.setattr(cutting, "PART_BYTES", PIECES)
    made = Sticks(tmp_path / "publisher", clock.now())
    made.add(content, "pack")
    box.trust(made)
    return made


@pytest.fixture
def stick(sticks: Sticks, tmp_path: Path) -> Path:
    return sticks.write(tmp_path / "stick")
