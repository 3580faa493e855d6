"""A large bundle taken from a folder, checked and on the disk, against `cp` and `sha256sum` of the same bytes."""

import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from appliance import clock
from appliance.bundle.index import PART_BYTES, File, Part
from appliance.bundle.staging import part_path
from appliance.inference.manifest import FILE_NAME, Manifest, ModelFile
from tests.bench import table
from tests.simulators import nursery
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox

GB = 1_000_000_000
ROUNDS = 3
_BLOCK = 1 << 20


def run(size_gb: float = 1.0) -> None:
    """Both in turns, with nothing of it in memory at the start. Reach: ratio of 0.8, memory that doesn't grow."""
    with tempfile.TemporaryDirectory(prefix="hako-bundles-") as scratch:
        folder = Path(scratch)
        sticks, digest = _published(folder, int(size_gb * GB))
        stick = sticks.write(folder / "stick", parts=False)
        (folder / "parts").rename(stick / "parts")
        plain, ours, memory = [], [], [0.0]
        for number in range(ROUNDS):
            plain.append(_copied(folder, stick))
            taken = _taken(folder / f"box-{number}", stick, sticks, digest)
            ours.append(taken["seconds"])
            memory.append(taken["grown_mib"])
            hashed = taken["checked_again"]
    best, peer = min(ours), min(plain)
    rows = [
        ["cp + sha256sum", f"{peer:.2f}", f"{size_gb * 1000 / peer:.0f}", "", ""],
        ["hako", f"{best:.2f}", f"{size_gb * 1000 / best:.0f}", f"{peer / best:.2f}", f"{max(memory):.0f}"],
    ]
    table.show([f"{size_gb:g} GB", "s", "MB/s", "ratio (reach 0.8)", "memory grown, MiB"], rows)
    print(f"   all rounds: cp {_listed(plain)}, hako {_listed(ours)}; of that, reading back from the disk {hashed:.2f}")
    print("   hako hashes each byte as it comes and once more as it lies on the disk, and waits for the disk per part")


def _published(folder: Path, size: int) -> tuple[Sticks, str]:
    """One model of so many bytes that repeat nowhere, cut into parts without being in memory."""
    dice, whole, parts, left = random.Random(1), hashlib.sha256(), [], size
    while left:
        part = bytearray()
        while left and len(part) < PART_BYTES:
            block = dice.randbytes(min(_BLOCK, left, PART_BYTES - len(part)))
            part += block
            left -= len(block)
        whole.update(part)
        parts.append(_kept(folder, bytes(part)))
    file = ModelFile(sha256=whole.hexdigest(), size=size)
    manifest = Manifest(
        id="large", name="Large", kind="embedding", engine="onnx", files={"model.onnx": file}, entry="model.onnx",
        licence="CC0-1.0", source="bench", languages=("en",), context=512, dimensions=3,
    )  # fmt: skip
    said = manifest.model_dump_json().encode()
    own = _kept(folder, said)
    files = (
        File(path=f"large/{FILE_NAME}", size=len(said), sha256=own.sha256, parts=(own,)),
        File(path="large/model.onnx", size=size, sha256=file.sha256, parts=tuple(parts)),
    )
    sticks = Sticks(folder, clock.now())
    return sticks, sticks.add(folder, "large", files=files)


def _kept(folder: Path, content: bytes) -> Part:
    part = Part(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    place = folder / part_path(part)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return part


def _copied(folder: Path, stick: Path) -> float:
    _forgotten(stick)
    began = time.perf_counter()
    subprocess.run(["cp", "-r", str(stick / "parts"), str(folder / "copy")], check=True)
    files = [str(path) for path in (folder / "copy").glob("*/*")]
    subprocess.run(["sha256sum", *files], check=True, capture_output=True)
    taken = time.perf_counter() - began
    shutil.rmtree(folder / "copy")
    return taken


def _taken(box: Path, stick: Path, sticks: Sticks, digest: str) -> dict[str, float]:
    """In a process of its own, for its memory."""
    _forgotten(stick)
    said = box.with_suffix(".json")
    assert nursery.run(_take, box, stick, sticks.publisher.anchor, sticks.fingerprint, digest, said) == 0
    shutil.rmtree(box)
    found: dict[str, float] = json.loads(said.read_text())
    return found


def _take(folder: Path, stick: Path, anchor: bytes, fingerprint: str, digest: str, said: Path) -> None:
    box = TakingBox(folder)
    box.bundles.trust(anchor, fingerprint, "alice")
    box.bundles.take(str(stick), digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job
    since: dict[str, float] = {}
    before, began = _peak_mib(), time.perf_counter()
    box.bundles.handler().run(job, lambda stage, _done, _total: since.setdefault(stage, time.perf_counter()) and None)
    ended = time.perf_counter()
    figures = {"seconds": ended - began, "grown_mib": _peak_mib() - before}
    figures["checked_again"] = since["placing"] - since["checking"]
    said.write_text(json.dumps(figures))
    box.close()


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forgotten(folder: Path) -> None:
    """Let the system read it from the disk anew."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            opened = os.open(path, os.O_RDONLY)
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(opened)


def _listed(seconds: list[float]) -> str:
    return " ".join(f"{each:.2f}" for each in seconds)
