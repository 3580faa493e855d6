"""Nothing leaves: the box at work has no socket but its door, and a connection that leads out is seen.

Everything happens in networks that the test makes itself; no packet can reach a real machine.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def reason_not_to() -> str:
    """Why this machine can't make such networks; empty if it can."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} not installed"
    cable = "unshare -n sleep 5 & sleep 0.3; ip link add name cable type veth peer name plug netns $! && kill $!"
    made = subprocess.run(["unshare", "-rn", "bash", "-c", cable], check=False, capture_output=True)
    return "" if made.returncode == 0 else "this machine lets nobody make networks"


REASON = reason_not_to()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


@pytest.mark.parametrize("what", ["quiet", "tcp", "udp"])
def test_what_the_air_gap_watch_sees_is_what_there_is(what: str, tmp_path: Path) -> None:
    command = ["unshare", "-rn", sys.executable, "-m", "tests.security.in_namespace", what, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr[-6000:]
    assert ran.stdout.splitlines()[-1] == "all is well"


@pytest.mark.slow  # three servers that are asked at the end of a cable, with rules and without
def test_nothing_leaves_with_the_rules_and_something_would_without() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.security.egress_figures"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-6000:]
    assert len([line for line in ran.stdout.splitlines() if " left    0 " in line]) == 4
