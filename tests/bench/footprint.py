"""What an idle box takes: memory of all its processes with both starter models loaded, and a warm start."""

import tempfile
import time
from pathlib import Path

from appliance.machine import resources
from tests.bench import table
from tests.bench.models import MODELS
from tests.simulators.served import ServedBox

MIB = 1 << 20


def run() -> None:
    """Reach: at most 900 MiB (PSS summed) idle, ready within 10 s on a warm start."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        box = ServedBox(Path(folder) / "v", models=MODELS)
        box.start("--no-question")
        box.stop()
        warm = box.start("--no-question")
        try:
            _load(box)
            shares = {pid: (_name(pid), resources.pss(pid) / MIB) for pid in resources.tree(box.pid)}
        finally:
            box.stop()
    rows = [[name, f"{size:.0f} MiB", ""] for name, size in sorted(shares.values(), key=lambda share: -share[1])]
    total = sum(size for _name, size in shares.values())
    table.show(
        ["process", "PSS", "to reach"],
        [*rows, ["all together", f"{total:.0f} MiB", "≤ 900 MiB"], ["warm start", f"{warm:.1f} s", "≤ 10 s"]],
    )
    print("   limit: the weights themselves, then Python with numpy and the context of two answers")


def _load(box: ServedBox) -> None:
    """Both models loaded and one answer given, then half a minute of quiet."""
    with box.client() as client:
        for item in client.get("/models")["items"]:
            client.post(f"/models/{item['id']}/load", {})
        client.post("/ask", {"question": "hello"})
    time.sleep(10)


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return " ".join(word for word in words[1:6] if not word.startswith("/") and word not in ("-m", "--data-dir"))[:48]
