"""`hako install` in a folder that stands for a server: systemd's own tools, real files, and all of it away again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import config, modes
from appliance.cli.main import main
from appliance.errors import ServerUnfitError, WheelhouseError
from appliance.image import base, server
from appliance.image.server import ENABLED, FIREWALL, Wish
from appliance.inference import golden
from tests.simulators import releases

TOOLS = ("systemctl", "systemd-sysusers", "systemd-tmpfiles")

needs_root_and_systemd = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, (*TOOLS, "openssl", "ip"))), reason="needs root, and systemd's tools"
)


@pytest.fixture(autouse=True)
def own_modes() -> object:
    yield None
    modes.share(False)
    os.umask(0o022)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A server with Python's environment in place, so that no pip is needed."""
    (tmp_path / "root" / base.BASE / "bin").mkdir(parents=True)
    (tmp_path / "root" / base.BASE / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "root" / "etc").mkdir()
    (tmp_path / "root" / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "root" / "etc" / "group").write_text("root:x:0:\n")
    return tmp_path / "root"


def hako(*words: str | Path) -> tuple[int, str]:
    ran = CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["install", *map(str, words)])
    return ran.exit_code, ran.output


def tree(root: Path) -> dict[str, bytes]:
    """Every file and link below, with where links lead."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(root))] = os.fsencode(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(root))] = path.read_bytes()
    return found


@needs_root_and_systemd
def test_it_brings_accounts_folders_units_and_settings_and_repeating_it_changes_nothing(root: Path) -> None:
    status, said = hako("--root", root)
    assert (status, "systemctl start hako.target" in said) == (0, True), said
    assert [line for line in said.splitlines() if line.startswith("✓ /etc/systemd/system/hako-web.service")]
    names = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    assert names >= {"hako-keys", "hako-web", "hako-worker", "hako-inference", "hako-egress"}
    data, state = (root / "var/lib/hako").stat(), (root / "opt/hako/releases/state").stat()
    groups = dict(line.split(":")[::2] for line in (root / "etc/group").read_text().splitlines())
    assert (data.st_mode & 0o7777, str(data.st_gid), str(state.st_gid)) == (0o2770, groups["hako"], groups["hako"])
    wanted = {path.name for path in (root / "etc/systemd/system").glob("*.wants/*")}
    assert wanted == set(ENABLED)
    assert (root / "usr/local/sbin/hako").stat().st_mode & 0o777 == 0o755
    settings = (root / "var/lib/hako/hako.toml").read_text()
    assert "tls_certificate" in settings
    (root / "read").mkdir()
    (root / "read/hako.toml").write_text(settings)
    assert config.load(data_dir=root / "read").web.port == 443
    before = tree(root)
    status, said = hako("--root", root)
    assert (status, tree(root)) == (0, before)
    assert not [line for line in said.splitlines() if line.startswith("✓ /")], said


@needs_root_and_systemd
def test_what_an_operator_has_written_stays_and_the_port_is_changed_in_both_places(root: Path) -> None:
    assert hako("--root", root)[0] == 0
    path = root / "var/lib/hako/hako.toml"
    path.write_text(path.read_text() + "\n[inference]\nthreads = 3\n")
    assert hako("--root", root, "--port", "8443", "--firewall")[0] == 0
    assert ("threads = 3" in path.read_text(), "port = 8443" in path.read_text()) == (True, True)
    assert "ListenStream=8443" in (root / "etc/systemd/system/hako-web.socket.d/port.conf").read_text()
    assert FIREWALL in {link.name for link in (root / "etc/systemd/system").glob("*.wants/*")}
    assert hako("--root", root)[0] == 0
    assert "port = 8443" in path.read_text(), "left out, it stays"


@needs_root_and_systemd
def test_removed_again_there_is_what_was_there_before_with_data_trust_and_accounts(root: Path) -> None:
    before = tree(root)
    assert hako("--root", root, "--port", "8443")[0] == 0
    (root / "var/lib/hako/hako.db").write_text("people's work")
    (root / "etc/hako/publisher-root.json").write_text("{}")
    status, said = hako("--root", root, "--remove")
    assert (status, "were kept" in said) == (0, True), said
    kept = {"var/lib/hako/hako.db", "var/lib/hako/hako.toml", "etc/hako/publisher-root.json"}
    gone = {name for name in before if name.startswith("opt/hako/base")}
    accounts = {name for name in tree(root) if name.startswith("etc/") and name.split("/")[1].strip(".-") in ACCOUNTS}
    assert set(tree(root)) - accounts == (set(before) - gone - ACCOUNT_FILES) | kept
    assert hako("--root", root, "--remove")[0] == 0, "once more does no harm"


ACCOUNTS = {"passwd", "group", "shadow", "gshadow", "pwd.lock", "subuid", "subgid"}
ACCOUNT_FILES = {"etc/passwd", "etc/group"}


def test_a_dry_run_says_every_step_and_does_none(root: Path) -> None:
    before = tree(root)
    status, said = hako("--root", root, "--dry-run", "--from", root.parent, "--models", root.parent)
    assert (status, tree(root)) == (0, before)
    for step in server.steps(Wish(root, root.parent, root.parent)):
        assert step.what in said
    status, said = hako("--root", root, "--dry-run", "--remove")
    assert (status, tree(root)) == (0, before)


def test_nothing_is_begun_where_something_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(root)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status, said = hako("--root", root)
    assert (status, "HK-IMG-010" in said, "root" in said) == (1, True, True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _tool: "/bin/true")
    with pytest.raises(ServerUnfitError) as seen:
        server.demand_fit(Wish(root.parent / "empty"))
    assert seen.value.params == {"need": "--from"}
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "openssl" else "/bin/true")
    with pytest.raises(ServerUnfitError) as seen:
        server.demand_fit(Wish(root))
    assert seen.value.params == {"need": "openssl"}
    assert tree(root) == before


def test_models_are_brought_as_they_were_built_and_not_what_they_once_answered(tmp_path: Path) -> None:
    built = tmp_path / "built" / "tiny"
    built.mkdir(parents=True)
    (tmp_path / "built" / ".half").mkdir()
    for name in ("model.json", golden.FILE_NAME, golden.REFERENCE):
        (built / name).write_text("{}")
    (tmp_path / "there").mkdir()
    assert server._bring(built.parent, tmp_path / "there")
    brought = {str(path.relative_to(tmp_path / "there")) for path in (tmp_path / "there").rglob("*")}
    assert brought == {"tiny", "tiny/model.json", f"tiny/{golden.REFERENCE}"}
    assert not server._bring(built.parent, tmp_path / "there")


# -- the base


def gathered(folder: Path, **changes: object) -> Path:
    """A release of one wheel that stands for the box."""
    lock = releases.everything_else(folder / "wheels")
    (wheel,) = lock.parent.glob("*.whl")
    lock.unlink()
    said = {"python": f"3.{sys.version_info.minor}", "machine": os.uname().machine}
    sha256 = base.hashlib.sha256(wheel.read_bytes()).hexdigest()
    wheels = [{"name": "hako-packages-of-the-test", "file": wheel.name, "sha256": sha256}]
    (folder / "release.json").write_text(json.dumps({**said, "wheels": wheels, **changes}))
    return folder


def test_a_release_that_is_damaged_or_for_another_machine_makes_no_base(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for changes in ({"python": "3.7"}, {"machine": "vax"}):
        with pytest.raises(ServerUnfitError):
            base.make(gathered(tmp_path / f"release-{len(changes)}{changes}", **changes), root)
    broken = gathered(tmp_path / "broken")
    next((broken / "wheels").iterdir()).write_bytes(b"!")
    leading = gathered(tmp_path / "leading", wheels=[{"name": "x", "file": "../release.json", "sha256": "0"}])
    for folder in (broken, leading, tmp_path / "none", gathered(tmp_path / "odd", wheels=7)):
        with pytest.raises(WheelhouseError):
            base.make(folder, root)
    assert not (root / base.BASE).parent.exists()


def test_the_first_base_is_made_by_nothing_but_python() -> None:
    """What a bare server runs from the wheel may need no package."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import appliance.image.base; "
        "print(sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    words = [sys.executable, "-I", "-S", "-c", script, str(config.REPOSITORY)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['__main__', 'appliance']" or said.strip() == "['appliance']"
