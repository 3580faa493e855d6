"""`hako publisher`: root at the machine changes whose releases it installs; no session, stick or socket can."""

import json
import os
import syslog
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import clock
from appliance.bundle.update.anchor import RootsAnchor
from appliance.cli import publisher
from appliance.cli.context import Terminal
from appliance.cli.main import main
from appliance.config import Accounts
from appliance.errors import BundleSignatureError, NoPublisherError, PrivateFileError
from tests.simulators.box import PASSPHRASE, Person, TestBox
from tests.simulators.door import Door
from tests.simulators.sticks import Sticks

NAMES = {"keys": "k", "web": "w", "worker": "o", "inference": "i", "egress": "e", "health": "h"}


class Root:
    """What root has: an anchor, a memory, and sticks of two publishers."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "media"
        self.memory, self.file = folder / "memory", folder / "etc" / "publisher-root.json"
        self.file.parent.mkdir()
        self.journal: list[str] = []
        self.old, self.new = (Sticks(folder / name, clock.now()) for name in ("old", "new"))
        self.anchor = RootsAnchor(self.file, self.memory)
        self.anchor.first(self.old.publisher.anchor)
        self.new.write(self.media / "STICK" / "hako")

    @property
    def trusted(self) -> str:
        return "old" if self.anchor.trusted() == self.old.publisher.anchor else "new"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    made = Root(tmp_path)
    monkeypatch.setattr(publisher, "ANCHOR", made.file)
    monkeypatch.setattr(publisher, "MEMORY", made.memory)
    return made


@pytest.fixture
def hako(box: TestBox, root: Root, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`hako publisher …` by root on a machine where each process has its own account; what it prints."""
    storage = box.settings.storage.model_copy(update={"media": (root.media,)})
    settings = box.settings.model_copy(update={"accounts": Accounts(**NAMES), "storage": storage})
    monkeypatch.setattr(Terminal, "settings", lambda _self: settings)
    monkeypatch.setattr(publisher, "KeysClient", lambda _socket: box.keys)
    monkeypatch.setattr(syslog, "syslog", lambda _level, line: root.journal.append(line))
    monkeypatch.setattr(os, "geteuid", lambda: root.memory.stat().st_uid if os.getuid() else 0)

    def run(*words: str, given: str = "") -> str:
        return CliRunner(env={"LC_ALL": "en_GB.UTF-8"}).invoke(main, ["publisher", *words], input=given).output

    with Door(box) as door:
        monkeypatch.setattr(Terminal, "client", lambda _self: door)
        yield run


def changes(box: TestBox) -> list[tuple[str, str]]:
    entries = box.services.audit.entries(9, actions=("machine-publisher-changed",))
    return [(entry.actor, entry.target) for entry in entries]


def grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[place : place + 8] for place in range(0, 64, 8))


def test_root_changes_the_publisher_by_its_told_fingerprint_and_the_passphrase(
    box: TestBox, root: Root, hako: Callable[..., str]
) -> None:
    assert grouped(root.old.fingerprint) in hako()
    before = changes(box)
    said = hako("--change", given=f"{grouped(root.new.fingerprint).upper()}\n{PASSPHRASE}\n")
    assert "✓ From now on" in said
    assert root.journal == [f"hako: publisher {root.old.fingerprint} replaced by {root.new.fingerprint}"]
    assert root.trusted == "new"
    assert changes(box) == [("operator", root.new.fingerprint), *before]
    assert grouped(root.new.fingerprint) in hako()
    assert root.anchor.first(root.old.publisher.anchor) == root.new.fingerprint, "web's word changes nothing"
    assert "HK-BND-030" in hako("--change", given=f"{root.new.fingerprint}\n")


def test_the_recovery_key_does_as_well(box: TestBox, root: Root, hako: Callable[..., str]) -> None:
    hako("--change", given=f"{root.new.fingerprint}\n\n{box.keys.RECOVERY}\n")
    assert root.trusted == "new"


@pytest.mark.parametrize("secret", ["not the passphrase\n", "\nnot-the-recovery-key\n"])
def test_who_only_stands_at_the_machine_changes_nothing(
    box: TestBox, root: Root, hako: Callable[..., str], secret: str
) -> None:
    before = changes(box)
    assert "HK-VLT" in hako("--change", given=f"{root.new.fingerprint}\n{secret}")
    assert (root.trusted, changes(box)) == ("old", before)


def test_a_stick_says_nothing_of_itself_before_its_fingerprint_was_typed(root: Root, hako: Callable[..., str]) -> None:
    said = hako("--change", given=f"{'0' * 64}\n{PASSPHRASE}\n")
    assert "HK-BND-029" in said
    assert root.new.fingerprint[:8] not in said
    assert root.trusted == "old"


def test_what_its_own_keys_have_not_signed_is_no_publisher(root: Root, hako: Callable[..., str]) -> None:
    altered = json.loads(root.new.publisher.anchor)
    altered["signed"]["expires"] = "2099-01-01T00:00:00Z"
    content = json.dumps(altered).encode()
    (root.media / "STICK" / "root.json").write_bytes(content)
    said = hako("--change", given=f"{publisher.fingerprint_of(content)}\n{PASSPHRASE}\n")
    assert "HK-BND-002" in said
    with pytest.raises(BundleSignatureError):
        root.anchor.replace(content)
    assert root.trusted == "old"


def test_a_link_on_a_stick_leads_nowhere(root: Root, hako: Callable[..., str], tmp_path: Path) -> None:
    other = Sticks(tmp_path / "third", clock.now())
    (tmp_path / "root.json").write_bytes(other.publisher.anchor)
    (root.media / "STICK" / "root.json").symlink_to(tmp_path / "root.json")
    os.mkfifo(root.media / "STICK" / "a.root.json")
    assert "HK-BND-029" in hako("--change", given=f"{other.fingerprint}\n{PASSPHRASE}\n")


def test_a_vault_that_stays_sealed_records_nothing_so_nothing_changes(
    box: TestBox, root: Root, hako: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_self: Door, _path: str, _body: object) -> None:
        raise PrivateFileError(name="x")

    monkeypatch.setattr(Door, "post", away)
    hako("--change", given=f"{root.new.fingerprint}\n{PASSPHRASE}\n")
    assert root.trusted == "old"


def test_roots_own_file_goes_first_and_is_the_one_that_is_replaced(root: Root) -> None:
    root.file.write_bytes(root.old.publisher.anchor)
    root.file.chmod(0o644)
    root.anchor.replace(root.new.publisher.anchor)
    assert root.file.read_bytes() == root.new.publisher.anchor
    assert (root.file.stat().st_mode & 0o777, root.trusted) == (0o644, "new")
    root.file.unlink()
    root.file.symlink_to("elsewhere")
    with pytest.raises(PrivateFileError):
        root.anchor.trusted()
    root.anchor.replace(root.new.publisher.anchor)
    assert (root.file.is_symlink(), root.trusted) == (False, "new")


def test_without_any_publisher_the_first_one_may_come_from_the_machine(root: Root, hako: Callable[..., str]) -> None:
    for file in root.memory.iterdir():
        file.unlink()
    with pytest.raises(NoPublisherError):
        root.anchor.trusted()
    assert "no publisher yet" in hako()
    hako("--change", given=f"{root.new.fingerprint}\n{PASSPHRASE}\n")
    assert root.trusted == "new"


def test_nobody_but_root_gets_there(root: Root, hako: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "HK-BND-028" in hako("--change", given=f"{root.new.fingerprint}\n{PASSPHRASE}\n")


def test_no_session_tells_of_a_change_at_the_machine(box: TestBox, alice: Person, mallory: Person) -> None:
    before, body = changes(box), {"fingerprint": "a" * 64, "replaces": ""}
    assert [who.post("/bundles/trust/machine", json=body).status_code for who in (alice, mallory)] == [403, 403]
    assert changes(box) == before
