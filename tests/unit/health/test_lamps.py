"""Six lamps: each shows the worst of its checks, and what nobody has looked at isn't well."""

from pathlib import Path

from appliance.config import Settings
from appliance.health.finding import Finding, Look
from appliance.health.health import Health
from appliance.health.lamps import LAMPS, lamps
from appliance.health.registry import order
from appliance.health.seen import Seen
from appliance.health.store import Open


def health(*looks: Look) -> Health:
    found = [Open(finding, 0.0, None) for look in looks for finding in look.findings]
    return Health("ok", 0.0, {look.check: Seen(look, "machine", 0.0) for look in looks}, found)


def bad(check: str, state: str) -> Look:
    return Look(check, findings=(Finding(check, "bad", state, "HK-HLT-000"),))  # type: ignore[arg-type]


def test_every_check_has_its_lamp() -> None:
    named = [check for checks in LAMPS.values() for check in checks]
    assert len(named) == len(set(named))
    assert set(named) <= set(order(Settings(data_dir=Path("/nonexistent"))))


def test_before_the_first_look_all_are_unknown() -> None:
    assert set(lamps(health(), 0.0).values()) == {"unknown"}


def test_each_shows_the_worst_of_its_own() -> None:
    now = lamps(health(bad("models", "warning"), bad("queue", "error"), Look("egress"), bad("fan", "warning")), 0.0)
    assert (now["answers"], now["gap"], now["machine"], now["backup"]) == ("error", "ok", "warning", "unknown")


def test_a_sensor_that_the_machine_lacks_leaves_its_lamp_well() -> None:
    missing = lamps(health(Look("ups", is_known=False), Look("memory"), Look("egress", is_known=False)), 0.0)
    assert (missing["machine"], missing["gap"]) == ("ok", "unknown")


def test_what_was_put_off_doesnt_shine_until_its_time_is_over() -> None:
    told = health(bad("backup", "error"))
    put_off = Health(told.state, told.checked_at, told.looks, [Open(told.findings[0].finding, 0.0, 50.0)])
    assert [lamps(put_off, at)["backup"] for at in (49.0, 51.0)] == ["ok", "error"]
