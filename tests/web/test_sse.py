"""Event streams: the bytes on the wire, the cap, and that a place is always given back."""

import json

import pytest

from appliance.errors import BusyError
from webui import sse


def test_an_event_is_one_block_that_a_reader_can_take_apart():
    frame = sse.Event("delta", {"text": "a\nb\r\n\ndata: x"}, 7).frame().decode()
    assert frame.endswith("\n\n")
    lines = frame.rstrip("\n").split("\n")
    assert lines[:2] == ["id: 7", "event: delta"]
    assert json.loads(lines[2].removeprefix("data: ")) == {"text": "a\nb\r\n\ndata: x"}
    assert len(lines) == 3


def test_a_broken_surrogate_does_not_end_the_stream():
    assert b"data: " in sse.Event("delta", {"text": "\ud83d"}).frame()


def test_heartbeats_come_when_nothing_else_does(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sse, "monotonic", lambda: now[0])

    def silence():
        for _ in range(25):
            now[0] += 1.0
            yield None

    assert list(sse.frames(silence(), lambda: False)).count(sse.HEARTBEAT) == 3


def test_a_stream_ends_when_its_reader_has_left():
    left = [False]
    seen = []

    def events():
        yield sse.Event("a", {})
        left[0] = True
        yield None
        seen.append("went on")
        yield sse.Event("b", {})

    frames = list(sse.frames(events(), lambda: left[0]))
    assert len(frames) == 2
    assert not seen


def test_places_are_capped_in_all_and_per_person():
    places = sse.Places(3, per_person=2)
    first, second = places.take("alice"), places.take("alice")
    with pytest.raises(BusyError) as refused:
        places.take("alice")
    assert refused.value.params["retry_after_s"] > 0
    places.take("bob")
    with pytest.raises(BusyError):
        places.take("charlie")
    first.close()
    first.close()
    places.take("charlie")
    assert places.taken == 3
    second.close()
    assert places.taken == 2


def test_a_key_never_takes_all_places_of_its_owner():
    places = sse.Places(16)
    taken = [places.take("alice", "key_1") for _ in range(7)]
    with pytest.raises(BusyError):
        places.take("alice", "key_1")
    places.take("alice", "key_2").close()
    browser = places.take("alice")
    with pytest.raises(BusyError):
        places.take("alice", "key_2")
    for place in (*taken, browser):
        place.close()
    assert places.taken == 0
    taken = [places.take("alice", "key_1") for _ in range(7)]
    assert places.taken == 7


def test_a_body_that_was_never_read_gives_its_place_back():
    places = sse.Places(1)
    place = places.take("alice")

    def never():
        yield b"x"

    body = sse.Body(never(), place.close)
    body.close()
    assert places.taken == 0


def test_a_body_that_fails_on_closing_still_gives_its_place_back():
    places = sse.Places(1)
    place = places.take("alice")

    def stubborn():
        try:
            yield b"x"
        finally:
            raise RuntimeError("on closing")

    body = sse.Body(stubborn(), place.close)
    next(body)
    with pytest.raises(RuntimeError):
        body.close()
    assert places.taken == 0
