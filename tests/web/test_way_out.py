"""`hako way-out`: root at the machine says whether anything may leave; no session can, and naming doesn't."""

import os
import re
import syslog
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import way_out as command
from appliance.cli.context import Terminal
from appliance.cli.main import main
from appliance.config import REPOSITORY, Accounts
from appliance.errors import SealedError
from appliance.health.airgap import way_out
from appliance.machine.gap import WAY_OUT
from tests.simulators.box import Person, TestBox
from tests.simulators.door import Door

NAMES = {"keys": "k", "web": "w", "worker": "o", "inference": "i", "egress": "e", "health": "h"}
SYSTEMD = REPOSITORY / "systemd"


@dataclass
class Root:
    """What root's programs were asked for. `fails`: a program that doesn't do it."""

    mark: Path
    ran: list[tuple[str, ...]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    fails: str = ""

    def run(self, command: Sequence[str], given: bytes) -> bytes:
        self.ran.append(tuple(command))
        self.given.append(given.decode())
        if command[0] == self.fails:
            raise OSError(f"{command[0]}: no")
        return b""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "way-out")


@pytest.fixture
def hako(box: TestBox, root: Root, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """`hako way-out …` by root on a machine where each process has its own account: exit code and what it prints."""
    settings = box.settings.model_copy(update={"accounts": Accounts(**NAMES)})
    monkeypatch.setattr(Terminal, "settings", lambda _self: settings)
    monkeypatch.setattr(syslog, "syslog", lambda _level, _line: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Terminal, "client", lambda _self: Door(box))
    monkeypatch.setattr(command, "WAY_OUT", root.mark)
    for name in ("open_up", "shut"):
        real = getattr(way_out, name)
        monkeypatch.setattr(way_out, name, lambda *places, real=real: real(*places, root.run))

    def ran(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["--data-dir", str(box.settings.data_dir), "way-out", *words])
        return done.exit_code, done.output

    return ran


def noted(box: TestBox) -> list[str]:
    """Oldest first."""
    entries = box.services.audit.entries(99, actions=("way-out-opened", "way-out-shut"))
    return [entry.action for entry in reversed(entries)]


def test_it_is_shut_until_root_opens_it_and_both_are_on_record(
    box: TestBox, root: Root, hako: Callable[..., tuple[int, str]]
) -> None:
    before = len(noted(box))
    assert "shut" in hako()[1]
    assert "open" in hako("--open")[1]
    assert (root.mark.exists(), root.mark.stat().st_mode & 0o777) == (True, 0o644)
    assert root.ran == [("systemctl", "start", "hako-egress.path", "hako-egress-rules.path")]
    assert "open" in hako()[1]
    assert "shut" in hako("--shut")[1]
    assert not root.mark.exists()
    stopped, flushed = root.ran[1:]
    assert stopped == ("systemctl", "stop", *way_out.UNITS)
    assert (flushed[0], root.given[-1]) == ("nft", "flush chain inet hako egress\n")
    assert noted(box)[before:] == ["way-out-opened", "way-out-shut"]


def test_what_systemd_does_not_open_stays_shut(root: Root, hako: Callable[..., tuple[int, str]]) -> None:
    root.fails = "systemctl"
    code, said = hako("--open")
    assert (code, "HK-NET-012" in said, root.mark.exists()) == (1, True, False)


def test_shutting_goes_where_systemd_fails_or_no_firewall_is_loaded(
    root: Root, hako: Callable[..., tuple[int, str]]
) -> None:
    root.mark.touch()
    root.fails = "systemctl"
    code, said = hako("--shut")
    assert (code, "HK-NET-012" in said, root.mark.exists()) == (1, True, False)
    root.mark.touch()
    root.fails = "nft"
    assert (hako("--shut")[0], root.mark.exists()) == (0, False)


def test_a_sealed_box_is_shut_and_not_opened(
    root: Root, hako: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sealed(_self: Door, _path: str, _body: object) -> None:
        raise SealedError

    monkeypatch.setattr(Door, "post", sealed)
    assert hako("--open")[0] != 0
    assert (root.ran, root.mark.exists()) == ([], False)
    root.mark.touch()
    code, said = hako("--shut")
    assert (code, root.mark.exists(), "isn't in the record" in said) == (0, False, True)


def test_nobody_but_root_and_only_under_units(
    box: TestBox, root: Root, hako: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "HK-BND-028" in hako("--open")[1]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Terminal, "settings", lambda _self: box.settings)
    assert "HK-BND-028" in hako("--open")[1]
    assert (root.ran, root.mark.exists()) == ([], False)


def test_no_session_tells_of_it(box: TestBox, alice: Person, mallory: Person) -> None:
    before = noted(box)
    assert [who.post("/machine/way-out", json={"open": True}).status_code for who in (alice, mallory)] == [403, 403]
    assert noted(box) == before


def test_all_its_units_ask_for_roots_file() -> None:
    for unit in way_out.UNITS:
        asked = re.findall(r"(?m)^ConditionPathExists=(.+)$", (SYSTEMD / unit).read_text("utf-8"))
        assert str(WAY_OUT) in asked, unit
