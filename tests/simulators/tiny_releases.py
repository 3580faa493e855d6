"""Releases that are one small program each: they start, crash, hang, migrate and judge themselves as they were told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from appliance.bundle.update.state import MANIFEST, Phase, Places, Release
from appliance.config import REPOSITORY

PROGRAM = """#!{python} -I
import json, os, signal, subprocess, sys, time
sys.path.insert(0, {repository!r})
from pathlib import Path
from appliance import durable
from appliance.bundle.update.state import Places
own = json.loads(Path({own!r}).read_text())
data = Path(sys.argv[sys.argv.index("--data-dir") + 1])
what = sys.argv[sys.argv.index("--data-dir") + 2]
if what == "update":
    ways = "answer" if own["serve"] == "torn" else own["check"]  # who asks it gets no answer, however slow its end is
    if ways == "hang":
        time.sleep(600)
    if ways == "waver":
        count = data / "wavers"
        count.write_text(str(int(count.read_text()) + 1 if count.exists() else 0))
        ways = int(count.read_text()) % 2
    print(json.dumps({{"failed": ways if isinstance(ways, str) else ""}}))
    sys.exit(1 if isinstance(ways, str) else ways)
places = Places.of(data)
with (data / "boots.log").open("a") as log:
    log.write(own["name"] + "\\n")
if own["serve"] == "crash":
    sys.exit(7)
database = data / "hako.db"
said = json.loads(database.read_text())
if said["schema"] > own["schema"]:
    sys.exit(8)
if said["schema"] < own["schema"]:
    places.note_migration()
    if own["serve"] == "torn":
        database.write_text('{{"schema": ' + str(own["schema"]))
        sys.exit(9)
    durable.replace(database, json.dumps({{**said, "schema": own["schema"], "by": own["name"]}}).encode())
if own["serve"] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import signal,time\\nsignal.signal(15,1)\\ntime.sleep(600)"],
                     start_new_session=True)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    time.sleep(0.05)
"""

LAUNCH = """
import json, sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from appliance.bundle.update.launch import Launcher, Pace
from appliance.bundle.update.state import Places
pace = Pace(look=0.02, between_checks=0.02, check={check}, answer={answer}, trial={trial}, stop=0.3, leave=0.3)
sys.exit(Launcher(Places.of(Path(sys.argv[1])), pace=pace).run())
"""


class TinyBox:
    """`old` runs, `new` is installed beside it; the database is a line of JSON that tells its schema."""

    def __init__(self, data: Path) -> None:
        self.data = data
        data.mkdir(parents=True, exist_ok=True)
        self.places = Places.of(data)
        self.places.root.mkdir()
        (data / "hako.db").write_text('{"schema": 5, "by": "old", "kept": true}')
        (data / "vault.json").write_text("{}")
        self.make("old", counter=1)
        self.places.point("current", "old")
        self._launcher: subprocess.Popen[bytes] | None = None

    def make(self, name: str, *, counter: int, serve: str = "ok", check: int | str = 0, schema: int = 5) -> Release:
        """A whole release. `check`: the status that its own check ends with, or the part that it finds broken."""
        folder = self.places.folder(name)
        python = self.places.python(name)
        python.parent.mkdir(parents=True)
        own = folder / "own.json"
        own.write_text(json.dumps({"name": name, "serve": serve, "check": check, "schema": schema}))
        python.write_text(PROGRAM.format(python=sys.executable, repository=str(REPOSITORY), own=str(own)))
        python.chmod(0o700)
        (folder / MANIFEST).write_text("{}")
        return Release(name=name, version=f"0.{counter}", counter=counter, schema=schema, digest="0" * 64)

    def want(self, release: Release) -> None:
        """As an operator who has said yes."""
        with self.places.held() as held:
            held.change(phase=Phase.WANTED, target=release, before=self.places.current, reason="", actor="alice")

    def launch(self, *, check: float = 30.0, answer: float = 30.0, trial: float = 30.0) -> "subprocess.Popen[bytes]":
        program = LAUNCH.format(repository=str(REPOSITORY), check=check, answer=answer, trial=trial)
        self._launcher = subprocess.Popen([sys.executable, "-I", "-c", program, str(self.data)])
        return self._launcher

    def settle(self, *phases: Phase, within_s: float = 30.0) -> Phase:
        """Wait until the update is over, one way or the other."""
        end = time.monotonic() + within_s
        while (phase := self.places.read().phase) not in phases:
            assert time.monotonic() < end, phase
            time.sleep(0.02)
        return phase

    def stop(self) -> None:
        if self._launcher is not None and self._launcher.poll() is None:
            self._launcher.send_signal(signal.SIGTERM)
            self._launcher.wait(20)

    def kill(self) -> bool:
        """As a power cut for the launcher; what it has started ends with it. Whether there was anything to kill."""
        assert self._launcher
        was_alive = self._launcher.poll() is None
        self._launcher.kill()
        self._launcher.wait(20)
        end = time.monotonic() + 20
        while self.processes():
            assert time.monotonic() < end
            time.sleep(0.01)
        return was_alive

    def processes(self) -> list[int]:
        """Programs of releases that still run for this box."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    words = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if os.fsencode(str(self.places.root)) in words:
                    found.append(int(folder.name))
        return found

    @property
    def boots(self) -> list[str]:
        log = self.data / "boots.log"
        return log.read_text().split() if log.exists() else []

    @property
    def database(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.data / "hako.db").read_text())
        return said
