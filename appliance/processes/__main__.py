"""Start one long-running process of the box: `python -m appliance.processes NAME --data-dir DIR`."""

import argparse
import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path

from appliance import config, logs, modes
from appliance.errors import HakoError
from appliance.processes.notify import Notifier

NAMES = ("keys", "inference", "worker", "web", "health", "egress", "helper")
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
_HEAPS = 2
"""Of the C library. Each thread would take one of its own, up to eight for each core, and what is freed stays in it."""


def main() -> int:
    """Run the named process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m appliance.processes")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, help="end when this process ends")
    arguments = parser.parse_args()
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
    if arguments.parent:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != arguments.parent:  # it died before the request reached the kernel
            return 1
    logs.configure(arguments.name)
    os.umask(modes.umask())
    notifier = Notifier.taken(os.environ)
    process = importlib.import_module(f"appliance.processes.{arguments.name}")
    try:
        settings = config.load(data_dir=arguments.data_dir)
        modes.share(settings.accounts.are_separate)
        os.umask(modes.umask())
        process.run(settings, notifier)
    except HakoError as error:
        logs.get(__name__).error("process_failed", code=error.code, detail=error.detail)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
