"""`hako bundle`, as a publisher goes through it: keys, ceremony, build, signatures, stick, check."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.bundle.publish.repository import ROLE_NAMES
from appliance.cli.main import main


class Publisher:
    """Types commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text("correct horse battery\n")

    def hako(self, *words: str | Path) -> Result:
        return CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["bundle", *map(str, words)])

    def done(self, *words: str | Path) -> str:
        result = self.hako(*words)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path)
    made.done("keygen", "alice", "--into", tmp_path / "keys", "--passphrase-file", made.passphrase)
    shares = [word for role in ROLE_NAMES for word in ("--key", f"{role}={tmp_path}/keys/alice.pub.json")]
    made.done("ceremony", tmp_path / "repo", *shares)
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "notes.md").write_text("# Notes\n")
    return made


def built(publisher: Publisher, version: str) -> str:
    output = publisher.done(
        "build", publisher.folder / "repo", publisher.folder / "content", "--kind", "knowledge", "--name", "notes",
        "--version", version, "--licence", "CC0-1.0", "--title-ja", "メモ", "--title-en", "Notes", "--source", "a test",
    )  # fmt: skip
    return re.findall(r"^[0-9a-f]{64}$", output, re.MULTILINE)[0]


def sign(publisher: Publisher) -> str:
    secret = publisher.folder / "keys" / "alice.key.json"
    return publisher.done("sign", publisher.folder / "repo", secret, "--passphrase-file", publisher.passphrase)


def test_a_stick_is_made_and_checked(publisher: Publisher):
    digest = built(publisher, "1.0")
    repo, stick = publisher.folder / "repo", publisher.folder / "stick"
    assert "signatures missing" in publisher.done("status", repo)
    assert publisher.hako("write", repo, stick).exit_code == 1
    assert "signatures missing" not in sign(publisher)
    publisher.done("write", repo, stick)
    root = repo / "metadata" / "1.root.json"
    for command in ("inspect", "verify"):
        assert digest in publisher.done(command, stick, "--root", root)
    part = next(path for path in (stick / "parts").rglob("*") if path.is_file())
    part.write_bytes(b"# Votes\n")
    failed = publisher.hako("verify", stick, "--root", root)
    assert (failed.exit_code, "HK-BND-005" in failed.output) == (1, True)


def test_a_thin_stick_and_what_differs(publisher: Publisher):
    first = built(publisher, "1.0")
    (publisher.folder / "content" / "more.md").write_text("# More\n")
    second = built(publisher, "1.1")
    assert publisher.done("diff", publisher.folder / "repo", first, second) == "+ more.md\n"
    sign(publisher)
    repo, stick = publisher.folder / "repo", publisher.folder / "stick"
    publisher.done("write", repo, stick, "--only", second, "--leave-out", first)
    assert "thin" in publisher.done("verify", stick, "--root", repo / "metadata" / "1.root.json")


def test_a_rotation_asks_for_the_new_holder_too(publisher: Publisher):
    sign(publisher)
    folder = publisher.folder
    publisher.done("keygen", "bob", "--into", folder / "keys", "--passphrase-file", publisher.passphrase)
    publisher.done("rotate", folder / "repo", "--key", f"root={folder}/keys/bob.pub.json")
    assert "signatures missing" in sign(publisher)
    bob = folder / "keys" / "bob.key.json"
    output = publisher.done("sign", folder / "repo", bob, "--passphrase-file", publisher.passphrase)
    assert "signatures missing" not in output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ceremony", "x"], "HK-BOX-003"),
        (["ceremony", "x", "--key", "cook=a.json"], "HK-BOX-003"),
        (["ceremony", "x", "--key", "root"], "HK-BOX-003"),
        (["sign", "x", "absent.key.json", "--passphrase-file", "passphrase"], "HK-BND-006"),
        (["inspect", "x", "--root", "absent.json"], "HK-BND-006"),
        (["status", "x"], "HK-BND-006"),
        (["diff", "repo", "0", "1"], "HK-BND-006"),
    ],
)
def test_a_slip_of_the_publisher_gets_a_sentence(
    publisher: Publisher, words: list[str], code: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(publisher.folder)
    result = publisher.hako(*words)
    assert (result.exit_code, code in result.output, "Traceback" in result.output) == (1, True, False)


def test_a_passphrase_file_that_others_can_read_is_not_taken(publisher: Publisher):
    publisher.passphrase.chmod(0o644)
    result = publisher.hako("keygen", "bob", "--into", publisher.folder, "--passphrase-file", publisher.passphrase)
    assert result.exit_code == 1
    assert not (publisher.folder / "bob.key.json").exists()
