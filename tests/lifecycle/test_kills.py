"""The launcher killed at 200 random moments of an update: afterwards it is the old box or the new one, whole."""

import random
import time
from pathlib import Path

import pytest

from appliance.bundle.update.state import Phase
from tests.simulators.tiny_releases import TinyBox

pytestmark = pytest.mark.timeout(900)

KILLS = 50
LONGEST_S = 1.2
OVER = (Phase.COMMITTED, Phase.ROLLED_BACK)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_it_is_the_old_box_or_the_new_one(seed: int, tmp_path: Path) -> None:
    moments, kills, seen = random.Random(seed), 0, set()
    while kills < KILLS:
        box = TinyBox(tmp_path / f"box-{kills}")
        healthy = moments.random() < 0.6
        box.want(box.make("new", counter=2, schema=6, check=0 if healthy else "answer"))
        for _ in range(moments.randint(1, 4)):
            box.launch()
            time.sleep(moments.random() * LONGEST_S)
            box.kill()
            kills += 1
        box.launch()
        try:
            phase = box.settle(*OVER, within_s=60)
            kept = phase is Phase.COMMITTED
            assert healthy or not kept
            end = time.monotonic() + 20
            while not box.boots or box.boots[-1] != ("new" if kept else "old"):  # it serves by now
                assert time.monotonic() < end, box.boots
                time.sleep(0.02)
            assert box.places.current == ("new" if kept else "old")
            assert box.database == {"schema": 6 if kept else 5, "by": "new" if kept else "old", "kept": True}
            while box.places.snapshot.exists():  # goes a moment after the state says so
                assert time.monotonic() < end
                time.sleep(0.02)
            seen.add(phase)
        finally:
            box.stop()
    assert seen == set(OVER)
