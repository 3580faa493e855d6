"""The proof of the air gap over the API: for operators alone, on record, and verifiable as a file."""

from importlib import metadata
from pathlib import Path

import pytest

from appliance.health.airgap import installed
from appliance.health.airgap import report as reports
from appliance.storage.checkpoints import box_of
from tests.simulators.box import Person, TestBox
from webui.security import CSP

WAYS = [("GET", "/airgap"), ("POST", "/airgap/test"), ("POST", "/airgap/report"), ("GET", "/airgap/report")]
PARTS = [
    "firewall", "sockets", "routes", "resolvers", "destinations", "units", "processes", "browser", "test", "software",
    "models", "record", "clock",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _few_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all that tests have installed takes seconds; `tests/unit/health` looks at how it is read."""
    few = [metadata.distribution("flask")]
    monkeypatch.setattr(installed.metadata, "distributions", lambda: few)


@pytest.mark.parametrize(("method", "path"), [*WAYS, ("GET", "//print/airgap")])
def test_nobody_but_operators_may(mallory: Person, bob: Person, method: str, path: str) -> None:
    for person in (mallory, bob):
        send = getattr(person, method.lower())
        assert send(path, **({"json": {}} if path == "/airgap/report" and method == "POST" else {})).status_code == 403


def test_a_look_tells_every_part_and_never_calls_unseen_good(alice: Person) -> None:
    told = alice.get("/airgap").get_json()
    assert [part["name"] for part in told["parts"]] == PARTS
    parts = {part["name"]: part for part in told["parts"]}
    assert parts["units"]["state"] == "unknown"  # no box of a test runs under systemd
    assert parts["models"]["state"] == "unknown"
    assert parts["browser"]["text"].replace(";\n", "; ") == CSP
    assert told["verdict"] in ("unproven", "open")
    assert "page.airgap" not in str(told)


def test_the_tries_are_made_everywhere_and_on_record(alice: Person, box: TestBox) -> None:
    told = alice.post("/airgap/test").get_json()
    part = next(part for part in told["parts"] if part["name"] == "test")
    rows = {(row[0], row[2]) for row in part["rows"]}
    assert ("Reading documents", "refused") in rows
    assert ("Reading documents", "not sent") not in rows
    assert {name for name, _outcome in rows} >= {"Pages (web)", "Background work (worker)", "Models (inference)"}
    assert not {outcome for _name, outcome in rows} & {"left"}
    entry = box.services.audit.entries(1, action="airgap-tested")[0]
    assert entry.detail["result"] == "ok"


def test_a_report_is_signed_on_record_and_verifies_as_a_file(alice: Person, box: TestBox, tmp_path: Path) -> None:
    made = alice.post("/airgap/report", json={})
    assert made.status_code == 201
    answer = alice.get("/airgap/report")
    assert "attachment" in answer.headers["Content-Disposition"]
    file = tmp_path / "hako-airgap.json"
    file.write_bytes(answer.data)
    found = reports.verify(file, box_of(box.services.audit.public_key))
    told = found.report()
    assert told.models.state == "ok"
    assert {model.id for model in told.models.models} >= {"talker", "embedder"}
    assert told.record.checkpoint
    entry = box.services.audit.entries(1, action="airgap-reported")[0]
    assert entry.detail["sha256"] == found.digest == made.get_json()["sha256"]
    assert alice.get("/airgap").get_json()["report"]["sha256"] == found.digest
    quick = alice.post("/airgap/report", json={"check_files": False}).get_json()
    assert quick["sha256"] != found.digest
    assert alice.post("/airgap/report", json={"check_file": False}).status_code == 400


def test_the_page_to_print_shows_the_report_that_was_made(alice: Person) -> None:
    alice.post("/airgap/report", json={"check_files": False})
    made = alice.get("/airgap").get_json()
    page = alice.get("//print/airgap").get_data(as_text=True)
    assert made["report"]["sha256"][:8] in page
    assert made["fingerprint"][:8] in page
    assert "default-src" in page
    assert "page.airgap" not in page
    assert '<html lang="ja"' in alice.get("//print/airgap?lang=ja").get_data(as_text=True)
