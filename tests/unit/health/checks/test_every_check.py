"""For each check: words in both languages, a code of its own, a row in the manual, and no fall over garbage."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from appliance.config import Settings
from appliance.health import checks
from appliance.health.check import MachineCheck
from appliance.health.host import Disk, Host
from appliance.health.registry import machine
from appliance.machine.nvidia import Unseen
from webui import locales
from webui.api.help_pages import FOLDER

CHECKS = machine(Settings(data_dir=Path("/nonexistent"), web={"tls_certificate": Path("/etc/tls.pem")}))
NAMES = [check.name for check in CHECKS]
CODES = [code for check in CHECKS for code in check.codes.values()]
GARBAGE = [b"", b"\xff\xfe\x00\x80", b"-1", b"9" * 5000, b'{"a":' * 3000, b"0: 0:0 0A\n" * 9, b"nan", b"[]\n\n={}:"]
FILES = (
    "proc/meminfo", "proc/vmstat", "proc/pressure/memory", "proc/stat", "proc/cpuinfo", "proc/net/tcp", "proc/net/udp",
    "proc/net/tcp6", "sys/block/sda/size", "sys/devices/system/edac/mc/mc0/ce_count",
    "sys/class/hwmon/hwmon0/temp1_input",
    "sys/class/hwmon/hwmon0/temp1_crit", "sys/class/hwmon/hwmon0/fan1_input", "sys/class/rtc/rtc0/since_epoch",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "sys/class/tpm/tpm0/tpm_version_major",
    "sys/fs/ext4/sda1/errors_count", "sys/bus/usb/devices/1-1/idVendor", "sys/bus/usb/devices/1-1/idProduct",
    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "run/systemd/system/x", "etc/tls.pem",
    "dev/nvidia0",
)  # fmt: skip


def said(node: ast.AST | None, tree: ast.AST) -> set[str]:
    """The words that an argument can be: written there, in either branch, or given to its name before."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.IfExp):
        return said(node.body, tree) | said(node.orelse, tree)
    if isinstance(node, ast.Name):
        given = [
            set_ for set_ in ast.walk(tree) if isinstance(set_, ast.Assign) and ast.unparse(set_.targets[0]) == node.id
        ]
        return set().union(*(said(one.value, tree) for one in given))
    return set(get_args(Unseen)) if node is not None else set()


def words(check: MachineCheck) -> set[str]:
    """The keys that it can name: of findings by its codes, of its tile by the looks in its module."""
    tree = ast.parse((Path(checks.__path__[0]) / f"{check.name}.py").read_text("utf-8"))
    keys = {f"{finding}.{part}" for finding in check.codes for part in ("title", "meaning", "advice")}
    calls = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Look"]
    for call in calls:
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        named |= dict(zip(("check", "value", "note"), call.args, strict=False))
        keys |= {f"{part}.{word}" for part in ("value", "note") for word in said(named.get(part), tree)}
    return {f"health.{check.name}.{key}" for key in {"title", *keys}}


def test_each_has_a_name_and_each_finding_a_code_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len(set(CODES)) == len(CODES)
    assert all(re.fullmatch(r"HK-HLT-0[0-2]\d", code) for code in CODES)


@pytest.mark.parametrize("language", locales.LANGUAGES)
@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
def test_each_word_is_in_the_locale(check: MachineCheck, language: str) -> None:
    own = {key for key in locales.catalogue(language) if key.startswith(f"health.{check.name}.")}
    assert words(check) == own


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
def test_both_languages_fill_in_the_same(check: MachineCheck) -> None:
    both = [locales.catalogue(language) for language in locales.LANGUAGES]
    keys = [key for key in both[0] if key.startswith(f"health.{check.name}.") and key.endswith("meaning")]
    filled = [{key: set(re.findall(r"{(\w+)}", said[key])) for key in keys} for said in both]
    assert filled[0] == filled[1]
    assert len(keys) == len(check.codes)


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_each_code_has_its_row_in_the_manual(language: str) -> None:
    text = (FOLDER / language / "health.md").read_text("utf-8")
    assert re.findall(r"^\| `(HK-HLT-0[0-2]\d)` \|", text, flags=re.MULTILINE) == sorted(CODES)
    titles = [locales.catalogue(language)[f"health.{name}.title"] for name in NAMES]
    assert not [title for title in titles if f"| {title} |" not in text]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_garbage_makes_none_fall_and_none_warn(tmp_path: Path, index: int, garbage: bytes) -> None:
    settings = Settings(data_dir=tmp_path, web={"tls_certificate": Path("/etc/tls.pem")})
    check = machine(settings)[index]
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(garbage)

    def run(_command: Sequence[str]) -> str:
        return garbage.decode("utf-8", "replace")

    host = Host(tmp_path, run, lambda _folder: Disk(-1, -9, -1, 5))
    looks = [check.look(host), check.look(host)]
    assert {look.state for look in looks} <= {"ok", "unknown"} or check.name in {"gpu", "filesystem"}
    assert all(look.check == check.name for look in looks)


@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_a_bare_machine_makes_none_fall(tmp_path: Path, index: int) -> None:
    check = machine(Settings(data_dir=tmp_path / "absent"))[index]
    look = check.look(Host(tmp_path, lambda _command: None, lambda _folder: None))
    assert look.state in {"ok", "unknown"}
    assert look.value or look.note


@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_what_may_not_be_read_and_programs_that_hang_are_never_a_finding(tmp_path: Path, index: int) -> None:
    settings = Settings(data_dir=tmp_path, web={"tls_certificate": Path("/etc/tls.pem")})
    for name in FILES:
        (tmp_path / name).mkdir(parents=True)  # reading fails as without permission, for root too
    look = machine(settings)[index].look(Host(tmp_path, lambda _command: None, lambda _folder: None))
    assert not look.findings or look.check == "gpu"
    assert look.check in {"filesystem", "entropy", "gpu", "usb"} or look.state == "unknown"
