"""The helper without any network changes that of the machine, by the real systemd-networkd: tried, taken back, kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.with_networkd import NETWORKD

NEEDED = ("dbus-daemon", "busctl", "ip", "unshare")
is_possible = os.geteuid() == 0 and Path(NETWORKD).exists() and all(shutil.which(tool) for tool in NEEDED)


@pytest.mark.skipif(
    not is_possible and os.environ.get("CI") != "true", reason="needs root, systemd-networkd, dbus-daemon and iproute2"
)
def test_a_network_is_tried_taken_back_and_kept_by_the_real_service() -> None:
    """About four seconds: two trials of 1.5 seconds, of which one is waited for."""
    own = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    words = [*own, sys.executable, "-m", "tests.processes.with_networkd"]
    seen = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert seen.returncode == 0, seen.stderr[-2000:]
    assert seen.stdout.splitlines() == ["tried", "taken back", "taken back after a kill", "kept"]
