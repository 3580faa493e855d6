"""Services as `systemctl show` lists them."""

from pathlib import Path

from appliance.health.checks.units import UnitsCheck
from appliance.health.host import Host
from tests.unit.health.checks.machines import found, host, is_unknown

SHOW = "systemctl show *.service --property=Id,ActiveState,NRestarts"


def units(root: Path, **states: str) -> Host:
    blocks = [
        f"NRestarts={s.split()[1]}\nId={n.replace('_', '-')}.service\nActiveState={s.split()[0]}"
        for n, s in states.items()
    ]
    return host(root, {"/run/systemd/system/x": ""}, {SHOW: "\n\n".join(blocks) + "\n"})


def test_failed_and_well_again(tmp_path: Path) -> None:
    check = UnitsCheck()
    assert found(check.look(units(tmp_path, hako_web="failed 0", cron="failed 0"))) == [
        ("failed", "error"),
        ("failed", "warning"),
    ]
    assert check.look(units(tmp_path, hako_web="active 0", cron="active 0")).state == "ok"


def test_a_new_start_is_said_for_half_an_hour(tmp_path: Path) -> None:
    check = UnitsCheck()
    said = [bool(found(check.look(units(tmp_path, cron=f"active {count}")))) for count in [4, 5, *[5] * 15]]
    assert said == [False, *[True] * 15, False]


def test_without_systemd_and_without_an_answer_it_is_unknown(tmp_path: Path) -> None:
    assert is_unknown(UnitsCheck().look(host(tmp_path)))
    for odd in (None, "", "Id=\n\nId=../x", "\ufffd"):
        assert is_unknown(UnitsCheck().look(host(tmp_path, {"/run/systemd/system/x": ""}, {SHOW: odd})))
    assert UnitsCheck().look(units(tmp_path, cron="active -9")).state == "ok"
