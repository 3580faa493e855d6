"""The first process of a container buries what has lost its parent, and takes no ending from who waits for it."""

import subprocess
import sys

SCRIPT = """
import ctypes, os, subprocess, sys, time
from pathlib import Path
from appliance.processes.supervise import Supervisor, _Child

ctypes.CDLL(None).prctl(36, 1)  # orphans become ours, as they become the first process's
supervisor = Supervisor(Path("/nonexistent"), None)
own = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(7)"])
lost = "import subprocess, sys; print(subprocess.Popen(['sleep', '0.2']).pid, flush=True)"
orphan = int(subprocess.run([sys.executable, "-S", "-c", lost], stdout=subprocess.PIPE, check=True).stdout)
supervisor._children["web"] = _Child("web", own, 0.0)
until = time.monotonic() + 20
while Path(f"/proc/{orphan}").exists():
    assert time.monotonic() < until, "it is still there"
    supervisor._bury()
    own.poll()
    time.sleep(0.02)
assert own.wait() == 7
supervisor._bury()  # with nobody left
print("buried")
"""


def test_orphans_are_buried_and_own_children_keep_their_status() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "buried\n", done.stderr
