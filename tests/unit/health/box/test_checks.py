"""Each check sees a sound box as sound, and what a test breaks with its finding, its words and its button."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.update.state import Phase, Places, Release, Update
from appliance.bundle.update.system import Room
from appliance.bundle.update.system_state import Standing, SystemPlaces
from appliance.errors import InferenceUnreachableError, KeysUnreachableError
from appliance.health.box import digests
from appliance.health.box.audit_log import AuditCheck
from appliance.health.box.backup import BackupCheck
from appliance.health.box.database import DatabaseCheck
from appliance.health.box.digests import DigestsCheck
from appliance.health.box.egress import EgressCheck
from appliance.health.box.engines import EnginesCheck
from appliance.health.box.index import IndexCheck
from appliance.health.box.keys import KeysCheck
from appliance.health.box.models import ModelsCheck
from appliance.health.box.parts import BackupState
from appliance.health.box.provider import ProviderCheck
from appliance.health.box.queue import QueueCheck
from appliance.health.box.secrets import SecretsCheck
from appliance.health.box.update import UpdateCheck
from appliance.health.box.watch import WatchCheck
from appliance.health.finding import Look
from appliance.health.fixes import FIXES
from appliance.inference import flavour, genai
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.knowledge import index
from appliance.machine.gap import Gap, GapWatch
from appliance.vault.protocol import VaultStatus
from tests.simulators.library import Library, member
from tests.simulators.two_slots import own
from tests.unit.health.conftest import Lab
from webui import locales

DAY_S = 24 * 3600.0


def found(look: Look) -> list[tuple[str, str]]:
    """What was found, after seeing that there are words for all that the look says."""
    words = locales.catalogue("ja").keys() & locales.catalogue("en").keys()
    for part, word in (("value", look.value), ("note", look.note)):
        assert not word or f"health.{look.check}.{part}.{word}" in words, (part, word)
    for finding in look.findings:
        assert finding.check == look.check
        for part in ("title", "meaning", "advice"):
            text = locales.catalogue("en")[f"health.{look.check}.{finding.name}.{part}"]
            text.format(**finding.params)  # raises where a figure is missing
    return [(finding.name, finding.state) for finding in look.findings]


def states(monkeypatch: pytest.MonkeyPatch, said: Mapping[str, Mapping[str, Any]] | None) -> None:
    """What the process that runs the models says of them; None: nothing at all."""

    def status(_self: InferenceClient) -> Mapping[str, Mapping[str, Any]]:
        if said is None:
            raise InferenceUnreachableError("down")
        return said

    monkeypatch.setattr(InferenceClient, "status", status)


def model(state: str = "loaded", **more: Any) -> dict[str, Any]:
    return {"state": state, "error": None, "waiting": 0, "busy": 0, "provider": "cpu", **more}


@pytest.mark.parametrize(
    ("state", "age_days", "every_h", "expected"),
    [
        ("ok", 1, 24, []),
        ("ok", 6, 0, []),
        ("ok", 3, 24, [("old", "warning")]),
        ("ok", 8, 0, [("old", "warning")]),
        ("ok", 31, 0, [("old", "error")]),
        ("failed", 1, 24, [("failed", "error")]),
        ("off", None, 0, [("never", "warning")]),
        ("failed", None, 24, [("failed", "error")]),
    ],
)
def test_backups(lab: Lab, state: Any, age_days: float | None, every_h: int, expected: list[Any]) -> None:
    made_at = None if age_days is None else clock.now() - age_days * DAY_S
    lab.backup = BackupState(state, made_at, every_h * 3600.0, "/media/a" if every_h else "")
    look = BackupCheck().look(lab.parts)
    assert found(look) == expected
    kinds = {finding.fix.kind for finding in look.findings if finding.fix}
    assert kinds <= ({"do"} if every_h else {"go"})


def test_the_record_of_actions_is_read_whole_at_first_and_then_daily(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.box.audit.record("alice", "sign-in", "alice")
    lab.box.audit.checkpoint()
    check = AuditCheck()
    look = check.look(lab.parts)
    assert (found(look), look.params["entries"]) == ([], 1)
    with lab.box.database.write() as connection:
        connection.execute("drop trigger audit_no_update")
        connection.execute("update audit set actor = 'mallory'")
    assert found(AuditCheck().look(lab.parts)) == [("not_whole", "error")]
    lab.box.audit.report = None
    assert found(check.look(lab.parts)) == []  # only what is new is looked at
    later = time.time() + 25 * 3600
    monkeypatch.setattr(clock, "now", lambda: later)
    assert [found(check.look(lab.parts)) for _turn in range(2)] == [[("not_whole", "error")]] * 2


def test_the_database(lab: Lab) -> None:
    with lab.box.database.write() as connection:
        connection.executemany(
            "insert into settings (name, value) values (?, ?)", [(f"filler-{n}", "x" * 2000) for n in range(200)]
        )
    assert found(DatabaseCheck().look(lab.parts)) == []
    lab.box.close()
    path = lab.settings.database
    sound = path.read_bytes()
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)
    lab.open()
    assert found(DatabaseCheck().look(lab.parts)) == [("damaged", "error")]
    lab.box.close()
    path.write_bytes(sound)
    lab.open()
    assert found(DatabaseCheck().look(lab.parts)) == []


def test_models(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.set_inference(chat_model="talker", embedding_model="embedder")
    scripted.install(lab.settings.models, "talker", "chat")
    scripted.install(lab.settings.models, "embedder", "embedding")
    states(monkeypatch, {"talker": model(waiting=2)})
    look = ModelsCheck().look(lab.parts)
    assert (found(look), look.measures) == ([], {"answers.waiting": 2})
    states(monkeypatch, {"talker": model("quarantined"), "embedder": model("failed", error={"code": "HK-MOD-009"})})
    assert found(ModelsCheck().look(lab.parts)) == [("quarantined", "error"), ("failing", "error")]
    states(monkeypatch, {})
    (lab.settings.models / "talker" / "script").write_bytes(b"cut")
    assert found(ModelsCheck().look(lab.parts)) == [("damaged", "error")]
    (lab.settings.models / "embedder").rename(lab.settings.models / "elsewhere.gone")
    assert ("absent", "error") in found(ModelsCheck().look(lab.parts))
    states(monkeypatch, None)
    assert found(ModelsCheck().look(lab.parts)) == [("silent", "error")]


def test_what_models_run_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, {})
    assert ProviderCheck().look(lab.parts).state == "unknown"
    states(monkeypatch, {"talker": model()})
    look = ProviderCheck().look(lab.parts)
    assert (found(look), look.params["used"]) == ([], "CPU")
    lab.set_inference(provider="cuda")
    assert found(ProviderCheck().look(lab.parts)) == [("not_cuda", "warning")]
    states(monkeypatch, {"talker": model(provider="cuda")})
    assert found(ProviderCheck().look(lab.parts)) == []
    lab.set_inference(provider="auto")
    states(monkeypatch, {"talker": model(), "embedder": model(fell_back=True)})
    assert found(ProviderCheck().look(lab.parts)) == [("fell_back", "warning")]


def test_files_of_models_are_read_one_by_one_and_again_after_a_week(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.install(lab.settings.models, "talker", "chat")
    scripted.install(lab.settings.models, "embedder", "embedding")
    script = lab.settings.models / "talker" / "script"
    content = bytearray(script.read_bytes())
    content[0] ^= 1
    script.write_bytes(content)  # as long as before
    looks = [DigestsCheck().look(lab.parts) for _turn in range(2)]
    assert [look.params["count"] for look in looks] == [1, 2]
    assert found(looks[-1]) == [("differs", "error")]
    content[0] ^= 1
    script.write_bytes(content)
    assert found(DigestsCheck().look(lab.parts)) == [("differs", "error")]  # it isn't read each time
    assert digests.verify(lab.parts, "talker")
    assert found(DigestsCheck().look(lab.parts)) == []
    later = clock.now() + digests.AGAIN_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    script.write_bytes(b"another")
    assert [found(DigestsCheck().look(lab.parts)) for _turn in range(2)][-1] == [("differs", "error")]


def test_the_index_lacks_a_passage_until_it_is_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(lab.box.database, lab.settings.data_dir / "library")
    alice = lab.box.users.create("alice", "Alice", "member", "correct-horse-battery", "en")
    who = dataclasses.replace(member("alice"), user_id=alice.id)
    base = library.bases.create(who, "Rules")
    library.take_in(who, base, "# Keys\n\nThe red key opens the pharmacy.")
    look = IndexCheck().look(lab.parts)
    assert (found(look), look.value, look.params["passages"]) == ([], "current", 1)
    with lab.box.database.write() as connection:
        (number,) = connection.execute("select number from bases where id = ?", (base.id,)).fetchall()[0]
        index.drop(connection, number)
        index.create(connection, number)
    assert found(IndexCheck().look(lab.parts)) == [("incomplete", "error")]
    assert library.found([library.bases.get(who, base.id)], "pharmacy") == []
    FIXES["rebuild-index"](lab.parts, "")
    assert found(IndexCheck().look(lab.parts)) == []
    assert library.found([library.bases.get(who, base.id)], "pharmacy")
    library.add(who, base, "# Later\n\nIt waits.", "b.md")
    later = time.time() + 3 * 3600
    monkeypatch.setattr(clock, "now", lambda: later)
    look = IndexCheck().look(lab.parts)
    assert (found(look), look.value) == ([("late", "warning")], "behind")


def test_work_that_waits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(QueueCheck().look(lab.parts)) == []
    lab.box.queue.enqueue("ingest", {})
    look = QueueCheck().look(lab.parts)
    assert (found(look), look.measures) == ([], {"jobs.waiting": 1})
    for hours, expected in ((2, [("slow", "warning")]), (13, [("stuck", "error")])):
        later = time.time() + hours * 3600
        monkeypatch.setattr(clock, "now", lambda at=later: at)
        assert found(QueueCheck().look(lab.parts)) == expected


def test_the_age_of_the_release(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert UpdateCheck().look(lab.parts).state == "unknown"  # nobody has set it up
    lab.box.users.create("alice", "Alice", "operator", "correct-horse-battery", "en")
    assert found(UpdateCheck().look(lab.parts)) == []
    places = Places(lab.settings.releases, lab.settings.data_dir)
    places.root.mkdir(exist_ok=True)
    places.write(Update(Phase.ROLLED_BACK, Release(name="two", version="0.2.0", counter=2), reason="check-answer"))
    assert found(UpdateCheck().look(lab.parts)) == [("taken_back", "warning")]
    later = time.time() + 181 * DAY_S
    monkeypatch.setattr(clock, "now", lambda: later)
    assert found(UpdateCheck().look(lab.parts)) == [("taken_back", "warning"), ("old", "warning")]


def test_a_slot_that_nothing_could_be_started_from(lab: Lab) -> None:
    room = Room(root=1, tree=1, esp=1, kept=1)
    for alone in (False, True):
        SystemPlaces(lab.settings.releases).say(Standing(slot="a", running=own(1), room=room, alone=alone))
        assert found(UpdateCheck().look(lab.parts)) == ([("alone", "warning")] if alone else [])


def test_the_vault(lab: Lab) -> None:
    assert found(KeysCheck().look(lab.parts.plain)) == []
    lab.vault = VaultStatus(exists=True, sealed=True, recovery_confirmed=False)
    look = KeysCheck().look(lab.parts.plain)
    assert found(look) == [("sealed", "warning"), ("unconfirmed", "warning")]
    lab.vault = VaultStatus(exists=False, sealed=True, recovery_confirmed=False)
    assert KeysCheck().look(lab.parts.plain).state == "unknown"

    def silent() -> VaultStatus:
        raise KeysUnreachableError("down")

    look = KeysCheck().look(dataclasses.replace(lab.parts.plain, vault=silent))
    assert (look.state, found(look)) == ("unknown", [])


def test_the_air_gap(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for state, expected in (("closed", []), ("open", [("open", "error")]), ("unknown", [])):
        monkeypatch.setattr(GapWatch, "look", lambda _self, state=state: Gap(state, 0, 0.0))
        look = EgressCheck().look(lab.parts.plain)
        assert (found(look), look.state == "unknown") == (expected, state == "unknown")
    lab.settings.destinations.parent.mkdir(parents=True, exist_ok=True)
    lab.settings.destinations.write_text("{", "utf-8")
    assert ("unreadable", "error") in found(EgressCheck().look(lab.parts.plain))


def test_the_data_folder(lab: Lab) -> None:
    assert found(SecretsCheck().look(lab.parts.plain)) == []
    lab.settings.passphrase_file.write_text("secret", "utf-8")
    lab.settings.data_dir.chmod(0o755)
    assert found(SecretsCheck().look(lab.parts.plain)) == [("readable", "error"), ("passphrase_file", "warning")]


def test_engines(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(EnginesCheck().look(lab.parts.plain)) == []
    monkeypatch.setattr(flavour, "installed", lambda: ("cpu", "gpu"))
    monkeypatch.setattr(genai, "installed", lambda: ("cpu",))
    assert found(EnginesCheck().look(lab.parts.plain)) == [("flavours", "error"), ("mixed", "error")]


def test_the_watch_over_the_machine(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WatchCheck().look(lab.parts).state == "unknown"
    lab.settings.health_file.parent.mkdir(parents=True, exist_ok=True)
    lab.settings.health_file.write_text("[]", "utf-8")
    assert found(WatchCheck().look(lab.parts)) == []
    later = time.time() + 400
    monkeypatch.setattr(clock, "now", lambda: later)
    assert found(WatchCheck().look(lab.parts)) == [("silent", "error")]
