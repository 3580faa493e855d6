"""What the attack cases of bundles share: a box, a stick that is spoilt, and what may be seen of it afterwards."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import HakoError
from appliance.inference import manifest as manifests
from appliance.inference.verify import verify_files
from tests.simulators import nursery
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox

PIECES = 20_000
"""Bytes of a part, so that tiny files have several."""
TARGET = "models/pack/1.0/index.json"


def digest_of(sticks: Sticks) -> str:
    return hashlib.sha256(sticks.indexes[TARGET]).hexdigest()


def take(box: TakingBox, sticks: Sticks, stick: Path) -> str | None:
    """The code that the job ended with; None if it was taken."""
    return box.take(stick, digest_of(sticks)).error_code


def refused(box: TakingBox, stick: Path, kind: type[HakoError]) -> None:
    """The stick is refused as a whole, and nothing has changed."""
    before = (box.models, box.leftovers)
    with pytest.raises(kind):
        box.bundles.look(str(stick))
    assert (box.models, box.leftovers) == before


def noise(size: int) -> bytes:
    """Random bytes no part of which passes for a manifest."""
    return os.urandom(size).replace(b"{", b"}")


def weights(stick: Path) -> list[Path]:
    """Parts that are no manifest, which each look reads."""
    return sorted(part for part in stick.glob("parts/*/*") if not part.read_bytes().startswith(b"{"))


def nothing_is_seen(box: TakingBox) -> bool:
    return box.models == [] and {path.name for path in box.settings.models.glob("*")} <= {".taking"}


def every_model_is_whole(box: TakingBox) -> bool:
    for model in box.models:
        verify_files(box.settings.models / model, manifests.read(box.settings.models / model))
    return True


def everything_is_whole(box: TakingBox) -> bool:
    return every_model_is_whole(box) and box.models == ["first", "second"] and box.leftovers == []


def index_with(sticks: Sticks, change: Callable[[dict[str, Any]], None]) -> bytes:
    said = json.loads(sticks.indexes[TARGET])
    change(said)
    return json.dumps(said).encode()


def counted(patch: pytest.MonkeyPatch, name: str, number: int, fault: Callable[[], None]) -> list[int]:
    """Let `fault` happen before a call of the system, counted by its number."""
    real, seen = getattr(os, name), [0]

    def call(*arguments: Any, **more: Any) -> Any:
        seen[0] += 1
        if seen[0] == number:
            fault()
        return real(*arguments, **more)

    patch.setattr(os, name, call)
    return seen


def killed(box: TakingBox, name: str, number: int) -> TakingBox:
    """The box as it starts after its worker was killed at this call."""
    box.close()
    assert nursery.run(_work_until, box.settings.data_dir, name, number) == -signal.SIGKILL
    return TakingBox(box.settings.data_dir)


def _work_until(folder: Path, name: str, number: int) -> None:
    inner = TakingBox(folder)
    counted(pytest.MonkeyPatch(), name, number, lambda: os.kill(os.getpid(), signal.SIGKILL))
    inner.worker.step()
