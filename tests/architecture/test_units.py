"""The units are sound: systemd reads them without a word, shuts them in as promised, and they fit each other."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import config
from appliance.processes.__main__ import NAMES
from tests.simulators.units import UNITS, read

EXPOSURE = {
    "keys": 10, "web": 10, "worker": 10, "inference": 10, "egress": 15, "helper": 30,
    "update-resume": 15, "update-watch": 20, "health": 25, "backup": 15,
    "firewall": 17, "egress-rules": 17, "airgap": 31, "erase": 20,
}  # fmt: skip
"""In tenths, as `systemd-analyze security` counts."""
PYTHON = "/opt/hako/base/bin/python"
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(
    ANALYZE is None and os.environ.get("CI") != "true", reason="systemd-analyze is not installed; .ci/run installs it"
)


def analyze(*words: str, folder: Path = UNITS) -> subprocess.CompletedProcess[str]:
    assert ANALYZE, "CI must have systemd-analyze"
    return subprocess.run([ANALYZE, *words], capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with an interpreter that is there."""
    folder = tmp_path_factory.mktemp("units")
    for unit in [
        path for path in UNITS.iterdir() if path.suffix in (".service", ".socket", ".timer", ".target", ".path")
    ]:
        (folder / unit.name).write_text(unit.read_text("utf-8").replace(PYTHON, sys.executable), "utf-8")
    return folder


@needs_systemd
def test_systemd_finds_nothing_to_say_about_them(installed: Path) -> None:
    names = sorted(f"./{path.name}" for path in installed.iterdir())
    seen = analyze("verify", "--man=no", "--recursive-errors=no", *names, folder=installed)
    assert (seen.returncode, seen.stdout + seen.stderr) == (0, "")


@needs_systemd
def test_systemd_would_notice_a_setting_that_it_does_not_know(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "hako-web.service").write_text((installed / "hako-web.service").read_text() + "\n[Service]\nNoSuch=1\n")
    assert (
        "NoSuch" in analyze("verify", "--man=no", "--recursive-errors=no", "./hako-web.service", folder=tmp_path).stderr
    )


@needs_systemd
@pytest.mark.parametrize("name", EXPOSURE)
def test_a_service_is_shut_in_as_promised(name: str) -> None:
    """By its own file: 1.5 for those of people, 1.7 for the firewall, 3 for the helper, 3.1 for who looks around."""
    words = ("--no-pager", "--offline=true", f"--threshold={EXPOSURE[name]}")
    seen = analyze("security", *words, f"./hako-{name}.service")
    assert seen.returncode == 0, seen.stdout[-300:]


def test_every_service_has_its_measure() -> None:
    services = {path.stem.removeprefix("hako-") for path in UNITS.glob("hako-*.service")} - {"usb@"}
    assert services == set(EXPOSURE)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "helper"])
def test_a_process_has_a_unit_an_account_and_a_watchdog_of_its_own(name: str) -> None:
    unit, accounts = read(f"hako-{name}.service"), (UNITS / "hako.sysusers.conf").read_text("utf-8")
    assert unit["User"] == f"hako-{name}"
    assert re.search(rf"^u {unit['User']} ", accounts, flags=re.MULTILINE)
    assert unit["ExecStart"].split()[1:] == [
        "-I", "-m", "appliance.bundle.update.units", "start", "/var/lib/hako", name,
    ]  # fmt: skip
    assert (unit["Type"], "WatchdogSec" in unit) == ("notify", name != "egress")
    assert ("PrivateNetwork" in unit) is (name not in ("egress", "health"))
    assert unit["MemoryMax"]


def test_only_egress_may_have_an_address_of_another_machine() -> None:
    open_ones = [
        path.name for path in UNITS.glob("*.service") if "AF_INET" in read(path.name).get("RestrictAddressFamilies", "")
    ]
    loopback = ["hako-health.service", "hako-update-watch.service"]
    assert sorted(open_ones) == ["hako-airgap.service", "hako-egress.service", *loopback]
    for name in loopback:
        assert (read(name)["IPAddressDeny"], read(name)["IPAddressAllow"]) == ("any", "localhost")
    assert "[Install]" not in (UNITS / "hako-egress.service").read_text("utf-8")


def test_the_settings_that_go_with_them_name_their_accounts_and_folders(tmp_path: Path) -> None:
    shutil.copy(UNITS / "hako.toml", tmp_path)
    settings = config.load(data_dir=tmp_path)
    assert {name: f"hako-{name}" for name in settings.accounts.model_dump()} == settings.accounts.model_dump()
    for name in ("keys", "web", "inference", "egress", "health"):
        assert read(f"hako-{name}.service")["RuntimeDirectory"] == f"hako/{name}"
    assert read("hako-inference.service")["BindPaths"] == f"-/var/lib/hako/{settings.golden.relative_to(tmp_path)}"
    assert str(settings.keys_socket.parent) == "/run/hako/keys"
    # What models have read of long prompts lies there, in memory, and outlives a restart of the unit.
    assert str(settings.inference_socket.parent) == "/run/hako/inference"
    assert read("hako-inference.service")["RuntimeDirectoryPreserve"] == "restart"
    assert str(settings.helper_socket) == read("hako-helper.socket")["ListenStream"]
    assert read("hako-web.socket")["ListenStream"] == str(settings.web.port)


def test_accounts_and_folders_are_said_so_that_systemd_understands_them(tmp_path: Path) -> None:
    """Made below a folder: nothing of this machine is touched."""
    for tool, file, more in (("sysusers", "hako.sysusers.conf", ["--dry-run"]), ("tmpfiles", "hako.tmpfiles.conf", [])):
        found = shutil.which(f"systemd-{tool}")
        if found is None:
            assert os.environ.get("CI") != "true"
            pytest.skip(f"systemd-{tool} is not installed")
        if tool == "tmpfiles" and os.geteuid() != 0:
            continue
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / "etc" / "group").write_text("root:x:0:\nhako:x:901:\nhako-models:x:902:\n")
        (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        words = [found, f"--root={tmp_path}", *more, *(["--create"] if tool == "tmpfiles" else []), str(UNITS / file)]
        seen = subprocess.run(words, capture_output=True, text=True, check=False)
        assert seen.returncode == 0, seen.stderr
    if os.geteuid() == 0:
        models = (tmp_path / "var/lib/hako/models").stat()
        assert (models.st_mode & 0o7777, models.st_gid) == (0o2770, 902)


def test_no_module_writes_what_the_groups_accounts_could_not_share() -> None:
    """A mode that is written down is for one account alone; `appliance.modes` knows who else may read."""
    found = [
        str(path.relative_to(config.REPOSITORY / "appliance"))
        for path in sorted((config.REPOSITORY / "appliance").rglob("*.py"))
        if re.search(r"\b0o[67]00\b", path.read_text("utf-8"))
    ]
    assert [name for name in found if name not in ALONE and not name.startswith(("cli/", "bundle/publish/"))] == []


ALONE = (
    "modes.py",
    "logs.py",  # of `hako serve`; under systemd the journal keeps them
    "bundle/provision.py",  # on the publisher's side, and while an image is made
    "bundle/update/launch.py",  # `hako serve` again
    "backup/putting.py",  # a restored box is handed over by who restores it
    "backup/rehearsing.py",  # in the worker, which removes it again
    "backup/restoring.py",
    "inference/kv_slots.py",  # inference's own
    "inference/verify.py",
    "processes/web.py",  # the admin socket, which is for root and web
)
