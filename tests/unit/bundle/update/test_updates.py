"""A box that is offered releases of itself: which it takes, when it may change to one, what it never runs again."""

import shutil
from typing import Any

import pytest

import appliance
from appliance.bundle.update import install, switch
from appliance.bundle.update.state import BASE, MANIFEST, Phase
from appliance.bundle.update.updates import BY_OPERATOR, Updates
from appliance.errors import (
    AuditBrokenError,
    BundleInvalidError,
    BundleRollbackError,
    BundleWrongBoxError,
    ContainerReleaseError,
    IrreversibleError,
    NoReleaseError,
    ReleaseFailedError,
    ReleaseFloorError,
    TrustDamagedError,
    UnhealthyError,
    UpdateTrialError,
)
from appliance.storage import settings_store
from tests.simulators.release_offers import STEPS, Offered, kept
from tests.simulators.taking_box import TakingBox


def test_a_release_is_installed_beside_the_running_one_and_waits(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    stick = offered.stick("0.2.0", 2, floor=1)
    (found,) = box.bundles.look(str(stick)).bundles
    assert (found.plan.restarts, found.plan.refusals, found.plan.models) == (("box",), (), ())
    assert box.take(stick, offered.digest).state == "done"
    standing = updates.standing()
    assert standing.ready is not None
    assert (standing.update.phase, standing.ready.version, standing.ready.counter) == (Phase.INSTALLED, "0.2.0", 2)
    assert (updates.places.current, updates.places.is_in_use, box.leftovers) == (BASE, False, [])
    assert box.trail[-1] == "bundle-taken"
    assert box.take(stick, offered.digest).state == "done"  # once more does no harm
    assert updates.places.read().phase is Phase.INSTALLED


def test_what_is_below_what_was_installed_is_a_rollback_and_what_is_below_the_floor_never_runs(
    updates: Updates, offered: Offered
) -> None:
    kept(updates, offered.take("0.5.0", 5, floor=3))
    assert updates.standing().floor == 3
    assert offered.refusal("0.4.0", 4) is BundleRollbackError
    assert offered.refusal("0.2.0", 2) is ReleaseFloorError
    assert offered.refusal("0.5.1", 5) is BundleRollbackError  # another one under the same number
    assert offered.take("0.6.0", 6).version == "0.6.0"


def test_a_database_from_before_does_not_lower_the_floor(box: TakingBox, updates: Updates, offered: Offered) -> None:
    kept(updates, offered.take("0.5.0", 5, floor=3))
    updates.settle()
    settings_store.delete(box.database, "release_mark")
    assert updates.mark == (5, 3)
    (memory,) = (box.settings.data_dir / "trust").iterdir()
    for copy in memory.glob("trust-*.json"):
        copy.write_bytes(b"{}")
    with pytest.raises(TrustDamagedError):
        updates.standing()


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"manifest": {"python": "3.99"}}, BundleWrongBoxError),
        ({"manifest": {"machine": "vax"}}, BundleWrongBoxError),
        ({"manifest": {"version": "0.2.1"}}, BundleInvalidError),
        ({"manifest": {"counter": 3}}, BundleInvalidError),
        ({"manifest": {"reads_from": STEPS + 1}}, BundleInvalidError),
        ({"manifest": {"wheels": []}}, BundleInvalidError),
        ({"manifest": {"extra": 1}}, BundleInvalidError),
        ({"change": lambda content: (content / "wheels" / "more-1-py3-none-any.whl").touch()}, BundleInvalidError),
        ({"change": lambda content: (content / "setup.py").write_text("evil()")}, BundleInvalidError),
        ({"change": lambda content: (content / MANIFEST).unlink()}, BundleInvalidError),
        ({"change": lambda content: next((content / "wheels").iterdir()).chmod(0o700)}, BundleInvalidError),
        ({"change": lambda content: next((content / "wheels").iterdir()).write_bytes(b"other")}, BundleInvalidError),
    ],
)
def test_a_release_for_another_machine_or_that_is_not_what_it_says_is_refused(
    offered: Offered, more: dict[str, Any], kind: type[Exception]
) -> None:
    assert offered.refusal("0.2.0", 2, **more) is kind


def test_a_release_that_can_not_be_installed_leaves_the_box_as_it_was(
    box: TakingBox, updates: Updates, offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: object) -> None:
        raise ReleaseFailedError(step="install")

    monkeypatch.setattr(install, "install", broken)
    stick = offered.stick("0.2.0", 2)
    job = box.take(stick, offered.digest)
    assert (job.error_code, job.error_params) == (ReleaseFailedError.code, {"step": "install"})
    assert (updates.standing().ready, updates.places.current) == (None, BASE)
    with pytest.raises(NoReleaseError):
        updates.start(offered.digest, "alice", "closed")


def test_only_a_healthy_box_is_updated(
    box: TakingBox, updates: Updates, offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = offered.take("0.2.0", 2)
    with pytest.raises(UnhealthyError) as seen:
        updates.start(made.digest, "alice", "open")
    assert seen.value.params == {"what": "egress"}
    shutil.move(box.settings.models / "talker", box.settings.data_dir / "elsewhere")
    with pytest.raises(UnhealthyError) as seen:
        updates.start(made.digest, "alice", "closed")
    assert seen.value.params == {"what": "talker"}
    shutil.move(box.settings.data_dir / "elsewhere", box.settings.models / "talker")
    with box.database.write() as connection:
        connection.execute("drop trigger audit_no_update")
        connection.execute("update audit set actor = 'mallory' where number = 1")
    with pytest.raises(UnhealthyError) as seen:
        updates.start(made.digest, "alice", "closed")
    assert seen.value.params["what"] == AuditBrokenError.code
    assert updates.places.read().phase is Phase.INSTALLED


def test_a_release_without_a_way_back_must_be_agreed_to_and_then_has_none(updates: Updates, offered: Offered) -> None:
    made = offered.take("0.2.0", 2, irreversible=True)
    with pytest.raises(IrreversibleError):
        updates.start(made.digest, "alice", "closed")
    kept(updates, made)
    assert updates.standing().back is None
    with pytest.raises(NoReleaseError):
        updates.roll_back("alice")


def test_while_a_release_is_on_trial_nothing_else_is_taken_or_begun(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    made = offered.take("0.2.0", 2)
    updates.start(made.digest, "alice", "closed")
    stick = offered.stick("0.3.0", 3)
    for _ in range(2):
        with pytest.raises(UpdateTrialError):
            box.bundles.take(str(stick), offered.digest, "alice")
        with pytest.raises(UpdateTrialError):
            updates.start(made.digest, "alice", "closed")
        switch.advance(updates.places)
    assert updates.places.read().is_trial


def test_an_operator_takes_back_a_trial_and_the_reason_is_recorded(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    made = offered.take("0.2.0", 2)
    updates.start(made.digest, "alice", "closed")
    switch.advance(updates.places)
    assert updates.roll_back("alice").reason == BY_OPERATOR
    assert switch.advance(updates.places).phase is Phase.ROLLED_BACK
    standing = updates.standing()
    assert standing.ready == made  # it may be tried again
    (entry,) = (entry for entry in box.audit.entries() if entry.action == "update-rolled-back")
    assert (entry.detail["reason"], entry.actor) == (BY_OPERATOR, "alice")
    updates.standing()
    assert box.trail.count("update-rolled-back") == 1
    assert updates.mark == (appliance.COUNTER, 0)  # what was not kept raises nothing


def test_going_back_after_the_commit_keeps_what_was_done_since_and_stops_at_the_floor(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    kept(updates, offered.take("0.2.0", 2))
    settings_store.put(box.database, "done since", 1)
    assert updates.standing().back is not None
    updates.roll_back("alice")
    assert switch.advance(updates.places).phase is Phase.ROLLED_BACK
    assert (updates.places.current, settings_store.get(box.database, "done since")) == (BASE, 1)

    kept(updates, offered.take("0.3.0", 3))
    kept(updates, offered.take("0.4.0", 4, floor=4))
    with pytest.raises(ReleaseFloorError):
        updates.roll_back("alice")
    assert updates.places.read().phase is Phase.COMMITTED


def test_a_release_before_that_is_too_old_for_the_database_is_no_way_back(updates: Updates, offered: Offered) -> None:
    ahead = {"schema_steps": STEPS + 2, "reads_from": STEPS + 1}
    kept(updates, offered.take("0.2.0", 2, manifest=ahead))
    assert updates.standing().back is None
    with pytest.raises(NoReleaseError):
        updates.roll_back("alice")


def test_the_way_back_stays_open_while_the_next_release_waits(updates: Updates, offered: Offered) -> None:
    kept(updates, offered.take("0.2.0", 2))
    waiting = offered.take("0.3.0", 3)
    standing = updates.standing()
    assert standing.back is not None
    assert (standing.back.version, standing.ready) == (appliance.__version__, waiting)
    assert updates.roll_back("alice").target.version == "0.2.0"
    switch.advance(updates.places)
    assert updates.places.current == BASE


def test_what_no_link_leads_to_any_more_is_removed_at_the_next_installation(updates: Updates, offered: Offered) -> None:
    kept(updates, offered.take("0.2.0", 2))
    kept(updates, offered.take("0.3.0", 3))
    offered.take("0.4.0", 4)
    assert sorted(folder.name[:5] for folder in updates.places.root.glob("0.*")) == ["0.2.0", "0.3.0", "0.4.0"]
    offered.take("0.5.0", 5)
    assert sorted(folder.name[:5] for folder in updates.places.root.glob("0.*")) == ["0.2.0", "0.3.0", "0.5.0"]


def test_a_box_in_a_container_takes_no_release_and_starts_none(
    box: TakingBox, updates: Updates, offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = offered.take("0.2.0", 2)
    contained = box.settings.model_copy(update={"container": True})
    monkeypatch.setattr(box.bundles._planner, "_settings", contained)
    monkeypatch.setattr(updates, "_settings", contained)
    assert offered.refusal("0.3.0", 3) is ContainerReleaseError
    for change in (
        lambda: updates.start(release.digest, "alice", "closed"),
        lambda: updates.roll_back("alice"),
        lambda: updates.preview("closed"),
    ):
        with pytest.raises(ContainerReleaseError):
            change()
    assert updates.places.read().phase is Phase.INSTALLED
