"""A box that is offered releases of itself, which count as installed at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bundle.update import install
from appliance.bundle.update.updates import Updates
from appliance.inference.engines import scripted
from tests.simulators.release_offers import Offered, install_at_once
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TakingBox]:
    opened = TakingBox(tmp_path / "box", inference={"chat_model": "talker", "embedding_model": "embedder"})
    scripted.install(opened.settings.models, "talker", "chat")
    scripted.install(opened.settings.models, "embedder", "embedding")
    yield opened
    opened.close()


@pytest.fixture
def updates(box: TakingBox, monkeypatch: pytest.MonkeyPatch) -> Updates:
    """The box's own."""
    monkeypatch.setattr(install, "install", install_at_once)
    return box.bundles.updates


@pytest.fixture
def offered(tmp_path: Path, sticks: Sticks, box: TakingBox, updates: Updates) -> Offered:
    assert updates
    box.trust(sticks)
    return Offered(tmp_path / "publisher-of-releases", sticks, box)
