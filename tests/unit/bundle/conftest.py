"""A box that takes bundles, a publisher of them, and two models to publish."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import clock
from appliance.bundle.publish import cutting
from tests.simulators.sticks import Sticks, packed
from tests.simulators.taking_box import TakingBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TakingBox]:
    opened = TakingBox(tmp_path / "box")
    yield opened
    opened.close()


@pytest.fixture
def sticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sticks:
    """A publisher who cuts even tiny files into several parts."""
    monkeypatch.setattr(cutting, "PART_BYTES", 30_000)
    return Sticks(tmp_path / "publisher", clock.now())


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    packed(folder, "writer", 1)
    packed(folder, "talker", 2)
    return folder
