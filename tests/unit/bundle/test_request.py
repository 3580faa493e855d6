"""A box's request, as a publisher reads it: what the box has is known by digest; what is no request is refused."""

import hashlib

import pytest

from appliance.bundle import request
from appliance.bundle.index import File, Index, Part, Text
from appliance.bundle.request import HeldModel, Request
from appliance.errors import BundleInvalidError
from tests.simulators.taking_box import TakingBox

HERE, AWAY = hashlib.sha256(b"here").hexdigest(), hashlib.sha256(b"away").hexdigest()


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def index() -> Index:
    files = (
        File(path="a/x", size=3, sha256=HERE, parts=(Part(sha256=sha(1), size=2), Part(sha256=sha(2), size=1))),
        File(path="a/y", size=2, sha256=AWAY, parts=(Part(sha256=sha(3), size=2),)),
    )
    return Index(format=1, kind="models", name="a", version="1", issued=1, title=Text(), licence="MIT", files=files)


def test_the_parts_of_whole_files_that_the_box_has_are_left_out() -> None:
    asked = Request(
        box="b", version="1", memory_bytes=1, free_bytes=1, models=(HeldModel(id="m", files={"other-name": (HERE, 3)}),)
    )
    assert asked.held(index()) == {sha(1), sha(2)}
    assert request.read(asked.model_dump_json().encode()) == asked


def test_a_box_writes_what_it_is(box: TakingBox) -> None:
    asked = box.bundles.request()
    assert (asked.box, asked.publisher, asked.models, asked.bundles) == ("Hako", "", (), ())
    assert asked.free_bytes > 0
    assert asked.memory_bytes > 0
    assert request.read(asked.model_dump_json().encode()) == asked


def test_a_later_release_may_say_more() -> None:
    said = b'{"format": 1, "box": "b", "version": "9", "memory_bytes": 1, "free_bytes": 1, "planets": 8}'
    assert request.read(said).version == "9"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"format": 2}', b"[" * 100_000, b"\xff", b" " * (request.LONGEST + 1)],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(BundleInvalidError):
        request.read(data)
