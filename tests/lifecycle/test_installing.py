"""Real installations by pip: what is altered, lies about itself or is cut off is never run."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from appliance.bundle.publish.releases import collect
from appliance.bundle.update import install
from appliance.bundle.update.release import Manifest
from appliance.bundle.update.state import Places, Release
from appliance.errors import BundleInvalidError, CancelledError, ReleaseFailedError
from appliance.image import base
from tests.simulators import nursery, releases

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected")
    lock = releases.everything_else(folder / "wheels")
    collect(folder / "content", releases.wheel(folder, "0.2.0", 2), lock, lock.parent)
    return folder / "content"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "releases", tmp_path)


def release(manifest: Manifest, counter: int = 2) -> Release:
    return Release("0.2.0-x", "0.2.0", counter, 0, manifest.schema_steps)


def manifest_of(content: Path) -> Manifest:
    return Manifest.model_validate_json((content / "release.json").read_bytes())


def said(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout


def test_a_release_says_what_it_consists_of(content: Path) -> None:
    parts = json.loads((content / "sbom.cdx.json").read_text())
    own = parts["metadata"]["component"]
    assert (parts["bomFormat"], own["name"], own["version"]) == ("CycloneDX", "hako-appliance", "0.2.0")
    assert own["licenses"] == [{"expression": "Apache-2.0"}]
    assert [part["name"] for part in parts["components"]] == ["hako-packages-of-the-test"]
    with pytest.raises(BundleInvalidError):
        collect(content, content / "none.whl", content / "none.txt")


def test_an_installed_release_runs_from_its_own_folder(content: Path, places: Places) -> None:
    manifest = manifest_of(content)
    install.install(places, release(manifest), manifest, content)
    python = places.python("0.2.0-x")
    environment = {"PYTHONSAFEPATH": "1", "PATH": os.environ["PATH"], "LC_ALL": "en_GB.UTF-8"}
    assert "0.2.0" in said([str(python), "-m", "appliance", "version"], environment)
    where = said([str(python), "-c", "import appliance; print(appliance.__file__)"], environment)
    assert where.startswith(str(places.root))
    install.install(places, release(manifest), manifest, content)  # is left as it is


def test_a_wheel_that_was_altered_after_the_check_is_refused_by_its_hash(
    content: Path, places: Places, tmp_path: Path
) -> None:
    altered = tmp_path / "altered" / "wheels"
    altered.mkdir(parents=True)
    for wheel in (content / "wheels").iterdir():
        (altered / wheel.name).write_bytes(wheel.read_bytes() + b"!")
    with pytest.raises(ReleaseFailedError) as seen:
        install.install(places, release(manifest_of(content)), manifest_of(content), altered.parent)
    assert seen.value.params == {"step": "install"}
    assert list(places.root.iterdir()) == []


def test_a_release_that_is_another_than_it_was_signed_as_is_refused(content: Path, places: Places) -> None:
    manifest = manifest_of(content)
    with pytest.raises(ReleaseFailedError) as seen:
        install.install(places, release(manifest, counter=7), manifest, content)
    assert seen.value.params == {"step": "self-check"}
    assert list(places.root.iterdir()) == []


def test_stopped_or_killed_in_the_middle_nothing_counts_and_the_next_try_is_whole(
    content: Path, places: Places
) -> None:
    manifest = manifest_of(content)

    def stop() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        install.install(places, release(manifest), manifest, content, stop)
    assert list(places.root.iterdir()) == []
    child = nursery.start(install.install, places, release(manifest), manifest, content)  # what it starts outlives it
    while not (places.folder("0.2.0-x") / "venv" / "bin").exists():
        time.sleep(0.01)
    child.kill()
    assert nursery.ended(child) == -signal.SIGKILL
    assert not places.is_whole("0.2.0-x")
    install.install(places, release(manifest), manifest, content)
    assert places.is_whole("0.2.0-x")


def test_a_server_gets_its_base_from_a_release_and_keeps_it_while_it_is_the_same(content: Path, tmp_path: Path) -> None:
    """As `hako install --from` and, on a machine with nothing but Python, the module in the wheel."""
    (wheel,) = (content / "wheels").glob("hako_appliance-*.whl")
    environment = {"PYTHONPATH": str(wheel), "PATH": os.environ["PATH"]}
    words = [base._python(), "-P", "-c", _BARE, str(content), str(tmp_path)]
    assert said(words, environment).split() == ["True", "False"]
    python = tmp_path / base.BASE / "bin" / "python"
    assert "0.2.0" in said([str(python), "-I", "-m", "appliance", "version"], {"LC_ALL": "en_GB.UTF-8"})
    where = "import appliance.image.server as s; print(*sorted(s._files(s.Wish())))"
    files = said([str(python), "-I", "-c", where], {}).split()
    assert {"etc/systemd/system/hako.target", "usr/local/sbin/hako", "etc/tmpfiles.d/hako.conf"} <= set(files)
    assert [path.name for path in python.parent.parent.parent.iterdir()] == ["base"]


_BARE = """
import sys
from pathlib import Path
from appliance.image import base
assert ".whl/" in base.__file__
for _ in range(2):
    print(base.make(Path(sys.argv[1]), Path(sys.argv[2])))
"""
