"""Anything in any order, a few times; `make lifecycle` does it for long."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulators.any_sequence import AnySequence

FEW = settings(
    max_examples=3, stateful_step_count=10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def test_after_any_sequence_no_release_below_the_floor_runs_and_the_box_answers() -> None:
    run_state_machine_as_test(AnySequence, settings=FEW)
