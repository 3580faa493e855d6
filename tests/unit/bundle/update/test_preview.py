"""What an operator is told before and after a change of release: what differs, how long, what is wrong, how it went."""

import shutil

import pytest

import appliance
from appliance.bundle.update import history, launch, preview, switch
from appliance.bundle.update.history import Change
from appliance.bundle.update.state import BASE, Phase, Places
from appliance.bundle.update.updates import BY_OPERATOR, Updates
from appliance.errors import DiskFullError, LeavingSeenError, OwnModelError, ReleaseFloorError
from appliance.inference import importing
from tests.simulators.release_offers import STEPS, Offered, kept
from tests.simulators.taking_box import TakingBox

NOTES = {"ja": "表の読み取りを改善しました。", "en": "Tables are read better."}


def change(**times: float) -> Change:
    at = max(times.values(), default=0.0)
    return Change("0.2.0", "0.1.0", True, True, "", "", "alice", at, times)


def test_the_plan_says_what_the_release_brings(updates: Updates, offered: Offered) -> None:
    offered.take("0.2.0", 2, notes=NOTES, floor=1, manifest={"schema_steps": STEPS + 2})
    plan = updates.preview("closed")
    assert (plan.before.version, plan.after.version) == (appliance.__version__, "0.2.0")
    assert (plan.about["notes"], plan.about["title"]["en"]) == (NOTES, "Tiny")
    assert (plan.schema_steps, plan.after.floor) == (2, 1)
    assert plan.about["packages"] == {}  # the box itself is no package of it
    assert 0 < plan.snapshot < plan.free
    assert (plan.blockers, plan.time.measured) == ((), False)


def test_packages_are_compared_with_those_that_run(updates: Updates, offered: Offered) -> None:
    made = offered.take("0.2.0", 2)
    updates.places.note_about(made.name, {"packages": {"click": "0.0.1", "brought-along": "3"}})
    (added, renewed) = updates.preview("closed").packages
    assert (added.name, added.before, added.after) == ("brought-along", "", "3")
    assert (renewed.name, renewed.after) == ("click", "0.0.1")
    assert renewed.before not in ("", "0.0.1")


def test_everything_that_is_in_the_way_is_named(
    box: TakingBox, updates: Updates, offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered.take("0.2.0", 2)
    shutil.move(box.settings.models / "talker", box.settings.data_dir / "elsewhere")
    monkeypatch.setattr(importing, "_ROOM_BYTES", 1 << 60)
    kinds = [type(error) for error in updates.preview("open").blockers]
    assert kinds == [LeavingSeenError, OwnModelError, DiskFullError]


def test_one_that_the_floor_has_passed_is_in_the_way_of_itself(updates: Updates, offered: Offered) -> None:
    offered.take("0.2.0", 2)
    waiting = updates.places.read().target
    offered.take("0.5.0", 5, floor=3)
    kept(updates, updates.places.read().target)
    updates.settle()
    with updates.places.held() as held:
        held.change(phase=Phase.INSTALLED, target=waiting)
    (updates.places.folder(waiting.name) / "venv").mkdir(parents=True, exist_ok=True)
    (updates.places.folder(waiting.name) / "release.json").write_text("{}")
    assert [type(error) for error in updates.preview("closed").blockers] == [ReleaseFloorError]


def test_going_back_copies_nothing_and_is_open_to_a_box_that_is_unwell(
    box: TakingBox, updates: Updates, offered: Offered
) -> None:
    kept(updates, offered.take("0.2.0", 2))
    shutil.move(box.settings.models / "talker", box.settings.data_dir / "elsewhere")
    plan = updates.preview("open", back=True)
    assert (plan.before.version, plan.after.name) == (appliance.__version__, BASE)
    assert (plan.snapshot, plan.schema_steps, plan.time.check, plan.blockers) == (0, 0, 0.0, ())


def test_times_come_from_the_last_change_that_was_measured() -> None:
    measured = change(wanted=100.0, snapshot=104.0, switched=104.1, probing=120.0, committed=150.0)
    assert preview.estimate([measured], 1 << 30) == preview.Estimate(4.0, 16.0, 30.0, measured=True)
    waited = change(wanted=100.0, snapshot=104.0, switched=104.1, sealed=114.0, probing=9000.0, committed=9030.0)
    assert preview.estimate([waited, measured], 0) == preview.Estimate(4.0, 10.0, 30.0, measured=True)
    set_back = change(wanted=100.0, snapshot=90.0, switched=91.0, probing=100.0, committed=130.0)
    failed = change(wanted=100.0, snapshot=104.0, **{"rolled-back": 300.0})
    assert preview.estimate([failed, set_back, measured], 0).stop == 4.0
    small, large = (preview.estimate([failed, set_back], size) for size in (0, 10 << 30))
    assert not small.measured
    assert large.stop > small.stop + 100


def test_how_a_change_ended_is_remembered_with_its_times(updates: Updates, offered: Offered) -> None:
    kept(updates, offered.take("0.2.0", 2))
    (last,) = updates.standing().changes
    assert (last.version, last.before, last.kept, last.by) == ("0.2.0", appliance.__version__, True, "alice")
    assert {"wanted", "snapshot", "switched", "committed"} <= set(last.times)
    assert last.stood_still_s is not None
    assert last.stood_still_s >= 0

    made = offered.take("0.3.0", 3)
    updates.start(made.digest, "alice", "closed")
    switch.advance(updates.places)
    updates.places.note_seen({"number": 3, "passed": ["state"], "failed": "sign-in", "code": "401"})
    switch.give_up(updates.places, "check-sign-in")
    switch.advance(updates.places)
    newest, *earlier = updates.standing().changes
    assert (newest.kept, newest.on_trial, newest.reason, newest.code) == (False, True, "check-sign-in", "401")
    assert earlier == [last]

    updates.roll_back("bob")
    switch.advance(updates.places)
    newest, *_earlier = updates.standing().changes
    assert (newest.version, newest.before, newest.on_trial) == ("0.2.0", appliance.__version__, False)
    assert (newest.reason, newest.code, newest.by) == (BY_OPERATOR, "", "bob")
    assert len(updates.standing().changes) == 3


def test_who_takes_back_a_trial_is_named_not_who_began_it(updates: Updates, offered: Offered) -> None:
    made = offered.take("0.2.0", 2)
    updates.start(made.digest, "alice", "closed")
    switch.advance(updates.places)
    updates.roll_back("bob")
    switch.advance(updates.places)
    (last,) = updates.standing().changes
    assert (last.reason, last.by) == (BY_OPERATOR, "bob")


def test_only_the_last_changes_are_kept(box: TakingBox) -> None:
    for at in range(1, 15):
        history.add(box.database, change(committed=float(at)))
        history.add(box.database, change(committed=float(at)))  # told twice after a power cut
    assert [each.at for each in history.of(box.database)] == [float(at) for at in range(14, 4, -1)]


def test_why_nobody_can_go_back_is_told(updates: Updates, offered: Offered) -> None:
    assert updates.standing().no_way == "none"
    kept(updates, offered.take("0.2.0", 2))
    assert updates.standing().no_way is None
    kept(updates, offered.take("0.3.0", 3, floor=3))
    assert (updates.standing().no_way, updates.standing().back) == ("floor", None)
    kept(updates, offered.take("0.4.0", 4, irreversible=True))
    assert updates.standing().no_way == "irreversible"


def test_the_end_of_a_trial_is_known_but_while_it_waits_for_a_person(updates: Updates, offered: Offered) -> None:
    places: Places = updates.places
    updates.start(offered.take("0.2.0", 2).digest, "alice", "closed")
    switch.advance(places)
    switch.limit(places, 500.0)
    assert places.read().until == 500.0
    switch.limit(places, 0.0, sealed=True)
    sealed = places.read()
    assert sealed.until == 0.0
    switch.limit(places, 0.0, sealed=True)
    assert places.read().times == sealed.times  # the first moment counts
    switch.limit(places, 700.0)
    switch.commit(places)
    assert places.read().until == 0.0
    switch.limit(places, 900.0)
    assert places.read().until == 0.0  # the trial is over
    assert launch.Pace().trial > 3 * launch.Pace().check  # a check that hangs three times is judged as that
