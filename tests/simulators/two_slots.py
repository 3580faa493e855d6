"""A machine with two slots as files: a loader that counts tries, systems that start, panic or are unwell, power cuts.

A kernel is a text of what a real one says of itself; a system's tree holds its length and digest, and its root is both.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance import durable
from appliance.bundle.update import system
from appliance.bundle.update.system import System
from appliance.bundle.update.system_state import Order, SystemPlaces
from appliance.errors import ImageStepError
from appliance.image import layout, slot
from appliance.image.box import slots, tend
from appliance.image.box.exchange import Ground

_TRIES = re.compile(r"hako-([ab])\+(\d+)(?:-(\d+))?\.efi")
ROOT_BYTES, TREE_BYTES = 5000, 300


class Cut(BaseException):
    """The power has gone."""


class Restart(BaseException):
    """The machine starts anew."""


def content(number: int) -> bytes:
    return f"system {number} ".encode() * 300


def tree(number: int) -> bytes:
    return json.dumps([len(content(number)), hashlib.sha256(content(number)).hexdigest()]).encode()


def digest(number: int) -> str:
    return hashlib.sha256(tree(number)).hexdigest()


def kernel(number: int, of: str) -> bytes:
    return f"{slot.release(of, number, '0.1.0')}{slot.command_line(of, digest(number))}\0kernel".encode()


def own(number: int) -> System:
    return System(profile="generic", architecture="x86_64", number=number, version="0.1.0", counter=1, python="3.11")


def manifest(number: int, **changes: object) -> system.Manifest:
    files = {system.ROOT: content(number), system.TREE: tree(number)}
    files |= {name: kernel(number, of) for of, name in system.KERNELS.items()}
    said = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    return system.Manifest.model_validate(
        {**own(number).model_dump(), "digest": digest(number), "files": said, **changes}
    )


def fill(folder: Path, number: int, **changes: object) -> Path:
    """A folder with all that a bundle of a system has."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / system.ROOT).write_bytes(content(number))
    (folder / system.TREE).write_bytes(tree(number))
    for of, name in system.KERNELS.items():
        (folder / name).write_bytes(kernel(number, of))
    (folder / system.MANIFEST).write_text(manifest(number, **changes).model_dump_json())
    return folder


class TwoSlots:
    """`panics` and `unwell`: numbers of systems that never come up, or fail their own look at themselves."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.folder, self.esp = folder, folder / "esp"
        self.places = SystemPlaces(folder / "releases")
        self.panics: set[int] = set()
        self.unwell: set[int] = set()
        self.running = "a"
        self.said: list[str] = []
        for below in ("EFI/Linux", "EFI/hako"):
            (self.esp / below).mkdir(parents=True)
        for of in layout.SLOTS:
            self.write(of, number)
            (self.esp / "EFI" / "hako" / f"{of}.efi").write_bytes(kernel(number, of))
            (self.esp / "EFI" / "Linux" / f"hako-{of}+3.efi").write_bytes(kernel(number, of))

    def root(self, of: str) -> Path:
        return self.folder / layout.root(of)

    def tree(self, of: str) -> Path:
        return self.folder / layout.verity(of)

    def write(self, of: str, number: int) -> None:
        self.root(of).write_bytes(content(number).ljust(ROOT_BYTES, b"\0"))
        self.tree(of).write_bytes(tree(number).ljust(TREE_BYTES, b"\0"))

    def order(self, number: int) -> Order:
        """As root's helper gives it."""
        self.places.put(fill(self.folder / "files", number))
        said = hashlib.sha256((self.places.staged / system.MANIFEST).read_bytes()).hexdigest()
        made = Order(id=f"order-{number}", bundle="b" * 64, number=number, version="0.1.0", digest=digest(number),
                     manifest=said)  # fmt: skip
        self.places.give(made)
        return made

    def number(self, of: str) -> int:
        """Of the whole system in a slot; 0 where its blocks aren't what its tree says."""
        try:
            length, said = json.loads(self.tree(of).read_bytes().rstrip(b"\0"))
        except ValueError:
            return 0
        data = self.root(of).read_bytes()[:length]
        return int(data.split()[1]) if hashlib.sha256(data).hexdigest() == said else 0

    # -- the loader

    def entries(self) -> list[str]:
        return sorted(path.name for path in (self.esp / "EFI" / "Linux").glob("*.efi"))

    def power(self, starts: int = 20) -> int:
        """Switch on, until it has come to rest; the number of the system that runs."""
        for _ in range(starts):
            self.running = self._load()
            if self.number(self.running) in self.panics:
                continue
            try:
                tend.tend(self)
            except Restart:
                continue
            return self.number(self.running)
        raise AssertionError(f"it doesn't come to rest: {self.entries()} {self.said}")

    def _load(self) -> str:
        """The slot that comes up: one whose system isn't what its kernel demands loses a try and is left."""
        for _ in range(12):
            found = [match for name in self.entries() if (match := _TRIES.fullmatch(name)) and int(match[2])]
            assert found, f"nothing can be started: {self.entries()}"
            chosen = max(found, key=self._rank)
            left, done = int(chosen[2]) - 1, int(chosen[3] or 0) + 1
            path = self.esp / "EFI" / "Linux" / chosen[0]
            path.rename(path.with_name(f"hako-{chosen[1]}+{left}-{done}.efi"))
            demanded = re.search(rb"hako.hash=([0-9a-f]+)", self._kernel(chosen[1]))
            assert demanded is not None
            number = self.number(chosen[1])
            if number and digest(number) == demanded[1].decode():
                return chosen[1]
        raise AssertionError(f"nothing comes up: {self.entries()}")

    def _kernel(self, of: str) -> bytes:
        path = slots.entry(self.esp, of)
        assert path is not None
        return path.read_bytes()

    def _rank(self, match: "re.Match[str]") -> tuple[int, bool]:
        found = re.search(rb'IMAGE_VERSION="(\d+)\.[^"~]+(~spare)?"', self._kernel(match[1]))
        assert found is not None
        return int(found[1]), not found[2]

    # -- as `tend.Machine`

    @contextmanager
    def ground(self) -> Iterator[Ground]:
        number = self.number(self.running)
        other = "b" if self.running == "a" else "a"
        yield Ground(self.places, self.esp, self.running, digest(number), own(number), self.root(other),
                     self.tree(other))  # fmt: skip

    def demand_sound(self) -> None:
        assert self.number(self.running)

    def judge(self) -> str:
        return "check-answer" if self.number(self.running) in self.unwell else ""

    def verify(self, root: Path, tree: Path, digest: str) -> None:
        said = tree.read_bytes().rstrip(b"\0")
        length, wanted = json.loads(said)
        data = root.read_bytes()[:length]
        if hashlib.sha256(said).hexdigest() != digest or hashlib.sha256(data).hexdigest() != wanted:
            raise ImageStepError("another block", step="veritysetup")

    def copy(self, ground: Ground) -> None:
        shutil.copyfile(self.root(ground.slot), ground.root)
        shutil.copyfile(self.tree(ground.slot), ground.tree)

    def tell(self, state: str) -> None:
        self.said.append(state)

    def wait(self, seconds: float) -> None:
        raise AssertionError(f"waits {seconds} s")

    def restart(self) -> None:
        raise Restart

    def scramble(self) -> None:
        """What a cut leaves of partitions that nothing starts from: anything."""
        for of in layout.SLOTS:
            if of != self.running and not slots.is_armed(self.esp, of):
                self.root(of).write_bytes(os.urandom(ROOT_BYTES))


class Power:
    """Goes before the step of this number that changes something on a disk; `steps` counts them."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.steps, self._at = 0, at
        for owner, names in ((Path, ("rename", "unlink")), (shutil, ("copyfile", "rmtree")), (os, ("fsync",)),
                             (durable, ("sync",))):  # fmt: skip
            for name in names:
                patch.setattr(owner, name, self._counted(getattr(owner, name)))

    @property
    def is_gone(self) -> bool:
        """Whether there were so many steps."""
        return self.steps >= self._at

    def _counted(self, real: object) -> object:
        def step(*given: object, **more: object) -> object:
            self.steps += 1
            if self.steps == self._at:
                raise Cut
            return real(*given, **more)  # type: ignore[operator]

        return step
