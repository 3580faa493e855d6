"""What the firewall lets hako-egress reach: the destinations that are named, and nothing while none is.

Run by root, `python -m appliance.health.airgap.opening DATA` when the list has changed, with `--shut` when it ends.
"""

import pwd
import sys
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from appliance import config
from appliance.errors import ConfigError
from appliance.gateway.destinations import Destination, Destinations
from appliance.health.airgap.tools import run


def chain(named: Iterable[Destination], account: int) -> str:
    """The lines for nftables: one rule for each destination, for the processes of one account."""
    lines = ["flush chain inet hako egress"]
    for each in named:
        address = ip_address(each.address)
        family = "ip" if isinstance(address, IPv4Address) else "ip6"
        to = f"{family} daddr {address} tcp dport {each.place.port}"
        lines.append(f"add rule inet hako egress meta skuid {account} {to} counter name egress_named accept")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> int:
    """Fill the chain by the list, or empty it. What can't be read opens nothing."""
    try:
        settings = config.load(data_dir=Path(words[0]))
        account = pwd.getpwnam(settings.accounts.egress).pw_uid
        named = [] if "--shut" in words else list(Destinations(settings.destinations).all().values())
    except (ConfigError, KeyError):
        named, account = [], 0
    run(("nft", "-f", "-"), chain(named, account).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
