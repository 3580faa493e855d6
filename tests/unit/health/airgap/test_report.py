"""The signed report: it verifies elsewhere, and any change of it, by anybody, is noticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import AirgapReportError, AirgapSignatureError
from appliance.health.airgap import report as reports
from appliance.health.airgap.facts import (
    Browser,
    Clock,
    Destinations,
    Firewall,
    Models,
    Named,
    Processes,
    Record,
    Resolvers,
    Routes,
    Sockets,
    Software,
    Test,
    Units,
)  # fmt: skip
from appliance.health.airgap.report import Report, Signed, sign, verdict, verify
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness, box_of
from appliance.storage.database import Database
from appliance.vault.signing import SigningKey
from webui import airgap_words, locales

OK: dict[str, Any] = {
    "firewall": Firewall(state="ok"), "sockets": Sockets(state="ok"), "routes": Routes(state="ok"),
    "resolvers": Resolvers(state="ok"), "destinations": Destinations(state="ok"), "units": Units(state="ok"),
    "processes": Processes(state="ok"), "browser": Browser(state="ok", policy="default-src 'none'"),
    "test": Test(state="ok"), "software": Software(state="ok"), "models": Models(state="ok"),
    "record": Record(state="ok"), "clock": Clock(state="ok", now=1_800_000_000),
}  # fmt: skip


@pytest.fixture
def audit(database: Database, tmp_path: Path) -> Audit:
    return Audit(database, bytes(32), Witness(tmp_path / "checkpoints", bytes(range(32))))


def made(audit: Audit) -> Report:
    return Report.model_validate(
        {"box": box_of(audit.public_key), "name": "箱", "organisation": "みなと市", "version": "1", "at": 1_800_000_000}
        | {"verdict": verdict(OK)}
        | OK
    )


@pytest.fixture
def file(audit: Audit, tmp_path: Path) -> Path:
    path = tmp_path / "hako-airgap.json"
    path.write_text(sign(made(audit), audit).text(), "utf-8")
    return path


def test_a_file_verifies_without_the_box_and_names_it(file: Path, audit: Audit) -> None:
    found = verify(file)
    assert found.report() == made(audit)
    assert found.told["box"] == box_of(audit.public_key)
    assert verify(file, box_of(audit.public_key)).digest == found.digest


def test_written_in_another_way_it_still_says_the_same(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")), ensure_ascii=True, indent=7), "utf-8")
    verify(file)


@pytest.mark.parametrize("at", range(13))
def test_no_part_can_be_changed(file: Path, at: int) -> None:
    told = json.loads(file.read_text("utf-8"))
    told["report"][list(OK)[at]]["state"] = "unknown"
    file.write_text(json.dumps(told), "utf-8")
    with pytest.raises(AirgapSignatureError):
        verify(file)


def test_another_key_and_another_box_are_noticed(file: Path, audit: Audit) -> None:
    other = SigningKey(bytes(reversed(range(32))))
    told = json.loads(file.read_text("utf-8"))
    forged = Signed(told["report"], other.public, other.sign(reports._CONTEXT + reports._bytes(told["report"])))
    file.write_text(forged.text(), "utf-8")
    with pytest.raises(AirgapSignatureError):  # it still says that it is the first box's
        verify(file)
    relabelled = {**told["report"], "box": box_of(other.public)}
    own = Signed(relabelled, other.public, other.sign(reports._CONTEXT + reports._bytes(relabelled)))
    file.write_text(own.text(), "utf-8")
    verify(file)
    with pytest.raises(AirgapSignatureError):
        verify(file, box_of(audit.public_key))


def test_a_checkpoint_of_the_record_is_no_signature_of_a_report(audit: Audit) -> None:
    with pytest.raises(ValueError, match="context"):
        audit.attest(b"hako audit checkpoint 1\n", b"{}")
    with pytest.raises(ValueError, match="context"):
        audit.attest(b"no line", b"{}")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format":"x"}', "[" * 100_000, '{"report":{},"report":{}}'])
def test_what_is_no_report_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(AirgapReportError):
        verify(tmp_path / "x.json")


def test_half_a_file_and_none_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])
    for path in (file, tmp_path / "none.json"):
        with pytest.raises(AirgapReportError):
            verify(path)


def test_a_name_that_stands_twice_is_refused(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace('"name": ', '"name": "x", "name": ', 1), "utf-8")
    with pytest.raises(AirgapReportError):
        verify(file)


def test_what_the_parts_come_to() -> None:
    assert verdict(OK) == "closed"
    for name, part in OK.items():
        assert verdict({**OK, name: part.model_copy(update={"state": "unknown"})}) == "unproven"
        assert verdict({**OK, name: part.model_copy(update={"state": "error"})}) == "open"
    named = Destinations(
        state="warning", about=("destination-named",), named=(Named(name="a", url="http://x", address="10.0.0.1"),)
    )
    assert verdict({**OK, "destinations": named}) == "named"


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_word_of_every_part_is_there(audit: Audit, language: locales.Language) -> None:
    text = airgap_words.text(made(audit), language)
    assert "page.airgap" not in text
    assert box_of(audit.public_key)[:8] in text
