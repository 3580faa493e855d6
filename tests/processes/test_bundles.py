"""A bundle from the publisher's command line to the box's: trusted, looked at, taken, cut off and gone on with."""

import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import config
from appliance.bundle.publish.repository import ROLE_NAMES
from appliance.cli.main import main
from appliance.vault.client import KeysClient
from tests.simulators.served import ServedBox
from tests.simulators.sticks import Sticks, packed


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    """A box that trusts nobody yet."""
    with ServedBox(tmp_path_factory.mktemp("b") / "v") as box:
        yield box


class Publisher:
    """Types commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repository = folder, folder / "repo"
        self._secret = folder / "passphrase"
        self._secret.touch(mode=0o600)
        self._secret.write_text("correct horse battery\n")
        self.hako("keygen", "carol", "--into", folder / "keys", "--passphrase-file", self._secret)
        shares = [word for role in ROLE_NAMES for word in ("--key", f"{role}={folder}/keys/carol.pub.json")]
        self.hako("ceremony", self.repository, *shares)
        self._sign()

    @property
    def root(self) -> Path:
        return self.repository / "metadata" / "1.root.json"

    def hako(self, *words: str | Path) -> str:
        ran = CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["bundle", *map(str, words)])
        assert ran.exit_code == 0, ran.output
        return ran.output

    def build(self, content: Path, name: str, *more: str | Path) -> str:
        said = self.hako(
            "build", self.repository, content, "--kind", "models", "--name", name, "--version", "1.0",
            "--licence", "CC0-1.0", "--title-en", name.title(), *more,
        )  # fmt: skip
        self._sign()
        return said

    def _sign(self) -> None:
        key = self.folder / "keys" / "carol.key.json"
        self.hako("sign", self.repository, key, "--passphrase-file", self._secret)


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("p"))


def done(served: ServedBox, *words: str | Path) -> str:
    ran = served.hako("bundle", *map(str, words))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_from_the_publishers_terminal_to_the_boxs(served: ServedBox, publisher: Publisher, tmp_path: Path) -> None:
    packed(tmp_path / "content", "brought", 4)
    publisher.build(tmp_path / "content", "pack")
    stick = tmp_path / "stick"
    publisher.hako("write", publisher.repository, stick)

    assert "No publisher is trusted yet." in done(served, "trust")
    assert "HK-BND-011" in served.hako("bundle", "look", str(stick)).stderr
    wrong = served.hako("bundle", "trust", str(publisher.root), "--fingerprint", "0" * 64)
    assert "HK-BND-012" in wrong.stderr
    fingerprint = "".join(re.findall(r"\b[0-9a-f]{8}\b", wrong.stdout))
    done(served, "trust", publisher.root, "--fingerprint", fingerprint)
    assert "".join(re.findall(r"\b[0-9a-f]{8}\b", done(served, "trust"))) == fingerprint

    seen = done(served, "look", stick)
    assert "pack 1.0" in seen
    assert "comes in" in seen
    assert "pack 1.0 is taken in." in done(served, "take", stick, "--yes")
    with served.client() as client:
        assert "".join(client.chat("brought", [{"role": "user", "content": "hello"}])) != ""
    assert "is there already" in done(served, "look", stick)

    # Thin: what the box has is left out, and comes from the box.
    done(served, "request", "--out", tmp_path / "request.json")
    request = json.loads((tmp_path / "request.json").read_text())
    assert "brought" in [model["id"] for model in request["models"]]
    assert request["bundles"][0]["name"] == "pack"
    assert json.loads(done(served, "request"))["box"] == request["box"]
    again = tmp_path / "again"
    packed(again, "brought-2", 5)
    weights = (tmp_path / "content" / "brought" / "brought.gguf").read_bytes()
    (again / "brought-2" / "brought-2.gguf").write_bytes(weights)
    said = json.loads((again / "brought-2" / "model.json").read_text())
    held = json.loads((tmp_path / "content" / "brought" / "model.json").read_text())
    said["files"] = {"brought-2.gguf": held["files"]["brought.gguf"]}
    (again / "brought-2" / "model.json").write_text(json.dumps(said))
    built = publisher.build(again, "pack-2", "--for", tmp_path / "request.json")
    assert "already" in built
    digest = re.findall(r"^[0-9a-f]{64}$", built, re.MULTILINE)[0]
    thin = tmp_path / "thin"
    publisher.hako("write", publisher.repository, thin, "--only", digest, "--for", tmp_path / "request.json")
    assert sum(path.stat().st_size for path in thin.glob("parts/*/*")) < 2000
    assert "come from files that this box has" in done(served, "look", thin)
    assert "pack-2 1.0 is taken in." in done(served, "take", thin, "--yes", "--only", digest)
    assert "brought-2" in served.hako("models", "list").stdout


def test_what_is_refused_is_one_sentence_and_a_stick_past_its_date_takes_the_recovery_key(
    served: ServedBox, tmp_path: Path
) -> None:
    refused = served.hako("bundle", "look", str(tmp_path / "nowhere"))
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (1, 1)
    assert served.hako("bundle", "take").returncode == 2
    assert "Taking is stopped." in done(served, "take", "--cancel")

    sticks = Sticks(tmp_path / "publisher", time.time() - 3600)
    packed(tmp_path / "content", "late", 7)
    sticks.add(tmp_path / "content", "pack")
    stick = sticks.write(tmp_path / "stick", days=0.02)
    (tmp_path / "root.json").write_bytes(sticks.publisher.anchor)
    done(served, "trust", tmp_path / "root.json", "--fingerprint", sticks.fingerprint)
    assert "HK-BND-004" in served.hako("bundle", "take", str(stick), "--yes").stderr
    keys = KeysClient(config.load(data_dir=served.folder).keys_socket)
    recovery, other = keys.new_recovery(), keys.new_recovery()
    words = ("bundle", "accept-stale", str(stick), "--reason", "the ferry is late", "--secret")
    assert "HK-VLT-002" in served.hako(*words, recovery).stderr  # the other one has replaced it
    assert "HK-VLT-006" in served.hako(*words, other[:-1] + ("A" if other[-1] != "A" else "B")).stderr
    said = served.hako(*words, other)
    assert (said.returncode, "for 24 hours" in said.stdout, "pack 1.0" in said.stdout) == (0, True, True), said.stderr
    assert "pack 1.0 is taken in." in done(served, "take", stick, "--yes")
    with served.client() as client:
        assert "the ferry is late" in json.dumps(client.get("/audit"))


def test_the_worker_takes_up_after_a_kill_what_it_was_taking(
    served: ServedBox, publisher: Publisher, tmp_path: Path
) -> None:
    wrong = served.hako("bundle", "trust", str(publisher.root), "--fingerprint", "0" * 64)
    fingerprint = "".join(re.findall(r"\b[0-9a-f]{8}\b", wrong.stdout))
    done(served, "trust", publisher.root, "--fingerprint", fingerprint)
    packed(tmp_path / "content", "survivor", 6)
    digest = re.findall(r"^[0-9a-f]{64}$", publisher.build(tmp_path / "content", "later"), re.MULTILINE)[0]
    stick = tmp_path / "stick"
    publisher.hako("write", publisher.repository, stick, "--only", digest)
    with served.client() as client:
        client.post("/bundles/taking", {"folder": str(stick), "digest": digest})
        os.kill(served.processes()["worker"], signal.SIGKILL)
        end = time.monotonic() + 60
        while (job := client.get("/bundles/taking")["job"])["state"] in ("waiting", "running"):
            assert time.monotonic() < end, job
            time.sleep(0.1)
        assert (job["state"], job["error"]) == ("done", None)
        assert "survivor" in [model["id"] for model in client.get("/models")["items"]]


class Operator:
    """At the terminal of a served box, without a process for each command."""

    def __init__(self, served: ServedBox) -> None:
        self._folder = served.folder

    def said(self, *words: str | Path, status: int = 0) -> str:
        runner = CliRunner(env={"LC_ALL": "en_GB.UTF-8"})
        ran = runner.invoke(main, ["--data-dir", str(self._folder), *map(str, words)])
        assert ran.exit_code == status, ran.output
        return ran.output

    def shown(self, name: str) -> str:
        """What is said of a pack, once it has been read."""
        end = time.monotonic() + 60
        while name not in (said := self.said("bundle", "packs")) or "in use" not in said.split(name)[1].splitlines()[0]:
            assert time.monotonic() < end, said
            time.sleep(0.2)
        return said


def test_documents_come_from_a_publisher_and_go_on_to_another_box(
    served: ServedBox, publisher: Publisher, tmp_path: Path
) -> None:
    alice = Operator(served)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "boiler.md").write_text("# Boiler\n\nThe boiler key hangs behind the blue door.\n")
    (tmp_path / "texts" / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    built = publisher.build(
        tmp_path / "texts", "boiler", "--kind", "knowledge", "--title-ja", "ボイラー", "--source", "the caretaker"
    )
    stick = tmp_path / "stick"
    digest = re.findall(r"^[0-9a-f]{64}$", built, re.MULTILINE)[0]
    publisher.hako("write", publisher.repository, stick, "--only", digest)
    fingerprint = hashlib.sha256(publisher.root.read_bytes()).hexdigest()
    alice.said("bundle", "trust", publisher.root, "--fingerprint", fingerprint)
    assert "2 documents  for a new base" in alice.said("bundle", "look", stick)
    alice.said("bundle", "take", stick, "--yes", "--everyone")
    said = alice.shown("ボイラー")
    assert "1 of 2 documents read, 1 failed" in said
    assert "× broken.pdf" in said
    assert "HK-DOC-012" in said
    assert "blue door" in alice.said("kb", "search", "boiler key", "--kb", "ボイラー")

    # To another box: here it is the same one, which trusts itself no more than any other.
    pack, request = tmp_path / "ward.hakopack", tmp_path / "request.json"
    alice.said("bundle", "request", "--out", request)
    alice.said("bundle", "export", "ボイラー", pack, "--for", "0" * 72, "--yes", status=1)
    assert not pack.exists()
    out = alice.said("bundle", "export", "ボイラー", pack, "--for", request, "--yes")
    assert "1 documents of “ボイラー”" in out
    assert pack.stat().st_mode & 0o777 == 0o600
    assert b"blue door" not in pack.read_bytes()
    told = alice.said("bundle", "boxes").split(":\n")[1].splitlines()[0]
    assert "not trusted" in alice.said("bundle", "look", pack)
    assert "HK-BND-015" in alice.said("bundle", "take", pack, "--yes", status=1)
    alice.said("bundle", "boxes", "--trust", pack, "--fingerprint", "0" * 64, status=1)
    alice.said("bundle", "boxes", "--trust", pack, "--fingerprint", told)
    alice.said("bundle", "take", pack, "--yes")
    said = alice.shown("ボイラー 2")
    base_id = re.findall(r"base_\w+", said.split("ボイラー 2")[1])[0]
    assert "It is erased." in alice.said("bundle", "packs", "--remove", base_id, "--yes")
    assert "ボイラー 2" not in alice.said("bundle", "packs")
    alice.said("bundle", "boxes", "--forget", "".join(told.split()))
