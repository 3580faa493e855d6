"""A box that is offered releases of itself, which count as installed at once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.bundle.update import install
from appliance.bundle.update.state import MANIFEST, Places, Release
from appliance.bundle.update.updates import Updates
from appliance.inference.engines import scripted
from tests.simulators.offered import Offered
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
    """The box's own; a release counts as installed without an environment, which takes pip many seconds."""

    def quick(places: Places, made: Release, _manifest: object, files: Path, tell: Callable[[], None]) -> None:
        tell()
        if not places.is_whole(made.name):
            assert any((files / "wheels").iterdir())
            (places.folder(made.name) / "venv").mkdir(parents=True)
            (places.folder(made.name) / MANIFEST).write_text(json.dumps(vars(made)))

    monkeypatch.setattr(install, "install", quick)
    return box.bundles.updates


@pytest.fixture
def offered(tmp_path: Path, sticks: Sticks, box: TakingBox, updates: Updates) -> Offered:
    assert updates
    box.trust(sticks)
    return Offered(tmp_path / "publisher-of-releases", sticks, box)
