"""What a medium offers a box, and what of it the box refuses to see."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from appliance.bundle.reading import Reading
from appliance.bundle.trust.state import TrustStore
from appliance.errors import (
    BundleDamagedError,
    BundleInvalidError,
    BundleRollbackError,
    BundleStaleError,
    BundleUnreadableError,
)
from tests.simulators.publisher import DAY, Publisher

NOW = 1_800_000_000
TARGET = "models/tiny/1.0/index.json"


def index(**more: Any) -> bytes:
    digest = hashlib.sha256(b"x").hexdigest()
    file = {"path": "model.json", "size": 1, "sha256": digest, "parts": [{"sha256": digest, "size": 1}]}
    body = {
        "format": 1,
        "kind": "models",
        "name": "tiny",
        "version": "1.0",
        "issued": NOW,
        "title": {},
        "licence": "MIT",
    }
    return json.dumps({**body, "files": [file], **more}).encode()


@pytest.fixture
def publisher() -> Publisher:
    made = Publisher(float(NOW))
    made.delegated["models"] = {TARGET: index()}
    return made


@pytest.fixture
def stick(tmp_path: Path, publisher: Publisher) -> Path:
    return publish(publisher, tmp_path / "stick")


def publish(publisher: Publisher, folder: Path) -> Path:
    publisher.publish(folder)
    targets = [path for targets in publisher.delegated.values() for path in targets]
    (folder / "contents.json").write_text(json.dumps({"format": 1, "targets": targets}))
    return folder


def look(publisher: Publisher, folder: Path, *, clock: float = NOW) -> Reading:
    store = TrustStore(folder.parent / "trust", bytes(32))
    with Reading(folder, publisher.anchor, store, at_least=0, clock=clock) as reading:
        return reading


def test_an_offer_is_shown_with_its_index(publisher: Publisher, stick: Path):
    reading = look(publisher, stick)
    assert [offer.index.target for offer in reading.offers] == [TARGET]
    assert reading.offer(hashlib.sha256(index()).hexdigest()).index.name == "tiny"
    with pytest.raises(BundleInvalidError):
        reading.offer("0" * 64)


def test_looking_twice_learns_nothing_new(publisher: Publisher, stick: Path):
    assert look(publisher, stick).state.serial == look(publisher, stick).state.serial > 0


def test_a_clock_in_1970_is_not_gone_by(publisher: Publisher, stick: Path):
    look(publisher, stick)
    reading = look(publisher, stick, clock=0)
    assert (reading.moment.clock_is_credible, reading.moment.at) == (False, NOW)


def test_a_clock_far_ahead_does_not_lock_the_box_out(publisher: Publisher, stick: Path):
    look(publisher, stick)
    assert look(publisher, stick, clock=NOW + 20 * 365 * DAY).offers
    with pytest.raises(BundleStaleError):
        look(publisher, stick, clock=NOW + 5 * 365 * DAY)


def test_what_has_expired_is_refused_by_a_box_that_never_saw_a_stick(publisher: Publisher, stick: Path):
    with pytest.raises(BundleStaleError):
        look(publisher, stick, clock=NOW + 5 * 365 * DAY)


def test_an_index_that_was_changed_is_refused(publisher: Publisher, stick: Path):
    place = next((stick / "targets" / "models" / "tiny" / "1.0").iterdir())
    place.write_bytes(place.read_bytes().replace(b"MIT", b"BSD"))
    with pytest.raises(BundleDamagedError):
        look(publisher, stick)
    place.write_bytes(index() + b" " * 5)
    with pytest.raises(BundleDamagedError):
        look(publisher, stick)
    place.unlink()
    with pytest.raises(BundleUnreadableError):
        look(publisher, stick)


@pytest.mark.parametrize(
    "contents", [b"", b"{}", b"[]", b'{"format": 1, "targets": 5}', b'{"format": 1, "targets": [5]}', b"[" * 10**5]
)
def test_a_list_of_contents_that_is_none_is_refused(publisher: Publisher, stick: Path, contents: bytes):
    (stick / "contents.json").write_bytes(contents)
    with pytest.raises(BundleInvalidError):
        look(publisher, stick)


def test_what_nobody_signs_for_is_refused(publisher: Publisher, stick: Path):
    (stick / "contents.json").write_text(json.dumps({"format": 1, "targets": ["models/other/1/index.json"]}))
    with pytest.raises(BundleInvalidError):
        look(publisher, stick)


def test_an_index_signed_for_another_name_is_refused(publisher: Publisher, tmp_path: Path):
    publisher.delegated["models"] = {"models/other/1.0/index.json": index()}
    with pytest.raises(BundleInvalidError):
        look(publisher, publish(publisher, tmp_path / "stick"))


def test_an_older_medium_is_refused(publisher: Publisher, stick: Path, tmp_path: Path):
    look(publisher, publish(publisher, tmp_path / "newer"))
    with pytest.raises(BundleRollbackError):
        look(publisher, stick)


def test_no_medium_is_told_as_that(publisher: Publisher, tmp_path: Path):
    for folder in (tmp_path / "gone", tmp_path / "empty"):
        with pytest.raises(BundleUnreadableError):
            look(publisher, folder)
        (tmp_path / "empty").mkdir(exist_ok=True)
