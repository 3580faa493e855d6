"""Anything in any order, hundreds of times: imports, cuts, clock jumps, trials, ways back, backups and restores."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulators.any_sequence import AnySequence

MANY = settings(
    max_examples=150, stateful_step_count=30, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # what a cut process leaves in its /tmp
def test_after_any_sequence_no_release_below_the_floor_runs_and_the_box_answers() -> None:
    run_state_machine_as_test(AnySequence, settings=MANY)
