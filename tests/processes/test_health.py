"""The health process as it really runs: it looks at this machine, is asked by others of the box, and ends when told."""

import json
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.health import registry
from appliance.processes.supervise import Supervisor

START_S = 60.0
MANY_LOOKS_S = 60.0


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Of a folder that is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hako-"))
    (folder / "run").mkdir(mode=0o700)
    yield Settings(data_dir=folder)
    shutil.rmtree(folder)


def written(settings: Settings, after: float = 0.0) -> dict[str, Any]:
    """Its looks by name, as soon as all of them are later than that."""
    end = time.monotonic() + MANY_LOOKS_S
    while time.monotonic() < end:
        if settings.health_file.exists():
            looks = {each["look"]["check"]: each for each in json.loads(settings.health_file.read_bytes())}
            if looks and all(each["at"] > after for each in looks.values()):
                return looks
        time.sleep(0.05)
    raise AssertionError("it didn't look")


def test_it_looks_at_this_machine_again_when_asked_and_ends_when_told(settings: Settings) -> None:
    supervisor = Supervisor(settings.data_dir, settings.data_dir / "health.log")
    try:
        supervisor.start("health", START_S)
        looks = written(settings)
        assert list(looks) == [check.name for check in registry.machine(settings)]
        assert 0 < looks["memory"]["look"]["measures"]["memory.used"] < 1
        assert 0 < looks["disk"]["look"]["measures"]["disk.used"] < 1
        assert not [name for name, each in looks.items() if each["look"]["note"] == "crashed"]
        assert stat.S_IMODE(settings.health_file.stat().st_mode) & 0o007 == 0
        asked = time.time()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(settings.health_socket))
        written(settings, asked)
        pid = supervisor.pids()["health"]
        began = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - began < 20
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        supervisor.stop()
