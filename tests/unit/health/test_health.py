"""Both kinds of looks together: turns of the worker, what people see, putting off, and the buttons."""

from pathlib import Path

import pytest

from appliance import clock
from appliance.backup.backups import Backups
from appliance.errors import BadInputError, NotFoundError
from appliance.health import fixes, registry, seen
from appliance.health.box.parts import BackupState
from appliance.health.finding import Finding, Look
from appliance.health.fixes import FIXES
from appliance.health.health import HealthKeeper
from appliance.health.seen import Seen
from tests.unit.health.conftest import Lab

NEVER = "backup/never"


@pytest.fixture
def keeper(lab: Lab) -> HealthKeeper:
    return HealthKeeper(lab.parts)


def machine_says(lab: Lab, *looks: Look) -> None:
    """What the health process has seen just now."""
    lab.settings.health_file.parent.mkdir(parents=True, exist_ok=True)
    seen.write(lab.settings.health_file, [Seen(look, "machine", clock.now()) for look in looks])


def full() -> Look:
    found = Finding("disk", "full", "error", "HK-HLT-001", {"percent": 93})
    return Look("disk", "used", findings=(found,), measures={"disk.used": 0.93})


def test_before_the_first_turn_nothing_is_known(keeper: HealthKeeper) -> None:
    now = keeper.now()
    assert (now.state, now.checked_at, dict(now.looks), list(now.findings)) == ("unknown", None, {}, [])


def test_a_turn_takes_both_kinds_together_in_the_order_of_the_page(lab: Lab, keeper: HealthKeeper) -> None:
    machine_says(lab, Look("swap", "used"), full())
    keeper.turn()
    now = keeper.now()
    assert list(now.looks) == ["disk", "swap", *(check.name for check in (*registry.BOX, *registry.PLAIN))]
    assert now.state == "error"
    keys = [each.finding.key for each in now.findings]
    assert {"disk/full", NEVER, "models/silent"} <= set(keys)
    states = [each.finding.state for each in now.findings]
    assert states == sorted(states)  # errors before warnings
    assert [value for _at, value in keeper.history(["disk.used"], "24h")["disk.used"]] == [0.93]


def test_a_turn_looks_only_at_what_is_due_unless_somebody_asks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, now = HealthKeeper(lab.parts), [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    keeper.turn()
    begun = {name: each.at for name, each in keeper.now().looks.items()}
    now[0] += 61
    keeper.turn()
    again = {name for name, each in keeper.now().looks.items() if each.at != begun[name]}
    assert {"backup", "queue"} <= again
    assert not {"database", "audit", "index"} & again
    now[0] += 1
    keeper.ask()
    keeper.turn()
    assert {each.at for each in keeper.now().looks.values()} == {now[0]}


def test_another_process_takes_over_what_was_put_off(lab: Lab, keeper: HealthKeeper) -> None:
    keeper.turn()
    assert keeper.now().state == "error"
    for each in keeper.now().findings:
        keeper.snooze(each.finding.key, 7)
    web = HealthKeeper(lab.parts)
    assert web.now().state == "ok"
    assert all(each.snoozed_until for each in web.now().findings)
    web.snooze(NEVER, 0)
    assert keeper.now().state == "warning"


def test_what_can_not_be_put_off(keeper: HealthKeeper) -> None:
    keeper.turn()
    with pytest.raises(NotFoundError):
        keeper.snooze("disk/full", 7)
    for days in (-1, 91):
        with pytest.raises(BadInputError):
            keeper.snooze(NEVER, days)


def test_checks_of_a_machine_that_nobody_looks_at_stay_as_they_were(lab: Lab, keeper: HealthKeeper) -> None:
    machine_says(lab, full())
    keeper.turn()
    lab.settings.health_file.unlink()
    HealthKeeper(lab.parts).turn()
    assert "disk" in keeper.now().looks
    machine_says(lab, Look("swap", "used"))
    HealthKeeper(lab.parts).turn()
    assert "disk" in keeper.now().looks  # a check that is known, of a process that has just begun


def test_each_button_is_one_that_exists() -> None:
    folder = Path(registry.__file__).parent
    sources = [path.read_text("utf-8") for path in (*folder.glob("box/*.py"), *folder.glob("checks/*.py"))]
    used = {name for source in sources for name in FIXES if f'Fix("do", "{name}")' in source}
    assert used == set(FIXES)
    assert sum(source.count('Fix("do"') for source in sources) >= len(FIXES)


def test_a_button_does_what_it_says_and_looks_again(lab: Lab) -> None:
    lab.backup = BackupState("off", None, 24 * 3600.0, "/media/stick")
    keeper = HealthKeeper(lab.parts)
    keeper.turn()
    assert keeper.find(NEVER).finding.fix is not None
    lab.backup = BackupState("ok", clock.now(), 24 * 3600.0, "/media/stick")
    fixes.mend(keeper, "back-up", NEVER, "alice")
    assert lab.backed_up == 1
    with pytest.raises(NotFoundError):
        keeper.find(NEVER)
    assert lab.box.trail[-1] == "health-fix-begun"


def test_a_button_that_the_finding_doesnt_have_does_nothing(lab: Lab, keeper: HealthKeeper) -> None:
    keeper.turn()  # without a schedule the finding has a link, and no button
    for name, key in (("back-up", NEVER), ("verify-audit", NEVER), ("format-disk", NEVER), ("back-up", "disk/full")):
        with pytest.raises(NotFoundError):
            fixes.mend(keeper, name, key, "alice")
    assert lab.backed_up == 0
    assert "health-fix-begun" not in lab.box.trail


def test_the_states_of_backups_are_those_that_the_check_knows() -> None:
    assert Backups.state.__annotations__["return"] == BackupState.__annotations__["state"]
