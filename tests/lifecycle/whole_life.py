"""The whole life of a box, typed as its publisher and its operator type it: `python -m tests.lifecycle.whole_life`.

Keys, ceremony and three releases; a box that is set up, used, updated, saved from a broken release and backed up; and a
second box on which it lives on. Real commands and starter models, wheels of this very tree. Nothing reaches a network.
"""

import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from appliance.bundle.publish.repository import ROLE_NAMES
from appliance.bundle.update.state import Phase, Places
from tests.e2e.prepared import MODELS, own_models
from tests.simulators import releases
from tests.simulators.media import Stick, demand_fat
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.served import PASSWORD, RunningBox, free_port, typed

Say = Callable[[str], None]
PASSPHRASE: Final = "seven quiet lanterns by the river"
NEW_PASSPHRASE: Final = "eight loud kettles on the stove"
QUESTION: Final = "Where does the key of the boiler room hang?"
DOCUMENT: Final = """# The boiler room

The key of the boiler room hangs behind the blue door. Whoever takes it writes that down in the book.
"""
_KEY: Final = re.compile(r"^\s+((?:[0-9A-Z]{5}-){7}[0-9A-Z]{5})$", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """What must be the same at every station: of people, their things, and what a question is answered with."""

    users: tuple[str, ...]
    documents: tuple[tuple[str, str], ...]
    aliases: tuple[tuple[str, str], ...]
    chat: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    by_key: tuple[str, ...]


class Narrator:
    """Says each step in a sentence, with the seconds that it took, once it is done."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = time.monotonic()

    @contextlib.contextmanager
    def step(self, sentence: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"{time.monotonic() - began:7.1f} s  {sentence}")

    def end(self, sentence: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {sentence}")


class Publisher(PublishersTerminal):
    """Types into a terminal of its own; who signs releases and the root are two people."""

    def __init__(self, folder: Path) -> None:
        self._digests: dict[str, str] = {}
        super().__init__(folder, {"carol": ROLE_NAMES, "dave": ("root", "targets", "app")})

    def publishes(self, version: str, wheel: Path, lock: Path, counter: int, *more: str) -> None:
        self._digests[version] = self.release(wheel, lock, counter, *more)

    def writes(self, version: str, stick: Stick) -> None:
        """That release alone, with what is signed by now."""
        self.hako("write", self.repository, stick.plug_in(), "--only", self._digests[version])

    def hako(self, *words: str | Path) -> str:
        ran = typed("bundle", *map(str, words))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


class Operator:
    """At the terminal of a box that opens with a passphrase, as a box does that isn't in development."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        self.folder, self.passphrase = folder, passphrase
        self.box = RunningBox(folder, self._port())

    def _port(self) -> int:
        found = re.search(r"^port = (\d+)$", (self.folder / "hako.toml").read_text("utf-8"), re.MULTILINE)
        assert found
        return int(found[1])

    def hako(self, *words: str | Path, answers: str = "") -> str:
        ran = self.box.hako(*map(str, words), input=answers)
        assert ran.returncode == 0, f"hako {words}\n{ran.stdout}{ran.stderr}\n{self.box.output}"
        return ran.stdout

    def refused(self, *words: str | Path) -> str:
        ran = self.box.hako(*map(str, words), input="")
        assert ran.returncode == 1, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def start(self) -> None:
        self.box.start("--no-question")
        self.unlock()

    def unlock(self) -> None:
        self._until(lambda: self._state() == "sealed")
        self.hako("unlock", answers=f"{self.passphrase}\n")
        self._until(lambda: self._state() == "open")

    def change(self) -> Phase:
        """Begin the update, open the vault for the trial, and wait until it is decided."""
        places = Places.of(self.folder)
        self.hako("update", "start", "--yes")
        self._until(lambda: places.read().is_trial)
        self.unlock()
        self._until(lambda: places.read().phase in (Phase.COMMITTED, Phase.ROLLED_BACK))
        return places.read().phase

    def _state(self) -> str:
        try:
            state = httpx2.get(f"{self.box.url}/api/v1/state")
        except httpx2.TransportError:
            return "away"
        return str(state.json()["vault"]["state"]) if state.status_code == 200 else "away"

    def _until(self, check: Callable[[], bool], within_s: float = 300) -> None:
        end = time.monotonic() + within_s
        while not check():
            assert time.monotonic() < end, f"{self.box.output}\n{self.box.log()[-3000:]}"
            time.sleep(0.2)


class Bob:
    """A member with a chat, and a program of his with an API key."""

    def __init__(self, box: RunningBox) -> None:
        self.key, self.chat, self.base = "", "", ""
        self._browser = httpx2.Client()
        self.meets(box)

    def meets(self, box: RunningBox) -> None:
        """Signs in at a box."""
        self.leaves()
        self._browser = httpx2.Client(base_url=box.url, timeout=120)
        assert self._browser.post("/sign-in", data={"name": "bob", "password": PASSWORD}).status_code == 303

    def leaves(self) -> None:
        self._browser.close()

    def sets_up(self) -> None:
        self.key = str(self._asks("POST", "/me/keys", {"name": "program", "scope": {}})["key"])
        (base,) = [base for base in self._asks("GET", "/bases")["items"] if base["name"] == "house"]
        self.base = base["id"]
        self.chat = str(self._asks("POST", "/chats", {"base_ids": [self.base]})["id"])
        answer = self._asks("POST", f"/chats/{self.chat}/messages", {"text": QUESTION})["answer"]
        end = time.monotonic() + 120
        while self._chat()[-1]["state"] == "running":
            assert time.monotonic() < end, answer
            time.sleep(0.2)

    def _chat(self) -> list[dict[str, Any]]:
        return list(self._asks("GET", f"/chats/{self.chat}")["messages"])

    def _asks(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._browser.request(method, f"/api/v1{path}", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def sees(self, operator: Operator) -> Seen:
        """Everything of his, and of the box, that must never change."""
        with operator.box.client() as client:
            users = tuple(sorted(user["name"] for user in client.get("/users")["items"]))
            models = client.get("/models")["items"]
        documents = self._asks("GET", f"/bases/{self.base}/documents")["items"]
        asked = self._asks("POST", "/ask", {"question": QUESTION, "base_ids": [self.base]})
        program = httpx2.post(
            f"{operator.box.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {self.key}"},
            json={"model": "kb:house", "messages": [{"role": "user", "content": QUESTION}]},
            timeout=120,
        )
        assert program.is_success, program.text
        return Seen(
            users,
            tuple((item["name"], item["state"]) for item in documents),
            tuple((model["id"], alias) for model in models for alias in model["aliases"]),
            tuple(message["text"] for message in self._chat()),
            _sources(asked["citations"]),
            _quotes(program.json()["citations"]),
        )


def _sources(citations: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((cited["document"], cited["quote"].strip()) for cited in citations)


def _quotes(citations: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(quote for _document, quote in _sources(citations))


def live(folder: Path, models: Path, say: Say = print) -> None:
    """All of it, in an empty folder. `models`: the starter models, which every box comes with."""
    tell = Narrator(say)
    media = folder / "media"
    media.mkdir()
    with contextlib.ExitStack() as plugged:
        first, second, third, saved = (
            Stick(folder / "pocket", media / name) for name in ("FIRST", "SECOND", "THIRD", "BACKUP")
        )
        for stick in (first, second, third, saved):
            plugged.enter_context(stick)
        say(f"           Sticks are of the kind: {first.kind}.")
        publisher = _published(folder, first, second, third, tell)
        one = _set_up(folder / "one", models, media, publisher, tell)
        plugged.callback(_stopped, one)
        bob = Bob(one.box)
        plugged.callback(bob.leaves)
        with tell.step("Bob makes an API key, asks in a chat, and gets an answer with its source."):
            bob.sets_up()
            seen = bob.sees(one)
        assert seen.users == ("alice", "bob")
        assert seen.aliases == (("smollm2-135m-instruct", "house-model"),)
        assert any("behind the blue door" in quote for _document, quote in seen.sources)
        assert any("behind the blue door" in quote for quote in seen.by_key)
        _updated(one, bob, seen, first, "0.2.0", tell)
        _updated(one, bob, seen, second, "0.3.0", tell)
        _saved_from_a_broken_one(one, bob, seen, third, tell)
        key = _backed_up(one, saved, tell)
        with tell.step("Box 1 is switched off for good."):
            assert one.box.stop() == 0
        two = _restored(folder / "two", models, saved, key, tell)
        plugged.callback(_stopped, two)
        _lives_on(two, bob, seen, publisher, first, tell)
    tell.end("The whole life of a box.")


def _stopped(operator: Operator) -> None:
    if operator.box.is_running:
        operator.box.stop()


def _published(folder: Path, first: Stick, second: Stick, third: Stick, tell: Narrator) -> Publisher:
    """Each release on a stick of its own."""
    (folder / "publisher").mkdir()
    with tell.step("The publisher's two holders make their keys, hold the ceremony and sign the first root."):
        publisher = Publisher(folder / "publisher")
    lock = releases.everything_else(folder / "wheels")
    broken = {**releases.migrating(2), **releases.NOBODY_SIGNS_IN}
    offers = (
        (
            first,
            "0.2.0",
            releases.migrating(1),
            ("--floor", "1"),
            "Release 0.2.0 is built, signed by both, and written",
        ),
        (second, "0.3.0", releases.migrating(1), ("--floor", "1"), "Release 0.3.0 follows"),
        (third, "0.4.0", broken, (), "Release 0.4.0 follows, in which nobody can sign in"),
    )
    for counter, (stick, version, changes, more, sentence) in enumerate(offers, start=2):
        with tell.step(f"{sentence}; its stick is inspected and verified."):
            wheel = releases.wheel(folder / "built", version, counter, changes)
            publisher.publishes(version, wheel, lock, counter, *more)
            publisher.writes(version, stick)
            assert f"hako {version}" in publisher.hako("inspect", stick.folder, "--root", publisher.root)
            assert f"hako {version}" in publisher.hako("verify", stick.folder, "--root", publisher.root)
            demand_fat(stick.folder)
    return publisher


def _set_up(folder: Path, models: Path, media: Path, publisher: Publisher, tell: Narrator) -> Operator:
    """A box with an operator, a member, a base and a model's alias; it trusts the publisher."""
    folder.mkdir(mode=0o700)
    (folder / "hako.toml").write_text(f'storage.media = ["{media}"]\n[web]\nport = {free_port()}\n', "utf-8")
    own_models(folder / "models")
    operator = Operator(folder, PASSPHRASE)
    with tell.step("Box 1: the vault is made, the recovery key is written down, the box is started and unlocked."):
        found = _KEY.search(operator.hako("init", answers=f"{PASSPHRASE}\n{PASSPHRASE}\ny\n"))
        assert found
        (folder.parent / "sheet-in-the-safe").write_text(found[1], "ascii")
        operator.start()
    with tell.step("Box 1 gets an operator, a member, a base with a document, and a name for its model."):
        operator.hako("user", "add", "alice", "--role", "operator", answers=f"{PASSWORD}\n{PASSWORD}\n")
        operator.hako("user", "add", "bob", answers=f"{PASSWORD}\n{PASSWORD}\n")
        document = folder.parent / "house-rules.md"
        document.write_text(DOCUMENT, "utf-8")
        operator.hako("kb", "add", document, "--kb", "house")
        operator.hako("models", "alias", "house-model", "smollm2-135m-instruct")
        operator.hako("bundle", "trust", publisher.root, "--fingerprint", publisher.fingerprint)
    return operator


def _updated(operator: Operator, bob: Bob, seen: Seen, stick: Stick, version: str, tell: Narrator) -> None:
    with tell.step(f"Box 1 takes release {version} from its stick and installs it beside the running one."):
        assert f"hako {version}" in operator.hako("bundle", "look", stick.folder)
        operator.hako("bundle", "take", stick.folder, "--yes")
    stick.pull_out()
    with tell.step(f"Box 1 changes to {version}: stopped, copied, tried, unlocked, looked at twice, kept."):
        assert operator.change() is Phase.COMMITTED, operator.hako("update", "status")
    with tell.step("Everything is as it was, and the question gets the same answer with its source."):
        assert f"Running release: {version}" in operator.hako("update", "status")
        assert bob.sees(operator) == seen


def _saved_from_a_broken_one(operator: Operator, bob: Bob, seen: Seen, stick: Stick, tell: Narrator) -> None:
    with tell.step("Box 1 takes 0.4.0, changes to it, finds that nobody can sign in, and goes back by itself."):
        operator.hako("bundle", "take", stick.folder, "--yes")
        assert operator.change() is Phase.ROLLED_BACK
        operator.unlock()
        status = operator.hako("update", "status")
        assert "Running release: 0.3.0" in status
        assert "nobody could sign in" in status
    with tell.step("Everything is as it was."):
        assert bob.sees(operator) == seen
    stick.pull_out()


def _backed_up(operator: Operator, stick: Stick, tell: Narrator) -> str:
    """Returns the recovery key."""
    key = (operator.folder.parent / "sheet-in-the-safe").read_text("ascii")
    with tell.step("Box 1 is backed up to a stick; the backup is listed, verified and rehearsed."):
        operator.hako("backup", "create", stick.folder)
        operator.hako("backup", "list", stick.folder)
        operator.hako("backup", "verify", stick.folder)
        operator.hako("backup", "rehearse", stick.folder)
        demand_fat(stick.folder)
    with tell.step("It is rehearsed once more with nothing but the recovery key."):
        operator.hako("backup", "rehearse", stick.folder, "--recovery-key", answers=f"{key}\n")
        assert "whole" in operator.hako("audit", "verify")
    return key


def _restored(folder: Path, models: Path, stick: Stick, key: str, tell: Narrator) -> Operator:
    with tell.step("Box 2, set up with the first release: the backup is restored with the recovery key."):
        command = ("--data-dir", str(folder), "backup", "restore", str(stick.folder), "--recovery-key")
        ran = typed(*command, input=f"{key}\n")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "smollm2-135m-instruct" in ran.stdout  # is to be brought
        own_models(folder / "models")
    operator = Operator(folder, NEW_PASSPHRASE)
    with tell.step("Box 2 is started and opened with the recovery key, and gets a passphrase of its own."):
        operator.box.start("--no-question")
        operator.hako("unlock", "--recovery-key", answers=f"{key}\n{NEW_PASSPHRASE}\n{NEW_PASSPHRASE}\n")
    return operator


def _lives_on(operator: Operator, bob: Bob, seen: Seen, publisher: Publisher, first: Stick, tell: Narrator) -> None:
    with tell.step("Box 2: Bob signs in, finds his chat, and gets the same answer with its source; his program too."):
        bob.meets(operator.box)
        assert bob.sees(operator) == seen
    with tell.step("Box 2: the record of actions is whole."):
        assert "whole" in operator.hako("audit", "verify")
    with tell.step("Box 2 refuses release 0.2.0, which is older than what was seen on box 1."):
        assert "HK-BND-003" in operator.refused("bundle", "take", first.plug_in(), "--yes")
    with tell.step("Box 2 gets 0.3.0 on a stick that was written anew, changes to it, and everything is as it was."):
        publisher.writes("0.3.0", first)
        operator.hako("bundle", "take", first.folder, "--yes")
        assert operator.change() is Phase.COMMITTED, operator.hako("update", "status")
        assert bob.sees(operator) == seen
    with tell.step("Box 2 is switched off."):
        assert operator.box.stop() == 0


def main() -> int:
    """With the starter models of this tree, in a folder that is gone afterwards."""
    if not MODELS.is_dir():
        sys.stdout.write("The starter models are not built: make models\n")
        return 1
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="hako-life-") as folder:
        live(Path(folder), MODELS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
