"""Which time the box goes by when its clock may be wrong."""

from appliance.bundle.trust.moment import Moment, trusted_now

FLOOR = 1_800_000_000.0
YEAR = 365 * 24 * 3600


def test_a_clock_within_reason_is_gone_by():
    assert trusted_now(FLOOR + YEAR, FLOOR) == Moment(FLOOR + YEAR, clock_is_credible=True)


def test_a_clock_that_fell_back_is_not():
    assert trusted_now(0.0, FLOOR) == Moment(FLOOR, clock_is_credible=False)


def test_a_clock_that_ran_far_ahead_is_not():
    assert trusted_now(FLOOR + 16 * YEAR, FLOOR) == Moment(FLOOR, clock_is_credible=False)
