"""kill -9 at 200 random moments of an update, and of a restore: afterwards it is the old box or the new one, whole."""

from pathlib import Path

import pytest

from tests.simulators import random_kills

pytestmark = pytest.mark.timeout(1800)

KILLS = 50


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_it_is_the_old_box_or_the_new_one(
    seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = random_kills.of_updates(tmp_path, seed, KILLS)
    with capfd.disabled():
        ends = ", ".join(f"{count} {phase.value}" for phase, count in sorted(seen.items()))
        print(f"\n{KILLS} kills of updates, after which {ends}; none in between")
    assert set(seen) == set(random_kills.OVER)


@pytest.mark.parametrize("seed", range(4))
def test_a_restore_that_is_killed_at_any_moment_leaves_the_old_box_or_the_new_one(
    seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old, new = random_kills.of_restores(tmp_path, seed, KILLS)
    with capfd.disabled():
        print(f"\n{KILLS} kills of a restore: {old} times the old box, {new} times the new one, never neither")
    assert old
