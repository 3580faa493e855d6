"""What `test_networkd` runs in namespaces of its own: systemd-networkd with one cable to nowhere, a bus, and a helper.

`python -m tests.processes.with_networkd` has the network; the helper that it starts has none, as in its unit.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from appliance.errors import HelperUnreachableError, NetworkTrialError, NotArrivedError
from appliance.machine import bus, helper_shapes
from appliance.machine.errands import MachineErrands
from appliance.machine.helper import Helper
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_server import HelperServer
from appliance.machine.network import Network
from tests.simulators.waiting import eventually

NETWORKD = "/lib/systemd/systemd-networkd"
SOCKET = Path("/run/helper.sock")
TRIED, KEPT = Path("/run/systemd/network/05-hako-eth7.network"), Path("/etc/systemd/network/10-hako-eth7.network")
TRIAL_S = 1.5
BEFORE, AFTER = "192.0.2.1", "192.0.2.7"
"""Addresses for documentation, which belong to nobody."""
WISH = {"verb": "set-network", "interface": "eth7", "dhcp": False, "address": f"{AFTER}/24", "dns": ["192.0.2.2"]}
CONFIG = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def make() -> list["subprocess.Popen[bytes]"]:
    """The machine. Nothing of it is outside of these namespaces."""
    for folder in ("/run", "/etc/systemd/network"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", folder)
    run("mount", "-t", "sysfs", "-o", "ro", "none", "/sys")  # or networkd would wait for udev
    for name in ("dbus", "systemd/network", "systemd/netif/links", "systemd/netif/leases", "systemd/netif/lldp"):
        Path("/run", name).mkdir(parents=True)
    run("chown", "-R", "systemd-network", "/run/systemd/netif")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "far")
    run("ip", "link", "set", "far", "up")
    Path("/etc/systemd/network/80-hako.network").write_text(f"[Match]\nName=eth*\n\n[Network]\nAddress={BEFORE}/24\n")
    Path("/run/bus.conf").write_text(CONFIG)
    started = [started_by("dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile")]
    eventually(lambda: Path("/run/dbus/system_bus_socket").exists())
    started.append(started_by(NETWORKD))
    eventually(lambda: addresses() == [BEFORE])
    eventually(is_on_the_bus)
    return started


def is_on_the_bus() -> bool:
    """It gives addresses before it answers."""
    name = "org.freedesktop.network1"
    words = ["busctl", "--timeout=2", "call", name, "/org/freedesktop/network1", f"{name}.Manager", "Describe"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def started_by(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_helper() -> "subprocess.Popen[bytes]":
    SOCKET.unlink(missing_ok=True)
    helper = started_by("unshare", "--net", sys.executable, "-m", "tests.processes.with_networkd", "helper")
    eventually(SOCKET.exists)
    return helper


def serve() -> None:
    """As `processes.helper` does it, but that a cable to nowhere counts as a card."""
    only = json.loads(run("ip", "-j", "link"))
    assert [link["ifname"] for link in only] == ["lo"], "the helper sees no card"
    errands = MachineErrands(network=Network(Path("/"), bus.Bus(), lambda: None, TRIAL_S, kinds=("veth",)))
    errands.network.begin()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(SOCKET))
        listening.listen()
        helper = Helper(None, machine=errands)  # type: ignore[arg-type]
        HelperServer(listening, helper, {os.geteuid(): helper_shapes.VERBS}).serve(0.3)
    SOCKET.unlink()


def ask(**message: Any) -> dict[str, Any]:
    return HelperClient(SOCKET).ask(helper_shapes.parsed(message))


def refused(error: type[Exception], **message: Any) -> bool:
    try:
        ask(**message)
    except error:
        return True
    return False


def addresses() -> list[str]:
    card = json.loads(run("ip", "-j", "address", "show", "dev", "eth7"))[0]
    return [each["local"] for each in card["addr_info"] if each["family"] == "inet"]


def main() -> None:
    """Tells each fact on a line as it is seen."""
    started = make()
    try:
        helper = start_helper()
        assert ask(**WISH) == {"trial_s": TRIAL_S}
        eventually(lambda: addresses() == [AFTER])
        assert refused(NetworkTrialError, **WISH)
        assert refused(NotArrivedError, verb="keep-network", arrived=BEFORE)
        print("tried", flush=True)
        eventually(lambda: addresses() == [BEFORE])
        assert not TRIED.exists()
        print("taken back", flush=True)
        helper.wait(10)  # it had stayed for the trial only
        helper = start_helper()
        ask(**WISH)
        eventually(lambda: addresses() == [AFTER])
        helper.send_signal(signal.SIGKILL)
        helper.wait()
        assert refused(HelperUnreachableError, verb="drop-network")
        helper = start_helper()
        eventually(lambda: addresses() == [BEFORE])
        print("taken back after a kill", flush=True)
        ask(**WISH)
        eventually(lambda: addresses() == [AFTER])
        ask(verb="keep-network", arrived=AFTER)
        assert (TRIED.exists(), KEPT.exists()) == (False, True)
        helper.wait(10)
        assert addresses() == [AFTER]
        print("kept", flush=True)
    finally:
        for each in reversed(started):
            each.kill()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["helper"] else main()
