"""Root's helper installs a real release by pip, from a stick that a publisher has signed, and is killed meanwhile."""

import os
import random
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.errors import HelperRefusedError, HelperUnreachableError
from appliance.machine import helper_shapes as shapes
from appliance.machine.helper_client import HelperClient
from tests.simulators import releases, roots_helper
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.roots_helper import RootsFolders
from tests.simulators.served_helper import ask

pytestmark = pytest.mark.timeout(900)

KILLS = 8


def test_killed_at_any_moment_root_has_no_release_or_a_whole_one_that_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    publisher = PublishersTerminal(_made(tmp_path / "p"))
    lock = releases.everything_else(tmp_path / "wheels")
    digest = publisher.release(releases.wheel(tmp_path / "r", "0.2.0", 2), lock, 2)
    root, path = RootsFolders(_made(tmp_path / "root"), _made(tmp_path / "box")), tmp_path / "run" / "helper.sock"
    publisher.hako("write", publisher.repository, root.media / "sdb1" / "更新", "--only", digest)
    wish = shapes.Install(verb="install", media=str(root.media), below=("sdb1", "更新"), digest=digest)
    client, chance, stages = HelperClient(path), random.Random(3), set()
    helper = roots_helper.as_process(root, path, os.geteuid())
    trust = shapes.Trust(verb="trust", root=publisher.root.read_text("ascii"))
    assert ask(client, trust) == {"fingerprint": publisher.fingerprint}
    for _ in range(KILLS):
        killing = threading.Timer(chance.uniform(0.0, 8.0), helper.kill)
        killing.start()
        with suppress(HelperUnreachableError, HelperRefusedError):
            client.ask(wish, lambda stage, _done, _total: stages.add(stage))
        killing.join()
        helper.join(20)
        assert root.places.all() == [] or runs(root) == "0.2.0"
        helper = roots_helper.as_process(root, path, os.geteuid())
    began = time.monotonic()
    assert ask(client, wish) == {"version": "0.2.0"}
    assert runs(root) == "0.2.0"
    assert ask(client, shapes.Switch(verb="switch", digest=digest)) == {"version": "0.2.0"}
    helper.kill()
    helper.join(20)
    assert not any((root.places.root / "incoming").iterdir())
    with capfd.disabled():
        print(
            f"\n{KILLS} kills of root's helper at {sorted(stages)}; whole after {time.monotonic() - began:.1f} s more"
        )


def runs(root: RootsFolders) -> str:
    """The version that the release says of itself, started as the units' door does."""
    (there,) = root.places.all()
    python = root.places.python(there.name)
    words = [str(python), "-I", "-c", "import appliance, appliance.processes.web; print(appliance.__version__)"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
