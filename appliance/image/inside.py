"""What must be so on a running machine and can't be seen from outside: units, firewall, kernel, sticks, the air gap."""

import json
import re
from pathlib import Path
from typing import Any, Final

from appliance.errors import BootTestError
from appliance.image import profiles
from appliance.image.inspector import Inspector

SYSCTLS: Final = profiles.FIRMWARE / "rootfs" / "etc" / "sysctl.d" / "60-hako.conf"
MODULES: Final = ("bluetooth", "cfg80211", "firewire-core", "sctp", "cifs", "nfs", "udf", "xfs")
"""Some of what may never be loaded; all of them are in modprobe.d."""
COUNTERS: Final = ("egress_refused", "egress_named", "egress_answers", "inbound_refused", "forward_refused")
_OUTSIDE: Final = "192.0.2.1"
_LEAVE: Final = f"/opt/hako/base/bin/python -I -c \"import socket; socket.create_connection(('{_OUTSIDE}', 443), 3)\""
_WATCHING: Final = "hako-egress.path hako-egress-rules.path"
_REST_S: Final = 900.0
_LISTENING: Final = re.compile(r"^(?:\S+\s+){4}(\S+):(\d+)\s", re.MULTILINE)
_PART: Final = re.compile(r"^([✓!×?]) (.+)$", re.MULTILINE)


def rest(shell: Inspector) -> None:
    """Wait until nothing is being started any more, and demand that nothing has failed. Raises BootTestError."""
    shell.ask("systemctl is-system-running --wait", _REST_S)
    if failed := shell.must("systemctl list-units --failed --plain --no-legend --no-pager").strip():
        name = failed.split()[0]
        raise BootTestError(failed + "\n" + shell.ask(f"journalctl -u {name} --no-pager | tail -20")[1], step="failed")


def firewall(shell: Inspector) -> dict[str, int]:
    """Default deny: what tries to leave is refused, and counted; packets by counter. Raises BootTestError."""
    rules = shell.must("nft list table inet hako")
    for chain in ("input", "output", "forward"):
        if not re.search(rf"type filter hook {chain} priority filter; policy drop;", rules):
            raise BootTestError(rules[-2000:], step=f"firewall: {chain}")
    before = _counters(shell)
    if missing := set(COUNTERS) - set(before):
        raise BootTestError(str(sorted(missing)), step="firewall: counters")
    status, said = shell.ask(f"ip route add {_OUTSIDE} dev $(ip -br link | grep -o '^en[^ ]*' | head -1); {_LEAVE}")
    after = _counters(shell)
    if status == 0 or after["egress_refused"] <= before["egress_refused"]:
        raise BootTestError(f"{said[-500:]} {before} {after}", step="firewall: leaving")
    return after


def _counters(shell: Inspector) -> dict[str, int]:
    said: dict[str, Any] = json.loads(shell.must("nft -j list counters table inet hako"))
    return {each["counter"]["name"]: each["counter"]["packets"] for each in said["nftables"] if "counter" in each}


def ports(shell: Inspector) -> None:
    """Only the pages listen to other machines, and what a machine needs to be found. Raises BootTestError."""
    said = shell.must("ss -H -l -n -t -u")
    seen = {port for address, port in _LISTENING.findall(said) if not address.startswith(("127.", "[::1]"))}
    if not seen <= {"443", "68", "546", "5353"}:  # two where an address is given to this one, and its name (mDNS)
        raise BootTestError(said, step="ports")


def kernel(shell: Inspector, file: Path = SYSCTLS) -> int:
    """Settings are those of the file, and what may never be loaded can't be; how many. Raises BootTestError."""
    lines = [line.partition("=") for line in file.read_text("ascii").splitlines() if not line.startswith("#")]
    wanted = {name.strip(): value.strip() for name, _, value in lines if name.strip()}
    paths = " ".join(f"/proc/sys/{name.replace('.', '/')}" for name in wanted)
    found = dict(zip(wanted, shell.must(f"cat {paths}").splitlines(), strict=True))
    if odd := {name: found[name] for name, value in wanted.items() if found[name].strip() != value}:
        raise BootTestError(str(odd), step="sysctl")
    for module in MODULES:
        if shell.ask(f"modprobe {module}")[0] == 0:
            raise BootTestError(module, step="module")
    if "[integrity]" not in shell.must("cat /sys/kernel/security/lockdown"):
        raise BootTestError("no lockdown", step="lockdown")
    return len(wanted)


def disk(shell: Inspector) -> None:
    """The system is checked block by block, and the data lies encrypted. Raises BootTestError."""
    if "verified" not in shell.must("veritysetup status hako-root"):
        raise BootTestError("not verified", step="verity")
    if "LUKS2" not in shell.must("cryptsetup status hako-data"):
        raise BootTestError("not encrypted", step="LUKS")
    status, said = shell.ask("echo x > /run/hako-root/system/etc/hostname")
    if status == 0:
        raise BootTestError(said, step="read-only")


def way_out(shell: Inspector) -> None:
    """Shut as the machine comes, opened and shut by root's word. Raises BootTestError."""
    for words, wanted in (("", "inactive"), ("--open", "active"), ("--shut", "inactive")):
        shell.must(f"hako way-out {words}", _REST_S)
        # What isn't active makes `is-active` fail, which is meant here.
        states = shell.ask(f"systemctl is-active {_WATCHING}")[1].split()
        if states != [wanted, wanted]:
            raise BootTestError(f"{words}: {states}", step="way out")


def usb(shell: Inspector) -> None:
    """What is plugged in is looked at before it is let in. Raises BootTestError."""
    shell.must("systemctl is-active usbguard.service")
    if "block" not in shell.must("usbguard get-parameter ImplicitPolicyTarget"):
        raise BootTestError("not blocked", step="usbguard")


def airgap(shell: Inspector) -> str:
    """Tries to leave, and the box's own proof, part by part. Raises BootTestError: one is open or amiss."""
    tried = shell.must("hako airgap test", _REST_S)
    said = shell.must("hako airgap report --skip-files", _REST_S)
    parts = _PART.findall(said)
    if not parts or any(sign in "×!" for sign, _ in parts):
        amiss = [each for each in re.split(r"(?m)^(?=[✓!×?] )", said) if each.startswith(("×", "!"))]
        raise BootTestError(f"{tried[-1000:]}\n{''.join(amiss)[-3000:]}", step="air gap")
    unseen = ", ".join(name for sign, name in parts if sign == "?")
    return f"the proof of the air gap: {sum(sign == '✓' for sign, _ in parts)} parts hold; not looked at: {unseen}"
