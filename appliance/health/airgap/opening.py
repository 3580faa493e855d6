"""What the firewall lets hako-egress reach: the destinations that are named, and nothing while none is.

Run by root, `python -m appliance.health.airgap.opening DATA` when the list has changed.
"""

import pwd
import sys
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from appliance import config
from appliance.errors import ConfigError
from appliance.gateway.destinations import Destination, Destinations
from appliance.health.airgap.tools import Run, run


def chain(named: Iterable[Destination], account: int) -> str:
    """The lines for nftables: one rule for each destination, for the processes of one account."""
    lines = ["flush chain inet hako egress"]
    for each in named:
        address = ip_address(each.address)
        family = "ip" if isinstance(address, IPv4Address) else "ip6"
        to = f"{family} daddr {address} tcp dport {each.place.port}"
        lines.append(f"add rule inet hako egress meta skuid {account} {to} counter name egress_named accept")
    return "\n".join(lines) + "\n"


def fill(data: Path, ask: Run = run, *, is_shut: bool = False) -> None:
    """The chain by the list, or empty. What can't be read opens nothing. Raises OSError: the firewall isn't loaded."""
    try:
        settings = config.load(data_dir=data)
        account = pwd.getpwnam(settings.accounts.egress).pw_uid
        named = [] if is_shut else list(Destinations(settings.destinations).all().values())
    except (ConfigError, KeyError):
        named, account = [], 0
    ask(("nft", "-f", "-"), chain(named, account).encode())


def main(words: Sequence[str]) -> int:
    """See above."""
    fill(Path(words[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
