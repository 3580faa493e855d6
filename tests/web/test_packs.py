"""Bases that came in bundles, over the API: taken by an operator, read by whom they are for, changed by nobody."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from tests.simulators.box import PASSWORD, Person, TestBox, wait
from tests.simulators.sticks import Sticks

GARDEN = "# Garden\n\nThe greenhouse is watered at seven in the morning.\n"


@pytest.fixture
def stick(tmp_path: Path, box: TestBox) -> Iterator[tuple[Sticks, Path]]:
    """A trusted publisher's bundle of two documents, one of which nobody can read, where the system mounts sticks."""
    sticks = Sticks(tmp_path / "publisher", clock.now())
    (tmp_path / "garden").mkdir()
    (tmp_path / "garden" / "garden.md").write_text(GARDEN)
    (tmp_path / "garden" / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    sticks.add(
        tmp_path / "garden", "garden", kind="knowledge", role="content", title={"ja": "庭", "en": "Garden book"},
        provenance={"source": "the gardener"},
    )  # fmt: skip
    folder = box.settings.storage.media[0] / "garden"
    sticks.write(folder / "GARDEN")
    box.services.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")
    yield sticks, folder / "GARDEN"
    shutil.rmtree(folder, ignore_errors=True)
    for pack in box.services.packs.list():
        box.services.packs.remove(pack.base_id, "alice")
    with box.services.database.write() as connection:
        connection.execute("delete from anchors")
        connection.execute("delete from pack_marks")


def taken(alice: Person, visibility: str = "everyone") -> dict[str, Any]:
    """Take it, and wait until it was read."""
    (medium,) = alice.get("/bundles/media").get_json()["items"]
    (item,) = alice.post("/bundles/look", json={"media": medium["id"]}).get_json()["items"]
    assert item["plan"]["documents"]["room_bytes"] > item["size_bytes"]
    assert item["plan"]["documents"] | {"seconds": None, "room_bytes": 0} == {
        "count": 2, "size_bytes": item["size_bytes"], "room_bytes": 0, "state": "new", "replaces": "", "seconds": None,
    }  # fmt: skip
    wish = {"media": medium["id"], "digest": item["digest"], "visibility": visibility, "password": PASSWORD}
    assert alice.post("/bundles/taking", json=wish).status_code == 202
    (pack,) = wait(
        lambda: alice.get("/bundles/packs").get_json()["items"], lambda items: items and items[0]["state"] == "ready"
    )
    assert alice.get("/bundles/taking").get_json()["job"]["kind"] == "knowledge"
    return dict(pack)


def test_everybody_reads_it_and_nobody_changes_its_documents(
    alice: Person, bob: Person, mallory: Person, stick: tuple[Sticks, Path], box: TestBox
) -> None:
    pack = taken(alice)
    assert (pack["base_name"], pack["documents"], pack["ready"], pack["failed"]) in [
        ("庭", 2, 1, 1), ("Garden book", 2, 1, 1),
    ]  # fmt: skip
    (failure,) = pack["failures"]
    assert (failure["name"], failure["error"]["code"]) == ("broken.pdf", "HK-DOC-012")
    base_id = pack["id"]
    for person, manageable in ((alice, True), (bob, False), (mallory, False)):
        base = person.get(f"/bases/{base_id}").get_json()
        assert (base["writable"], base["manageable"], base["packed"], base["system"]) == (False, manageable, True, True)
        hits = person.post(f"/bases/{base_id}/search", json={"query": "greenhouse watered"}).get_json()["hits"]
        assert "seven in the morning" in hits[0]["text"]
        refused = person.post(f"/bases/{base_id}/documents", data={"file": (io.BytesIO(b"# Mine\n\nMine."), "m.md")})
        assert (refused.status_code, refused.get_json()["code"]) == (403, "HK-BND-013" if manageable else "HK-AUTH-003")
        (document,) = [
            one for one in person.get(f"/bases/{base_id}/documents").get_json()["items"] if one["name"] == "garden.md"
        ]
        assert person.get(f"/documents/{document['id']}/original").data == GARDEN.encode()
        assert person.delete(f"/documents/{document['id']}").status_code == 403
        assert person.post(f"/documents/{document['id']}/cancel").status_code == 403
    for person in (bob, mallory):
        assert person.patch(f"/bases/{base_id}", json={"visibility": "private"}).status_code == 403
        assert person.delete(f"/bases/{base_id}").status_code == 403
        assert person.get("/bundles/packs").status_code == 403
        assert person.delete(f"/bundles/packs/{base_id}").status_code == 403
        assert person.post(f"/documents/{failure['document_id']}/retry").status_code == 403
    assert alice.post(f"/documents/{failure['document_id']}/retry").status_code == 200
    assert alice.patch(f"/bases/{base_id}", json={"visibility": "private"}).status_code == 200
    assert bob.get(f"/bases/{base_id}").status_code == 404
    assert alice.delete(f"/bundles/packs/{base_id}").status_code == 204
    assert alice.delete(f"/bundles/packs/{base_id}").status_code == 404
    assert alice.get(f"/bases/{base_id}").status_code == 404
    trail = [entry.action for entry in box.services.audit.entries()]
    assert {"pack-shown", "pack-removed"} <= set(trail)


def test_one_for_operators_is_seen_by_no_member(
    alice: Person, bob: Person, mallory: Person, stick: tuple[Sticks, Path]
) -> None:
    pack = taken(alice, "private")
    assert alice.get(f"/bases/{pack['id']}").status_code == 200
    for person in (bob, mallory):
        assert person.get(f"/bases/{pack['id']}").status_code == 404
        assert pack["id"] not in [base["id"] for base in person.get("/bases").get_json()["items"]]
        assert person.post("/search", json={"query": "greenhouse", "base_ids": [pack["id"]]}).status_code == 404


def test_who_may_read_it_is_one_of_two(alice: Person, stick: tuple[Sticks, Path]) -> None:
    (medium,) = alice.get("/bundles/media").get_json()["items"]
    wish = {"media": medium["id"], "digest": "0" * 64, "visibility": "mallory", "password": PASSWORD}
    assert alice.post("/bundles/taking", json=wish).status_code == 400
