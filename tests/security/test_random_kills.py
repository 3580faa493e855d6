"""A few kills at random moments of an update and of a restore; `make lifecycle` has 200 of each."""

import os
from pathlib import Path

from tests.simulators import random_kills


def test_an_update_that_is_killed_ends_as_the_old_box_or_the_new_one(tmp_path: Path) -> None:
    assert set(random_kills.of_updates(tmp_path, int.from_bytes(os.urandom(4)), 2)) <= set(random_kills.OVER)


def test_a_restore_that_is_killed_leaves_the_old_box_or_the_new_one(tmp_path: Path) -> None:
    assert sum(random_kills.of_restores(tmp_path, int.from_bytes(os.urandom(4)), 2)) == 2
