"""Web snapshots over the API: everybody with an account reads them, only operators remove them, none is ever live."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance import clock
from appliance.cli.context import Terminal
from appliance.cli.main import main
from appliance.knowledge.web.snapshots import Snapshots
from appliance.warc.manifest import Manifest
from tests.simulators import warcs
from tests.simulators.box import PASSWORD, Person, TestBox, wait
from tests.simulators.door import Door
from tests.simulators.sticks import Sticks


@pytest.fixture
def shelf(box: TestBox) -> Snapshots:
    return Snapshots(box.services.database, box.services.blobs, warcs.OpenReader())  # type: ignore[arg-type]


@pytest.fixture
def city(box: TestBox, shelf: Snapshots, tmp_path: Path) -> Iterator[str]:
    """A snapshot that was taken in; its id."""
    folder = warcs.snapshot(tmp_path / "content", by=f"Carol {tmp_path.name}", left_out={"robots": 2}, stopped="pages")
    data = (folder / "snapshot.json").read_bytes()
    manifest, digest = Manifest.model_validate_json(data), hashlib.sha256(data).hexdigest()
    shelf.bring("a bundle", digest, manifest, folder, lambda _done, _total: None)
    ((snapshot_id, _name, _digest),) = shelf.hidden("a bundle")
    shelf.show("a bundle", "alice")
    yield snapshot_id
    if snapshot_id in [each.id for each in shelf.list()]:
        shelf.remove(snapshot_id)


def test_everybody_with_an_account_reads_and_only_operators_remove(
    alice: Person, bob: Person, mallory: Person, city: str, box: TestBox
) -> None:
    for person in (alice, bob, mallory):
        (item,) = (each for each in person.get("/web").get_json()["items"] if each["id"] == city)
        assert (item["name"], item["title"], item["pages"]) == ("city", {"ja": "市役所", "en": "City hall"}, 3)
        assert (item["licence"], item["terms"]) == ("CC-BY-4.0", f"{warcs.SITE}/terms")
        assert (item["starts"], item["captured_at"]) == ([f"{warcs.SITE}/"], "2026-09-21T14:14:20.000Z")
        assert (item["left_out"], item["stopped"], item["taken_by"]) == ({"robots": 2}, "pages", "alice")
        assert person.get(f"/web/{city}").get_json()["robots"] == {"city.example": "none"}
        assert person.get(f"/web/{city}/pages").get_json()["total"] == 3
        assert person.get(f"/web/{city}/pages/1").status_code == 200
    for person in (bob, mallory):
        assert person.delete(f"/web/{city}").status_code == 403
    assert alice.delete(f"/web/{city}").status_code == 204
    assert bob.get(f"/web/{city}").status_code == 404
    assert alice.delete(f"/web/{city}").status_code == 404
    (entry,) = (each for each in box.services.audit.entries(20) if each.target == city)
    assert (entry.action, entry.actor) == ("web-snapshot-removed", "alice")


def test_programs_and_strangers_read_nothing_of_it(bob: Person, city: str, box: TestBox) -> None:
    key = bob.post("/me/keys", json={"name": "script"}).get_json()["key"]
    client = box.app.test_client()
    for path in ("/web", f"/web/{city}", f"/web/{city}/pages", f"/web/{city}/pages/1"):
        assert client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {key}"}).status_code == 403
        assert client.get(f"/api/v1{path}").status_code == 401


def test_a_page_is_text_and_leads_only_within_the_snapshot(bob: Person, city: str) -> None:
    answer = bob.get(f"/web/{city}/pages/1")
    page = answer.get_json()
    assert (page["url"], page["title"], page["kind"]) == (f"{warcs.SITE}/", "City hall", "html")
    assert page["text"].startswith("City hall\n\nOpening hours")
    first = page["blocks"][0]
    assert page["text"][first["start"] : first["end"]] == "City hall"
    assert [(link["words"], link["number"]) for link in page["links"]] == [
        ("Waste", 2), ("Old page", 2), ("Elsewhere", None),
    ]  # fmt: skip
    assert answer.content_type == "application/json"
    assert not any(word in answer.get_data(as_text=True) for word in ("alert", "<script", "<a "))


def test_pages_are_found_by_their_words(bob: Person, city: str) -> None:
    found = bob.get(f"/web/{city}/pages?q=火曜日").get_json()
    assert [(item["number"], item["title"]) for item in found["items"]] == [(2, "ごみの出し方")]
    assert (found["total"], found["next"]) == (1, None)
    assert bob.get(f"/web/{city}/pages?q=opening+HOURS").get_json()["total"] == 1
    assert [item["number"] for item in bob.get(f"/web/{city}/pages?after=2").get_json()["items"]] == [3]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999999999999", "q=" + "x" * 300, "z=1"])
def test_nonsense_is_refused(bob: Person, city: str, query: str) -> None:
    assert bob.get(f"/web/{city}/pages?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/web/web_none", "/web/web_none/pages", "/web/web_none/pages/1", "/web/x'--/pages"])
def test_what_is_not_there_is_not_found(bob: Person, path: str) -> None:
    assert bob.get(path).status_code == 404


def test_a_page_that_is_not_there_is_not_found(bob: Person, city: str) -> None:
    for number in ("0", "4", str(2**80)):
        assert bob.get(f"/web/{city}/pages/{number}").status_code == 404


@pytest.fixture
def hako(box: TestBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`hako web …` on this box; what it prints."""

    def run(*words: str, given: str = "") -> str:
        ran = CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["web", *words], input=given)
        assert ran.exit_code in (0, 1), ran.output
        return "".join(line for line in ran.output.splitlines(keepends=True) if "process=web" not in line)

    with Door(box) as door:
        monkeypatch.setattr(Terminal, "client", lambda _self: door)
        yield run


def test_at_the_terminal_a_snapshot_is_listed_read_and_erased(city: str, hako: Callable[..., str]) -> None:
    assert f"{city}  2026-09-21      4 kB  3 page(s)  CC-BY-4.0  City hall\n" in hako("list")
    shown = hako("show", city)
    assert f"City hall\n  {warcs.SITE}/\nCaptured: 2026-09-21 14:14 (UTC), by Carol" in shown
    assert f"Licence: CC-BY-4.0, terms: {warcs.SITE}/terms" in shown
    assert "limit of pages" in shown
    assert "robots.txt forbids it: 2" in shown
    assert f"     2  ごみの出し方  {warcs.SITE}/bins\n" in shown
    assert hako("show", "city", "--find", "火曜日") == f"     2  ごみの出し方  {warcs.SITE}/bins\n"
    assert hako("show", city, "--page", "2").endswith("\n\nごみ\n\n燃えるごみは火曜日です。\n")
    assert "Aborted" in hako("remove", city, given="n\n")
    assert "“City hall” is erased." in hako("remove", city, given="y\n")
    assert city not in hako("list")
    assert "HK-BOX-004" in hako("show", city)


def test_a_browser_takes_a_snapshot_from_a_stick(alice: Person, bob: Person, box: TestBox, tmp_path: Path) -> None:
    sticks = Sticks(tmp_path / "publisher", clock.now())
    warcs.snapshot(tmp_path / "content", name="library")
    digest = sticks.add(tmp_path / "content", "sites", role="content", kind="web")
    folder = box.settings.storage.media[0] / "carol"
    sticks.write(folder / "STICK")
    box.services.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice")
    try:
        (medium,) = alice.get("/bundles/media").get_json()["items"]
        (item,) = alice.post("/bundles/look", json={"media": medium["id"]}).get_json()["items"]
        (packed,) = item["plan"]["snapshots"]
        assert (packed["id"], packed["state"], packed["pages"], item["plan"]["refusals"]) == ("library", "new", 3, [])
        assert json.dumps(packed["title"], ensure_ascii=False) == '{"ja": "市役所", "en": "City hall"}'
        wish = {"media": medium["id"], "digest": digest, "password": PASSWORD}
        assert alice.post("/bundles/taking", json=wish).status_code == 202
        ended: dict[str, Any] = wait(
            lambda: alice.get("/bundles/taking").get_json()["job"],
            lambda job: job["state"] not in ("waiting", "running"),
        )
        assert (ended["state"], ended["error"]) == ("done", None)
        (seen,) = (each for each in bob.get("/web").get_json()["items"] if each["name"] == "library")
        assert bob.get(f"/web/{seen['id']}/pages/2").get_json()["title"] == "ごみの出し方"
        assert alice.delete(f"/web/{seen['id']}").status_code == 204
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with box.services.database.write() as connection:
            connection.execute("delete from anchors")
