"""Packs for other boxes over the API: who may export what, whom the box trusts, and taking one from a stick."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.bundle.boxes.format import PackFile
from appliance.bundle.boxes.identity import Identity
from appliance.bundle.media import Place
from tests.simulators.box import PASSWORD, Person, TestBox, add, wait

TEA = "# Tea\n\nThe tea kettle of ward seven whistles at noon.\n"
FAR = Identity(bytes(range(7, 39)))


@pytest.fixture
def stick(box: TestBox) -> Iterator[Path]:
    """An empty stick; what came from it and who was trusted is gone afterwards."""
    folder = box.settings.storage.media[0] / "boxes"
    (folder / "CARRIED").mkdir(parents=True)
    yield folder / "CARRIED"
    shutil.rmtree(folder)
    for pack in box.services.packs.list():
        box.services.packs.remove(pack.base_id, "alice")
    with box.services.database.write() as connection:
        connection.execute("delete from boxes")
        connection.execute("delete from pack_marks")


@pytest.fixture
def base(alice: Person) -> Iterator[str]:
    """Alice's own private base with one document."""
    made: dict[str, Any] = alice.post("/bases", json={"name": "tea room"}).get_json()
    add(alice, made["id"], "tea.md", TEA.encode())
    yield made["id"]
    alice.delete(f"/bases/{made['id']}")


def own_code(alice: Person) -> str:
    return str(alice.get("/bundles/boxes").get_json()["own"]["receiving_code"])


def exported(alice: Person, base: str, code: str) -> bytes:
    ready = alice.post(f"/bases/{base}/export", json={"receiver": code, "password": PASSWORD}).get_json()["export"]
    answer = alice.get(f"/bundles/exports/{ready}")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    assert alice.get(f"/bundles/exports/{ready}").status_code == 404
    return bytes(answer.data)


def test_an_operator_exports_what_they_may_read_with_the_password_once_more(
    alice: Person, bob: Person, mallory: Person, base: str, stick: Path, box: TestBox
) -> None:
    assert alice.get("/bundles/request").get_json()["receiving_code"] == own_code(alice)
    wish = {"receiver": FAR.code}
    plan = alice.post(f"/bases/{base}/export", json={**wish, "dry_run": True}).get_json()
    assert plan == {
        "plan": {"name": "tea room", "documents": 1, "size_bytes": len(TEA)},
        "receiver": FAR.receiving.hex(), "export": None,
    }  # fmt: skip
    for password in ("", "wrong-horse-battery-staple"):
        refused = alice.post(f"/bases/{base}/export", json={**wish, "password": password})
        assert refused.get_json()["code"] == "HK-AUTH-002"
    mistyped = alice.post(f"/bases/{base}/export", json={"receiver": FAR.code[:-1] + "x", "password": PASSWORD})
    assert (mistyped.status_code, mistyped.get_json()["code"]) == (400, "HK-BOX-003")
    own = bob.post("/bases", json={"name": "bob's leaves"}).get_json()["id"]
    add(bob, own, "leaf.md", b"# Leaf\n\nBob keeps leaves.\n")
    assert alice.post(f"/bases/{own}/export", json={**wish, "password": PASSWORD}).status_code == 404
    assert bob.post(f"/bases/{own}/export", json={**wish, "password": PASSWORD}).status_code == 403
    assert mallory.post(f"/bases/{own}/export", json={**wish, "dry_run": True}).status_code == 404
    ready = alice.post(f"/bases/{base}/export", json={**wish, "password": PASSWORD}).get_json()["export"]
    assert bob.get(f"/bundles/exports/{ready}").status_code == 403
    bob.delete(f"/bases/{own}")
    data = exported(alice, base, FAR.code)
    assert b"kettle" not in data
    (stick / "tea.hakopack").write_bytes(data)
    with PackFile(Place(stick, (), "tea.hakopack")) as file:
        assert FAR.open(bytes.fromhex(file.statement.key), bytes.fromhex(file.statement.sender))
    (entry, *_) = [entry for entry in box.services.audit.entries() if entry.action == "pack-exported"]
    assert (entry.target, entry.detail["receiver"], entry.detail["documents"]) == (base, FAR.receiving.hex(), 1)


def test_a_pack_is_taken_once_its_box_is_trusted(
    alice: Person, bob: Person, mallory: Person, base: str, stick: Path
) -> None:
    (stick / "tea.hakopack").write_bytes(exported(alice, base, own_code(alice)))
    (medium,) = alice.get("/bundles/media").get_json()["items"]
    assert (medium["name"], medium["pack"]) == ("tea.hakopack", True)
    seen = alice.post("/bundles/look", json={"media": medium["id"]}).get_json()
    assert (seen["items"], seen["sender"]["trusted"]) == ([], False)
    wish = {"media": medium["id"], "digest": "0" * 64, "password": PASSWORD}
    refused = alice.post("/bundles/taking", json=wish)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "HK-BND-015")
    told = {"media": medium["id"], "fingerprint": seen["sender"]["fingerprint"]}
    for person in (bob, mallory):
        assert person.get("/bundles/boxes").status_code == 403
        assert person.put("/bundles/boxes", json={**told, "password": PASSWORD}).status_code == 403
        assert person.delete(f"/bundles/boxes/{told['fingerprint']}").status_code == 403
    assert alice.put("/bundles/boxes", json=told).get_json()["code"] == "HK-AUTH-002"
    wrong = alice.put("/bundles/boxes", json={**told, "fingerprint": "0" * 64, "password": PASSWORD})
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "HK-BOX-003")
    path = {"folder": str(stick / "tea.hakopack"), "fingerprint": told["fingerprint"], "password": PASSWORD}
    assert alice.put("/bundles/boxes", json=path).status_code == 403
    assert alice.put("/bundles/boxes", json={**told, "password": PASSWORD}).status_code == 200
    (item,) = alice.post("/bundles/look", json={"media": medium["id"]}).get_json()["items"]
    assert (item["title"]["ja"], item["plan"]["documents"]["count"]) == ("tea room", 1)
    wish |= {"digest": item["digest"], "visibility": "everyone"}
    assert alice.post("/bundles/taking", json=wish).status_code == 202
    (pack,) = wait(
        lambda: alice.get("/bundles/packs").get_json()["items"], lambda items: items and items[0]["state"] == "ready"
    )
    assert (pack["maker_kind"], pack["maker"], pack["base_name"]) == ("box", told["fingerprint"], "tea room 2")
    hits = bob.post(f"/bases/{pack['id']}/search", json={"query": "tea kettle"}).get_json()["hits"]
    assert "whistles at noon" in hits[0]["text"]
    refused = alice.post(f"/bases/{pack['id']}/documents", data={"file": (io.BytesIO(b"# x\n\nx."), "x.md")})
    assert refused.get_json()["code"] == "HK-BND-013"
    assert alice.delete(f"/bundles/boxes/{told['fingerprint']}").status_code == 204
    assert alice.delete(f"/bundles/boxes/{told['fingerprint']}").status_code == 404


def test_a_key_may_not_export(alice: Person, base: str, box: TestBox) -> None:
    key = alice.post("/me/keys", json={"name": "script"}).get_json()["key"]
    answer = box.app.test_client().post(
        f"/api/v1/bases/{base}/export", headers={"Authorization": f"Bearer {key}"}, json={"receiver": FAR.code}
    )
    assert answer.status_code == 403
