"""The firewall's rules, tried in a network of their own that has a cable to nowhere: what they stop, what they let go.

Run by `tried`, in a process that has left the machine's network: `python -m appliance.health.airgap.trial`, with the
rules on standard input. First without rules, so that it is seen that packets would go, then with them.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from appliance.health.airgap.tools import Run, run
from appliance.machine import leaving
from appliance.machine.leaving import NO_WAY_OUT, WAYS, Outcome, Try

REFUSED: Final = "egress_refused"
_SETUP: Final[Sequence[str]] = (
    "link set lo up",
    "link add out0 type veth peer name out1",
    "addr add 192.0.2.9/24 dev out0",
    "addr add 2001:db8::9/64 dev out0 nodad",
    "link set out0 up",
    "link set out1 up",
    "route add default via 192.0.2.1",
    "neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out0",
    "neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev out0",
)
_WATCH: Final = b"""table inet watch {
 counter left { }
 chain out {
  type filter hook postrouting priority 300
  oifname "lo" accept
  meta l4proto 58 accept
  counter name left
 }
}
"""
"""58 is ICMPv6: its name is known only where a list of protocols is installed, which an image does without."""


@dataclass(frozen=True)
class Tried:
    """`without`: packets that went with no rules; `left`: with them; `listed`: the rules as nftables has them."""

    without: int
    left: int
    tries: tuple[Try, ...]
    listed: str


def tried(rules: bytes, ask: Run = run) -> Tried:
    """Raises OSError where no such network can be made, or the rules aren't any."""
    away = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
    told = ask((*away, sys.executable, "-m", "appliance.health.airgap.trial"), rules)
    try:
        found = json.loads(told)
        tries = leaving.parse(json.dumps(found["tries"]).encode())
        return Tried(int(found["without"]), int(found["left"]), tuple(tries), str(found["listed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OSError("trial: no answer") from error


def listed(ask: Run = run) -> str:
    """The box's own table as nftables has it, without counts. Raises OSError: there is none, or it can't be seen."""
    return ask(("nft", "-s", "list", "table", "inet", "hako"), b"").decode("utf-8", "replace")


def packets(ask: Run, table: str, name: str) -> int:
    """A counter of a table. Raises OSError."""
    told = json.loads(ask(("nft", "-j", "list", "counter", "inet", table, name), b""))
    return next(int(each["counter"]["packets"]) for each in told["nftables"] if "counter" in each)


def _each(ask: Run) -> list[Try]:
    """Each way, and whether the firewall has counted it."""
    found = []
    for way in WAYS:
        before, gone = packets(ask, "hako", REFUSED), packets(ask, "watch", "left")
        seen = leaving.attempt(way, is_fenced=True)
        outcome: Outcome = seen.outcome
        by = seen.by
        if packets(ask, "watch", "left") > gone:
            outcome, by = "sent", ""
        elif packets(ask, "hako", REFUSED) > before:
            outcome, by = "refused", REFUSED
        found.append(Try(way, outcome, by))
    return found


def _demand_own_network() -> None:
    """Raises PermissionError in any network but a new one: nothing may be tried where a cable is."""
    if not leaving.interfaces() <= NO_WAY_OUT:
        raise PermissionError("not in a network of its own")


def main() -> int:
    """Once, in an empty network; writes what was seen as JSON."""
    _demand_own_network()
    rules = sys.stdin.buffer.read()
    for words in _SETUP:
        run(("ip", *words.split()))
    run(("nft", "-f", "-"), _WATCH)
    for way in WAYS:
        leaving.attempt(way, is_fenced=True)
    without = packets(run, "watch", "left")
    run(("nft", "-f", "-"), rules)
    tries = _each(run)
    left = packets(run, "watch", "left") - without
    told = {"without": without, "left": left, "tries": [asdict(each) for each in tries], "listed": listed()}
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
