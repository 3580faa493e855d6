"""From the publisher's keys to the second box, with real commands, releases and models: each step with its seconds."""

from pathlib import Path

import pytest

from tests.e2e.prepared import MODELS
from tests.lifecycle import whole_life

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.skipif(not MODELS.is_dir(), reason="the starter models are not built: make models")
def test_a_box_lives_through_releases_a_broken_one_and_the_loss_of_its_machine(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with capfd.disabled():
        print()
        whole_life.live(tmp_path, MODELS)
