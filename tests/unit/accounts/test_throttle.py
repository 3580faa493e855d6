"""Token buckets: what is refused, for how long, and that nothing slips through at the same moment."""

import threading
from pathlib import Path

import pytest

from appliance.accounts.throttle import Throttle
from appliance.errors import TooManyTriesError
from appliance.storage.database import Database


@pytest.fixture
def throttle(database: Database) -> Throttle:
    return Throttle(database)


def rows(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute("select count(*) from throttle").get)


def test_a_full_bucket_gives_all_its_tokens_and_no_more(throttle: Throttle, time) -> None:
    for taken in range(5):
        assert throttle.left("a", 5, 60) == 5 - taken
        throttle.take("a", 5, 60)
    assert throttle.left("a", 5, 60) == 0
    with pytest.raises(TooManyTriesError) as caught:
        throttle.take("a", 5, 60)
    assert caught.value.params == {"retry_after_s": 12}


def test_waiting_as_long_as_told_is_enough(throttle: Throttle, time) -> None:
    for _ in range(5):
        throttle.take("a", 5, 60)
    time.turn(0.3)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.take("a", 5, 60)
    wait = caught.value.params["retry_after_s"]
    assert wait == 12
    time.turn(float(wait))
    throttle.take("a", 5, 60)
    with pytest.raises(TooManyTriesError):
        throttle.take("a", 5, 60)


def test_a_refused_try_costs_nothing(throttle: Throttle, time) -> None:
    throttle.take("a", 1, 10)
    for _ in range(9):
        time.turn(1)
        with pytest.raises(TooManyTriesError):
            throttle.take("a", 1, 10)
    time.turn(1)
    throttle.take("a", 1, 10)


def test_the_wait_is_a_whole_second_at_least(throttle: Throttle, time) -> None:
    for _ in range(30):
        throttle.take("a", 30, 1)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.take("a", 30, 1)
    assert caught.value.params == {"retry_after_s": 1}
    assert isinstance(caught.value.params["retry_after_s"], int)


def test_tokens_come_back_evenly_and_never_above_the_brim(throttle: Throttle, time) -> None:
    for _ in range(4):
        throttle.take("a", 4, 60)
    time.turn(22.5)
    assert throttle.left("a", 4, 60) == 1.5
    time.turn(3600)
    assert throttle.left("a", 4, 60) == 4


def test_buckets_are_strangers_to_each_other(throttle: Throttle, time) -> None:
    throttle.take("sign-in:alice", 1, 60)
    throttle.take("sign-in:bob", 1, 60)
    throttle.clear("sign-in:alice")
    throttle.take("sign-in:alice", 1, 60)
    with pytest.raises(TooManyTriesError):
        throttle.take("sign-in:bob", 1, 60)


def test_the_error_does_not_tell_the_log_whose_bucket_it_was(throttle: Throttle, time) -> None:
    throttle.take("sign-in:alice", 1, 60)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.take("sign-in:alice", 1, 60)
    assert "alice" not in str(caught.value)


def test_a_clock_set_back_locks_nobody_out_for_long(throttle: Throttle, time) -> None:
    time.turn(365 * 86400.0)
    for _ in range(5):
        throttle.take("a", 5, 60)
    time.turn(-365 * 86400.0)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.take("a", 5, 60)
    assert caught.value.params == {"retry_after_s": 12}
    time.turn(60)
    throttle.take("a", 5, 60)


def test_full_buckets_are_dropped(throttle: Throttle, database: Database, time) -> None:
    throttle.take("short", 1, 10)
    throttle.take("long", 1, 100)
    time.turn(11)
    throttle.sweep()
    assert rows(database) == 1
    time.turn(100)
    throttle.take("next", 1, 10)
    assert rows(database) == 1


def test_two_processes_at_once_never_take_more_than_there_is(tmp_path: Path, time) -> None:
    """Two Database objects share nothing but the file, as two processes do."""
    stores = [Database(tmp_path / "hako.db", bytes(range(32))) for _ in range(2)]
    stores[0].migrate()
    taken: list[int] = []

    def attack(throttle: Throttle) -> None:
        for _ in range(4):
            try:
                throttle.take("a", 5, 60)
                taken.append(1)
            except TooManyTriesError:
                pass

    threads = [threading.Thread(target=attack, args=(Throttle(stores[number % 2]),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 5
    for store in stores:
        store.close()
