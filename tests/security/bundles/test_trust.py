"""Whose word counts, and how long: the attack cases on keys, versions and dates, each on a whole box."""

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from appliance import clock
from appliance.bundle.trust.state import COPIES
from appliance.errors import (
    BundleExpiredError,
    BundleInvalidError,
    BundleRollbackError,
    BundleSignatureError,
    BundleStaleError,
    TrustDamagedError,
)
from tests.simulators.bundle_cases import TARGET, everything_is_whole, refused, take
from tests.simulators.publisher import DAY, Publisher, resign
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


def test_case_01_a_valid_newer_bundle_is_taken_and_the_mark_rises(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)
    before = box.bundles.anchors.demand().serial
    sticks.write(stick)
    box.bundles.look(str(stick))
    assert box.bundles.anchors.demand().serial > before > 0


def test_case_03_an_older_complete_bundle_is_a_rollback(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(sticks.write(tmp_path / "newer")))
    refused(box, stick, BundleRollbackError)


def test_case_04_emptied_or_older_trust_files_do_not_open_the_way_back(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    (memory,) = (box.settings.data_dir / "trust").iterdir()
    shutil.copytree(memory, tmp_path / "old-memory")
    newer = sticks.write(tmp_path / "newer")
    box.bundles.look(str(newer))
    (memory / COPIES[0]).write_bytes(b"")
    refused(box, stick, BundleRollbackError)
    box.bundles.look(str(newer))
    for copy in COPIES:
        (memory / copy).write_bytes(b"")
    refused(box, stick, TrustDamagedError)
    shutil.rmtree(memory)
    refused(box, stick, TrustDamagedError)
    # Both copies put back as they were: sealed by this very box, and older than what the database remembers.
    shutil.copytree(tmp_path / "old-memory", memory, dirs_exist_ok=True)
    refused(box, stick, TrustDamagedError)


@pytest.mark.parametrize("now", [0.0, 20 * 365 * DAY], ids=["1970", "20 years ahead"])
def test_case_05_06_a_clock_that_can_not_be_right_is_not_gone_by(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    moment = now if now == 0 else clock.now() + now
    monkeypatch.setattr("appliance.bundle.remembered.clock.now", lambda: moment)
    look = box.bundles.look(str(stick))
    assert (look.clock_is_credible, look.issued) == (False, int(sticks.publisher.now))


def test_case_07_signatures_past_their_date_are_stale(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = sticks.write(tmp_path / "stick", days=30)
    box.bundles.look(str(stick))
    later = clock.now() + 40 * DAY
    monkeypatch.setattr("appliance.bundle.remembered.clock.now", lambda: later)
    refused(box, stick, BundleStaleError)


def test_case_13_a_new_root_signed_by_new_keys_only_is_refused(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    sticks.publisher.renew("root")
    sticks.publisher.new_root(signed_by=sticks.publisher.signers["root"])
    refused(box, sticks.write(tmp_path / "taken-over"), BundleSignatureError)


def test_case_14_a_new_root_of_old_and_new_keys_is_followed_without_anybody_asked(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    for role in ("root", "targets", "snapshot", "timestamp"):
        sticks.publisher.renew(role)
    sticks.publisher.new_root()
    assert take(box, sticks, sticks.write(tmp_path / "rotated")) is None


def test_case_15_a_gap_in_the_roots_is_seen(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stick = sticks.write(tmp_path / "stick")
    (stick / "metadata" / "3.root.json").write_bytes(sticks.publisher.anchor)
    assert box.bundles.look(str(stick)).broken_chain == 3


def test_case_17_a_stolen_timestamp_key_brings_nothing_in(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    def ahead(signed: dict[str, Any]) -> None:
        signed["version"] = 2_000_000

    place = stick / "metadata" / "timestamp.json"
    place.write_bytes(resign(place.read_bytes(), sticks.publisher.signers["timestamp"], ahead))
    assert [found.index.name for found in box.bundles.look(str(stick)).bundles] == ["pack"]
    refused(box, sticks.write(tmp_path / "honest"), BundleRollbackError)
    sticks.publisher.renew("timestamp")
    sticks.publisher.renew("snapshot")
    sticks.publisher.new_root()
    assert box.bundles.look(str(sticks.write(tmp_path / "recovered"))).bundles


def test_case_18_a_key_for_content_does_not_sign_models(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    moved = sticks.publisher.delegated.pop("models")
    sticks.publisher.delegated["content"] = moved
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_18_a_kind_under_another_roles_path_is_refused(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stray = "content/pack/1.0/index.json"
    sticks.sign(sticks.indexes[TARGET], stray, "content")
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_19_parts_of_two_statements_do_not_mix(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    newer = sticks.write(tmp_path / "newer")
    shutil.copy(stick / "metadata" / "1.targets.json", newer / "metadata" / "2.targets.json")
    refused(box, newer, BundleRollbackError)


def test_case_34_unknown_keys_are_refused(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stranger = Sticks(tmp_path / "stranger", clock.now())
    for target, index in sticks.indexes.items():
        stranger.sign(index, target)
    refused(box, stranger.write(tmp_path / "stick"), BundleSignatureError)


def test_case_34_an_unsigned_stick_is_refused(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    place = stick / "metadata" / "timestamp.json"
    place.write_bytes(json.dumps({**json.loads(place.read_bytes()), "signatures": []}).encode())
    refused(box, stick, BundleSignatureError)


def test_case_34_signatures_of_one_manager_do_not_reach_the_threshold(
    box: TakingBox, sticks: Sticks, tmp_path: Path
) -> None:
    sticks.publisher.signers["targets"] = sticks.publisher.signers["targets"][:1]
    refused(box, sticks.write(tmp_path / "stick"), BundleSignatureError)


def test_case_34_a_role_signed_by_somebody_else_is_refused(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    place = stick / "metadata" / "1.models.json"
    place.write_bytes(resign(place.read_bytes(), [CryptoSigner.generate_ed25519()], lambda _signed: None))
    refused(box, stick, BundleSignatureError)


def test_a_publisher_that_was_replaced_is_an_unknown_one(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    other = Publisher(clock.now())
    box.bundles.trust(
        other.anchor,
        hashlib.sha256(other.anchor).hexdigest(),
        "alice",
        replaces=box.bundles.anchors.demand().fingerprint,
    )
    refused(box, stick, BundleSignatureError)


def test_case_02_a_root_that_is_not_there_yet_is_the_end_of_the_chain(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    assert not (stick / "metadata" / "2.root.json").exists()
    assert box.bundles.look(str(stick)).broken_chain is None


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """The clock of the box from now on."""
    moment = time.time() + days * DAY
    monkeypatch.setattr(clock, "now", lambda: moment)


def past_its_date(sticks: Sticks, folder: Path, monkeypatch: pytest.MonkeyPatch, days: float = 40) -> Path:
    """A stick whose signatures held for 30 days, and a clock that is `days` further."""
    stick = sticks.write(folder, days=30)
    later(monkeypatch, days)
    return stick


def test_case_07_an_operator_accepts_a_statement_past_its_date_for_a_day_and_with_a_reason(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = past_its_date(sticks, tmp_path / "stick", monkeypatch)
    refused(box, stick, BundleStaleError)
    seen = box.bundles.accept_stale(str(stick), "the ferry is late", "alice")
    assert (seen.is_stale, seen.issued, len(seen.bundles)) == (True, int(sticks.publisher.now), 1)
    (entry,) = (entry for entry in box.audit.entries() if entry.action == "bundle-stale-accepted")
    assert (entry.actor, entry.detail["reason"]) == ("alice", "the ferry is late")
    later(monkeypatch, 40.9)
    assert box.bundles.look(str(stick)).is_stale
    later(monkeypatch, 41.1)
    refused(box, stick, BundleStaleError)
    box.bundles.accept_stale(str(stick), "still late", "alice")
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


def test_case_07_what_is_accepted_past_its_date_is_judged_in_all_else(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = sticks.write(tmp_path / "old", days=30)
    newer = past_its_date(sticks, tmp_path / "newer", monkeypatch)
    forged = Path(shutil.copytree(newer, tmp_path / "forged"))
    place = forged / "metadata" / "timestamp.json"
    place.write_bytes(resign(place.read_bytes(), [CryptoSigner.generate_ed25519()], lambda _signed: None))
    with pytest.raises(BundleSignatureError):
        box.bundles.accept_stale(str(forged), "hurry", "alice")
    box.bundles.accept_stale(str(newer), "hurry", "alice")
    with pytest.raises(BundleRollbackError):
        box.bundles.accept_stale(str(old), "hurry", "alice")
    assert box.trail.count("bundle-stale-accepted") == 1


def test_case_07_what_was_past_its_date_before_the_newest_that_is_known_can_not_be_accepted(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sticks.publisher.now += 40 * DAY
    box.bundles.look(str(sticks.write(tmp_path / "newest")))
    sticks.publisher.now -= 40 * DAY
    stick = past_its_date(sticks, tmp_path / "stick", monkeypatch, days=41)
    for _ in range(2):
        with pytest.raises(BundleExpiredError):
            box.bundles.accept_stale(str(stick), "hurry", "alice")
    assert "bundle-stale-accepted" not in box.trail


def test_case_07_nothing_is_accepted_of_a_stick_within_its_date(box: TakingBox, stick: Path) -> None:
    assert not box.bundles.accept_stale(str(stick), "to be sure", "alice").is_stale
    assert "bundle-stale-accepted" not in box.trail


def test_case_16_one_key_under_two_names_does_not_reach_a_threshold(
    box: TakingBox, sticks: Sticks, tmp_path: Path
) -> None:
    sticks.publisher.sign_with_one_key_twice()
    refused(box, sticks.write(tmp_path / "stick"), BundleSignatureError)


def test_case_34_who_is_refused_names_the_role_that_is_not_signed(
    box: TakingBox, sticks: Sticks, tmp_path: Path
) -> None:
    stranger = Sticks(tmp_path / "stranger", clock.now())
    stranger.sign(sticks.indexes[TARGET], TARGET)
    with pytest.raises(BundleSignatureError) as seen:
        box.bundles.look(str(stranger.write(tmp_path / "stick")))
    assert "timestamp" in seen.value.detail
