"""The client for TUF's public suite: its three commands, as that suite calls them, over loopback HTTP."""

import functools
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bundle.trust import judged
from appliance.config import REPOSITORY
from tests.simulators.publisher import Publisher


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return tmp_path / "stick"


@pytest.fixture
def url(stick: Path) -> Iterator[str]:
    stick.mkdir()
    handler = functools.partial(_Quiet, directory=str(stick))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def publisher() -> Publisher:
    made = Publisher(time.time())
    made.targets["folder/file.txt"] = b"what was signed"
    return made


def client(tmp_path: Path, url: str, command: str, *more: str, into: Path | None = None) -> int:
    words = ["--metadata-dir", str(tmp_path / "known"), "--metadata-url", f"{url}metadata/"]
    if into:
        words += ["--target-name", "folder/file.txt", "--target-base-url", f"{url}targets/", "--target-dir", str(into)]
    return judged.main([*words, command, *more])


def trusted(tmp_path: Path, role: str) -> int:
    return int(json.loads((tmp_path / "known" / f"{role}.json").read_bytes())["signed"]["version"])


def test_init_refresh_and_download(tmp_path: Path, publisher: Publisher, stick: Path, url: str):
    root = tmp_path / "root.json"
    root.write_bytes(publisher.anchor)
    (tmp_path / "known").mkdir()
    assert client(tmp_path, url, "init", str(root)) == 0
    publisher.publish(stick)
    publisher.new_root()
    publisher.publish(stick)
    assert client(tmp_path, url, "refresh") == 0
    assert {role: trusted(tmp_path, role) for role in ("root", "timestamp", "snapshot", "targets")} == {
        "root": 2,
        "timestamp": 2,
        "snapshot": 2,
        "targets": 2,
    }
    into = tmp_path / "brought"
    into.mkdir()
    assert client(tmp_path, url, "download", into=into) == 0
    assert [path.read_bytes() for path in into.iterdir()] == [b"what was signed"]


def test_what_can_not_be_trusted_ends_with_one(
    tmp_path: Path, publisher: Publisher, stick: Path, url: str, capsys: pytest.CaptureFixture[str]
):
    root = tmp_path / "root.json"
    root.write_bytes(publisher.anchor)
    (tmp_path / "known").mkdir()
    client(tmp_path, url, "init", str(root))
    Publisher(publisher.now).publish(stick)
    assert client(tmp_path, url, "refresh") == 1
    assert "BundleSignatureError" in capsys.readouterr().err
    assert trusted(tmp_path, "root") == 1


def test_no_other_host_is_asked(tmp_path: Path, publisher: Publisher, capsys: pytest.CaptureFixture[str]):
    root = tmp_path / "root.json"
    root.write_bytes(publisher.anchor)
    (tmp_path / "known").mkdir()
    client(tmp_path, "", "init", str(root))
    assert client(tmp_path, "http://127.0.0.2:9/", "refresh") == 1
    assert "only loopback" in capsys.readouterr().err


def test_the_door_opens():
    door = REPOSITORY / "offline-bundle" / "update-client"
    assert "appliance.bundle.trust.judged" in door.read_text("utf-8")
    words = [sys.executable, "-m", "appliance.bundle.trust.judged", "--metadata-dir", "/nonexistent", "refresh"]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
