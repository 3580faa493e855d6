"""The shipped rules: nftables takes them, they hold in a network of their own, and what differs from them is told."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.config import REPOSITORY
from appliance.gateway.destinations import Destination
from appliance.health.airgap import firewall, trial
from appliance.health.airgap.opening import chain
from appliance.health.airgap.trial import Tried

RULES = REPOSITORY / "systemd" / "hako.nft"
LATE = """
import json, socket, struct, sys
from appliance.health.airgap import trial
from appliance.health.airgap.tools import run
for words in trial._SETUP:
    run(("ip", *words.split()))
run(("nft", "-f", "-"), trial._WATCH)
run(("nft", "-f", "-"), sys.stdin.buffer.read())
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
for port, flags in ((443, 0x11), (443, 0x18), (443, 0x02), (444, 0x11)):
    packet = struct.pack("!HHIIBBHHH", port, 40000, 1, 1, 5 << 4, flags, 1024, 0, 0)
    try:
        raw.sendto(packet, ("198.51.100.1", 0))
    except PermissionError:
        pass
names = ("egress_late", "egress_refused")
print(json.dumps([*(trial.packets(run, "hako", name) for name in names), trial.packets(run, "watch", "left")]))
"""
"""In a network of its own: the end and the middle of a conversation at our port, a beginning, and another port."""
COUNTERS = json.dumps({"nftables": [{"counter": {"name": "egress_refused", "packets": 3, "bytes": 180}}]}).encode()


@pytest.fixture(scope="module")
def tried() -> Tried:
    """`.ci/run` installs what it takes; nobody skips this."""
    return trial.tried(RULES.read_bytes())


def machine(root: Path, rules: bytes) -> Path:
    (root / "etc/hako").mkdir(parents=True)
    (root / "etc/hako/hako.nft").write_bytes(rules)
    return root


def in_force(rules: str):
    def ask(command: Sequence[str], _given: bytes) -> bytes:
        return rules.encode() if "-s" in command else COUNTERS

    return ask


def test_nftables_takes_the_rules() -> None:
    assert shutil.which("nft", path="/usr/sbin:/usr/bin"), "apt-get install nftables"
    seen = subprocess.run(
        ["unshare", "-rn", "nft", "-c", "-f", str(RULES)], capture_output=True, text=True, check=False
    )
    assert (seen.returncode, seen.stderr) == (0, "")


def test_without_the_rules_every_packet_goes_and_with_them_none(tried: Tried) -> None:
    assert tried.without >= 4  # so this test can fail
    assert tried.left == 0
    assert [(each.outcome, each.by) for each in tried.tries] == [("refused", "egress_refused")] * 4


def test_the_rest_of_an_answer_is_refused_and_is_no_attempt_to_leave() -> None:
    """A client that goes away in mid-answer leaves the kernel with packets for a conversation that is over."""
    away = ["unshare", "-rn", sys.executable, "-c", LATE]
    seen = subprocess.run(away, input=RULES.read_bytes(), capture_output=True, check=False)
    assert json.loads(seen.stdout or b"null") == [2, 2, 0], seen.stderr


def test_rules_that_let_something_go_are_found_out() -> None:
    leaky = RULES.read_bytes().replace(b"\t\tjump egress\n", b"\t\tudp dport 53 accept\n\t\tjump egress\n")
    found = trial.tried(leaky)
    assert {each.way: each.outcome for each in found.tries} == {
        "tcp": "refused", "dns": "sent", "ipv6": "refused", "icmp": "refused",
    }  # fmt: skip
    assert found.left >= 1


def test_the_shipped_file_is_the_one_that_this_release_knows(tmp_path: Path, tried: Tried) -> None:
    root = machine(tmp_path, RULES.read_bytes())
    seen = firewall.seen(root, in_force(tried.listed), expected=tried.listed)
    assert (seen.state, seen.about, seen.digest) == ("ok", (), firewall.SHIPPED)
    assert [(each.name, each.packets) for each in seen.counters] == [("egress_refused", 3)]


def test_destinations_and_more_ports_are_no_difference(tmp_path: Path, tried: Tried) -> None:
    root = machine(tmp_path, RULES.read_bytes())
    more = tried.listed.replace("chain egress {\n", "chain egress {\n\t\tmeta skuid 990 accept\n").replace("443", "80")
    assert firewall.seen(root, in_force(more), expected=tried.listed).state == "ok"


@pytest.mark.parametrize(
    ("change", "state", "about"),
    [
        (("policy drop", "policy accept"), "error", "no-drop"),
        (('oifname "lo" accept', 'oifname { "lo", "eth0" } accept'), "warning", "rules-differ"),
    ],
)
def test_rules_in_force_that_differ_are_told(
    tmp_path: Path, tried: Tried, change: tuple[str, str], state: str, about: str
) -> None:
    root = machine(tmp_path, RULES.read_bytes())
    altered = tried.listed.replace(*change)
    assert altered != tried.listed
    seen = firewall.seen(root, in_force(altered), expected=tried.listed)
    assert (seen.state, seen.about) == (state, (about,))


def test_a_file_that_is_not_ours_is_told(tmp_path: Path, tried: Tried) -> None:
    seen = firewall.seen(machine(tmp_path, b"table inet hako {}\n"), in_force(tried.listed), expected=tried.listed)
    assert (seen.state, seen.about) == ("warning", ("file-differs",))


@pytest.mark.parametrize(
    ("error", "state", "why", "about"),
    [
        (FileNotFoundError(), "unknown", "no-tool", ()),
        (PermissionError(), "unknown", "no-right", ()),
        (OSError(), "warning", "", ("no-rules",)),
    ],
)
def test_what_cannot_be_seen_says_why(
    tmp_path: Path, error: OSError, state: str, why: str, about: tuple[str, ...]
) -> None:
    def ask(_command: Sequence[str], _given: bytes) -> bytes:
        raise error

    seen = firewall.seen(tmp_path, ask)
    assert (seen.state, seen.why, seen.about) == (state, why, about)


def test_a_destination_opens_its_address_and_port_for_one_account_and_nothing_else(tried: Tried) -> None:
    named = [
        Destination(name="a", url="http://10.0.0.5:8000/v1", address="10.0.0.5", private=True),
        Destination(name="b", url="https://[fd00::5]/v1", address="fd00::5", private=True),
    ]
    rules = chain(named, 990)
    assert rules.splitlines()[1:] == [
        "add rule inet hako egress meta skuid 990 ip daddr 10.0.0.5 tcp dport 8000 counter name egress_named accept",
        "add rule inet hako egress meta skuid 990 ip6 daddr fd00::5 tcp dport 443 counter name egress_named accept",
    ]
    found = trial.tried(RULES.read_bytes() + rules.encode())
    assert found.left == 0
    nobodys = Destination.model_construct(name="c", url="http://192.0.2.1:443/v1", address="192.0.2.1")
    mine = chain([nobodys], 0)
    assert {each.way for each in trial.tried(RULES.read_bytes() + mine.encode()).tries if each.outcome == "sent"} == {
        "tcp"
    }
    assert chain([], 990) == "flush chain inet hako egress\n"
