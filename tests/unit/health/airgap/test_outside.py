"""Fences of units and processes, and what root has left for web to read."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance import clock
from appliance.config import Settings
from appliance.health.airgap import outside, sandboxes, units

FENCED = (
    "Id=hako-{0}.service\nActiveState=active\nLoadState=loaded\nPrivateNetwork=yes\n"
    "RestrictAddressFamilies=AF_UNIX\nNoNewPrivileges=yes\n"
)
LOOPBACK_ONLY = "Inter-|\n face |\n    lo:  1 2\n"
WITH_CARD = LOOPBACK_ONLY + "  eth0:  1 2\n"


def absent(_command: Sequence[str], _given: bytes) -> bytes:
    raise FileNotFoundError


def says(text: str):
    return lambda _command, _given: text.encode()


def test_units_that_are_shut_in_are_as_they_should_be() -> None:
    seen = units.seen(says("\n".join(FENCED.format(name) for name in ("web", "keys"))))
    assert (seen.state, [unit.name for unit in seen.units]) == ("ok", ["hako-web.service", "hako-keys.service"])


@pytest.mark.parametrize(
    ("instead", "opened"),
    [
        (("PrivateNetwork=yes", "PrivateNetwork=no"), ("PrivateNetwork",)),
        (("=AF_UNIX", "=AF_UNIX AF_INET"), ("RestrictAddressFamilies",)),
        (("=AF_UNIX", "="), ("RestrictAddressFamilies",)),
        (("=AF_UNIX", "=~AF_PACKET"), ("RestrictAddressFamilies",)),
        (("NoNewPrivileges=yes", "NoNewPrivileges=no"), ("NoNewPrivileges",)),
    ],
)
def test_what_of_a_fence_is_open_is_named(instead: tuple[str, str], opened: tuple[str, ...]) -> None:
    seen = units.seen(says(FENCED.format("web").replace(*instead)))
    assert (seen.state, seen.units[0].open) == ("error", opened)


HEALTH = (
    FENCED.format("health").replace("PrivateNetwork=yes", "PrivateNetwork=no").replace("=AF_UNIX", "=AF_UNIX AF_INET")
)
LOCAL = "IPAddressDeny=::/0 0.0.0.0/0\nIPAddressAllow=127.0.0.0/8 ::1/128\n"


@pytest.mark.parametrize(
    ("filter_", "is_shut"),
    [
        (LOCAL, True),
        (LOCAL.replace("127.0.0.0/8", ""), True),
        ("", False),
        (LOCAL.replace("0.0.0.0/0", ""), False),
        (LOCAL.replace("::/0 ", ""), False),
        (LOCAL.replace("127.0.0.0/8", "10.0.0.0/8"), False),
        (LOCAL.replace("127.0.0.0/8", "what?"), False),
    ],
)
def test_health_sees_the_machines_network_and_is_shut_in_by_its_addresses(
    tmp_path: Path, filter_: str, *, is_shut: bool
) -> None:
    seen = units.seen(says(HEALTH + filter_))
    assert (seen.state, seen.units[0].open) == (("ok", ()) if is_shut else ("error", ("IPAddressDeny",)))
    process(tmp_path / "proc", 7, "health", WITH_CARD, unit="hako-health.service")
    process(tmp_path / "proc", 8, "web")
    looked = outside.look(tmp_path, settings(tmp_path), says(HEALTH + filter_)).processes
    assert (looked.state, looked.processes[0].network) == (("ok", "filtered") if is_shut else ("error", "machine"))


def test_a_process_that_calls_itself_health_is_believed_by_its_control_group_alone(tmp_path: Path) -> None:
    process(tmp_path, 7, "health", WITH_CARD, unit="hako-web.service")
    process(tmp_path, 8, "health", WITH_CARD)
    seen = sandboxes.seen(tmp_path, is_closed=True, filtered=frozenset({"hako-health.service"}))
    assert (seen.state, {each.network for each in seen.processes}) == ("error", {"machine"})


def test_egress_may_have_a_network_and_nobody_else() -> None:
    opened = FENCED.format("egress").replace("PrivateNetwork=yes", "PrivateNetwork=no")
    assert units.seen(says(opened)).state == "ok"
    assert (units.seen(absent).state, units.seen(absent).why) == ("unknown", "no-units")
    assert units.seen(says("Id=hako-web.service\nLoadState=not-found\n")).why == "no-units"


def process(
    proc: Path, pid: int, name: str, cards: str | None = LOOPBACK_ONLY, rights: str = "1", unit: str = ""
) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    words = ["python", "-m", "appliance.processes", name, "--data-dir", "/x"]
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    (folder / "status").write_text(f"Name:\tpython\nNoNewPrivs:\t{rights}\nSeccomp:\t2\nCapEff:\t0000000000000000\n")
    if unit:
        (folder / "cgroup").write_text(f"0::/system.slice/{unit}\n")
    if cards is not None:
        (folder / "net").mkdir()
        (folder / "net" / "dev").write_text(cards)


def test_processes_with_nothing_but_loopback_are_as_they_should_be(tmp_path: Path) -> None:
    process(tmp_path, 7, "web")
    process(tmp_path, 8, "egress", WITH_CARD)
    seen = sandboxes.seen(tmp_path, is_closed=True)
    assert (seen.state, [(each.name, each.network) for each in seen.processes]) == (
        "ok",
        [("egress", "machine"), ("web", "own")],
    )


def test_a_process_with_the_machines_network_is_an_error_under_units_only(tmp_path: Path) -> None:
    process(tmp_path, 7, "worker", WITH_CARD)
    assert sandboxes.seen(tmp_path, is_closed=True).model_dump(include={"state", "about"}) == {
        "state": "error",
        "about": ("machine-network",),
    }
    assert sandboxes.seen(tmp_path, is_closed=False).state == "warning"


def test_a_process_whose_network_cannot_be_seen_is_not_called_fenced(tmp_path: Path) -> None:
    process(tmp_path, 7, "web", None)
    assert sandboxes.seen(tmp_path, is_closed=True).state == "unknown"
    assert sandboxes.seen(tmp_path / "7", is_closed=True).why == "no-right"


def settings(folder: Path) -> Settings:
    names = {name: f"hako-{name}" for name in ("keys", "web", "worker", "inference", "egress")}
    return Settings.model_validate({"data_dir": folder, "sockets_dir": folder / "run", "accounts": names})


def test_what_root_has_left_is_read_while_it_is_fresh_and_called_stale_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(tmp_path)
    place = outside.place(wanted)
    assert place == tmp_path / "run" / "airgap" / "seen.json"
    assert outside.read(place).routes.why == "no-look"
    (tmp_path / "proc").mkdir()
    seen = outside.look(tmp_path, wanted, absent)
    place.parent.mkdir(parents=True)
    place.write_text(seen.model_dump_json())
    assert outside.read(place) == seen
    later = clock.now() + outside.FRESH_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    assert {getattr(outside.read(place), part).why for part in ("firewall", "sockets", "units", "tried")} == {"stale"}
    place.write_text("{")
    assert outside.read(place).firewall.why == "unreadable"
    if os.geteuid() != 0:
        place.chmod(0)
        assert outside.read(place).firewall.why == "no-right"


def test_a_box_without_units_looks_by_itself(tmp_path: Path) -> None:
    assert outside.place(Settings(data_dir=tmp_path)) is None


def test_a_container_says_that_firewall_and_units_are_its_hosts(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, container=True)

    def never(_command: Sequence[str], _given: bytes) -> bytes:
        pytest.fail("nothing is to be asked")

    seen = outside.look(Path("/"), settings, never)
    whys = [(part.state, part.why) for part in (seen.firewall, seen.units, seen.tried)]
    assert whys == [("unknown", "container")] * 3
    assert seen.at > 0
    assert seen.routes.why != "container"
