"""`hako update status` says which system is below the box, also while no box runs."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.bundle.update.system import Room
from appliance.bundle.update.system_state import Other, Phase, Standing, SystemPlaces
from appliance.cli.main import main
from tests.simulators.two_slots import own
from webui import locales


def status(data: Path) -> str:
    ran = CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["--data-dir", str(data), "update", "status"])
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize("phase", ["staged", "writing", "waiting", "trial", "given-up"])
def test_what_is_on_its_way_is_said(phase: Phase, tmp_path: Path) -> None:
    room = Room(root=1, tree=1, esp=1, kept=1)
    wanted = Other(number=8, version="0.1.0")
    SystemPlaces(tmp_path / "releases").say(Standing(slot="b", running=own(7), room=room, phase=phase, wanted=wanted))
    said = status(tmp_path)
    assert locales.t("cli.update.system", "en", number=7, slot="b") in said
    assert locales.t(f"cli.update.system_{phase}", "en", number=8) in said


def test_where_there_are_no_slots_nothing_is_said_of_them(tmp_path: Path) -> None:
    assert "slot" not in status(tmp_path)
