"""`make soak`: an hour of mixed load on a served box; fails on an error, on growth, and on a slow console."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench import table
from tests.bench.models import MODELS, REPOSITORY
from tests.e2e import prepared
from tests.simulators.served import PASSWORD, ServedBox
from tests.soak import judge
from tests.soak.console import Caretaker, Operator
from tests.soak.judge import Run, Sample, Timing, Verdict
from tests.soak.meter import Meter
from tests.soak.people import Chatter, Comer, Librarian, Reader
from tests.soak.programs import AnthropicProgram, OpenAIProgram
from tests.soak.record import Record
from tests.soak.visitor import Place, Visitor, come_and_go

EVERY_S: Final = 10.0
RESULT: Final = REPOSITORY / ".build" / "soak.json"
_HOME_S: Final = 240.0
_MEMBERS: Final = ("akari", "bert", "chika", "dan", "emi")
_OPERATORS: Final = ("olga", "kenji")


def main() -> int:
    """Soak a box for so many minutes; 0 when no limit was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes: float = parser.parse_args().minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that its box ends with it
    with tempfile.TemporaryDirectory(prefix="hako-soak-") as work:
        run, notes = _soak(Path(work), minutes * 60)
    verdict = judge.judge(run)
    _show(verdict)
    told = {"lasted_s": run.lasted_s, **verdict.as_dict(), **notes}
    told["troubles"] = [[trouble.at_s, trouble.what] for trouble in run.troubles]
    told["samples"] = [[sample.at_s, sample.gauges] for sample in run.samples]
    RESULT.write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")
    print(f"\n   all figures: {RESULT.relative_to(REPOSITORY)}")
    for sentence in verdict.broken:
        print(f"✗ {sentence}")
    return 1 if verdict.broken else 0


def _soak(work: Path, lasts_s: float) -> tuple[Run, dict[str, object]]:
    temporary, target = work / "tmp", work / "backups"
    for folder in (temporary, target):
        folder.mkdir()
    os.environ["TMPDIR"] = str(temporary)  # whatever the box leaves lying about is seen
    models = Path(shutil.copytree(MODELS, work / "models"))  # copied: pages that no other box has a share in
    prepared.lay(work / "v")
    box = ServedBox(work / "v", models=models, samples=True, extra=f'[backup]\nfolder = "{target}"')
    box.start("--no-question")
    try:
        sample_base = _furnish(box)
        record, over = Record(), threading.Event()
        meter = Meter(box, temporary, record)
        samples: list[Sample] = []
        with _load(box, Place(box.url, record, over, sample_base), str(target), lasts_s):
            while record.at_s < lasts_s and box.is_running:
                samples.append(meter.sample())
                time.sleep(max(0.0, min(EVERY_S * len(samples), lasts_s) - record.at_s))
            lasted_s = record.at_s
        meter.sample()
    finally:
        status = box.stop() if box.is_running else -1
    if status != 0:
        record.trouble(f"the box ended with {status}")
    if left := sorted(path.name for path in temporary.rglob("*") if path.is_file()):
        record.trouble(f"left behind in the folder for temporary files: {left[:10]}")
    if "was restarted" in box.output:
        record.trouble(f"the box said: {box.output[-300:]}")
    notes: dict[str, object] = {"done": dict(record.done), "warnings": dict(meter.warnings)}
    for name, count in sorted({**record.done, **meter.warnings}.items()):
        print(f"   {count:7d}  {name}")
    return Run(lasted_s, samples, record.timings, record.troubles), notes


def _furnish(box: ServedBox) -> str:
    """Its people. Returns the base of the manual, which it has read."""
    with box.client() as client:
        for name in (*_MEMBERS, *_OPERATORS):
            role = "operator" if name in _OPERATORS else "member"
            client.post("/users", {"name": name, "display_name": name, "password": PASSWORD, "role": role})
        sample = next(base for base in client.get("/bases")["items"] if base["system"])
    box.wait_for_documents(sample["id"])
    return str(sample["id"])


@contextmanager
def _load(box: ServedBox, place: Place, target: str, lasts_s: float) -> Iterator[None]:
    """All visitors come; afterwards they finish what they are at."""
    akari, bert, chika, dan, emi = _MEMBERS
    keys = [box.api_key(name) for name in ("openai-program", "anthropic-program")]
    acts: dict[str, tuple[Callable[[], None], float]] = {
        akari: (Chatter(place, akari, "ja").chat, 2),
        bert: (Chatter(place, bert, "en").chat, 2),
        chika: (Reader(place, chika, "ja").read, 3),
        dan: (Librarian(place, dan, "ja").keep, 4),
        emi: (Comer(place, emi, "en").come, 6),
        "openai-program": (OpenAIProgram(Visitor(place, "openai-program", "en", keys[0])).work, 5),
        "anthropic-program": (AnthropicProgram(Visitor(place, "anthropic-program", "en", keys[1])).work, 5),
        _OPERATORS[0]: (Operator(place, _OPERATORS[0], "ja").look, 1),
        _OPERATORS[1]: (Caretaker(place, _OPERATORS[1], "en", target).care, max(30.0, lasts_s / 12)),
    }
    threads = [come_and_go(place, name, act, every_s) for name, (act, every_s) in acts.items()]
    try:
        yield
    finally:
        place.over.set()
        for thread in threads:
            thread.join(_HOME_S)
    if late := [thread.name for thread in threads if thread.is_alive()]:
        place.record.trouble(f"still waiting for an answer after {_HOME_S:.0f} s: {late}")


def _show(verdict: Verdict) -> None:
    table.show(
        ["what", "after warm-up", "highest", "growth", "share", "limit"],
        [
            [
                one.name,
                f"{one.level:.1f}",
                f"{one.highest:.1f}",
                f"{one.gained:+.1f}",
                f"{one.share:+.1%}",
                "✗" if one.broken else "",
            ]
            for one in verdict.growths
        ],
    )
    print()
    table.show(
        ["what", "times", "p50 ms", "p95 ms", "p99 ms", ""],
        [
            [one.name, one.count, *(f"{value * 1000:.0f}" for value in (one.p50, one.p95, one.p99)), _slow(one)]
            for one in verdict.timings
        ],
    )


def _slow(timing: Timing) -> str:
    """A page that is slower than all of the console may be, however seldom it is opened."""
    return "slow" if judge.is_console(timing.name) and timing.p95 >= judge.CONSOLE_P95_S else ""


if __name__ == "__main__":
    sys.exit(main())
