"""Answers that quote what was found, with n-gram speculation and without, beside answers that quote nothing."""

import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.gateway import quoting
from appliance.gateway.stream import events
from appliance.inference.engine import EngineSpec, Speculation
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection
from tests.bench import table
from tests.bench.models import MODELS
from tests.bench.native import MODEL, last_timings, requantise

ROUNDS = 5
TOKENS = 120
REPEAT = "{passage}\n\nRepeat the text above word for word.\n\n"
KINDS: tuple[tuple[str, Callable[[str], quoting.Talk]], ...] = (
    ("quotes", quoting.talk),
    ("quotes half of it", lambda passage: _asked(REPEAT.format(passage=passage))),
    ("quotes nothing", lambda passage: _asked(quoting.OTHER.format(passage=passage))),
)


def run() -> None:
    """Two processes of the engine, asked in turns with the same prompts. Reach: >= 1.5 where it pays."""
    shipped = next((MODELS / MODEL).glob("*.gguf"))
    rows = []
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        eight = Path(folder) / "eight.gguf"
        requantise(shipped, eight)
        for name, file in (("4 bits, as shipped", shipped), ("8 bits", eight)):
            for kind, talk in KINDS:
                off, on, guessed, same = _compared(file, Path(folder), talk)
                reach = "≥ 1.5" if kind == "quotes" else ""
                rows.append([f"{name}, {kind}", off, on, on / off, guessed, f"{same}/{ROUNDS}", reach])
    table.show(["answer", "off, tokens/s", "on, tokens/s", "on ÷ off", "right guesses", "same text", "to reach"], rows)
    print("   limit: off, how fast memory is read for each token; on, how many guesses the model's own words confirm")
    print(f"   load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, this bench included")


def _compared(file: Path, folder: Path, talk: Callable[[str], quoting.Talk]) -> tuple[float, float, str, int]:
    """Median tokens per second without and with, the share of tokens guessed right, how many answers were the same."""
    children = {way: Child(_spec(file, folder, way), lambda _child: None) for way in _WAYS}
    rates: dict[Speculation, list[float]] = {way: [] for way in _WAYS}
    same = accepted = tokens = 0
    try:
        for child in children.values():
            child.wait_ready()
        for number in range(ROUNDS):
            text = quoting.notice(number)
            answers = []
            for way in _WAYS[:: 1 if number % 2 else -1]:
                timings, answer = _written(_spec(file, folder, way), talk(text))
                rates[way].append(float(timings["predicted_per_second"]))
                answers.append(answer)
                if way == "ngram":
                    accepted += timings.get("draft_n_accepted", 0)
                    tokens += timings["predicted_n"]
            same += answers[0] == answers[1]
    finally:
        for child in children.values():
            child.stop()
    return statistics.median(rates["off"]), statistics.median(rates["ngram"]), f"{accepted}/{tokens}", same


_WAYS: tuple[Speculation, ...] = ("off", "ngram")


def _spec(file: Path, folder: Path, way: Speculation) -> EngineSpec:
    return EngineSpec(
        model=MODEL,
        kind="chat",
        engine="llama",
        folder=str(file.parent),
        entry=file.name,
        socket=str(folder / f"{way}.sock"),
        api_key="bench",
        threads=1,
        parallel=1,
        context=2048,
        dimensions=0,
        provider="cpu",
        memory_bytes=8 << 30,
        speculation=way,
    )


def _asked(text: str) -> quoting.Talk:
    return [{"role": "user", "content": text}]


def _written(spec: EngineSpec, messages: list[dict[str, str]]) -> tuple[dict[str, Any], str]:
    """The engine's own clock and counts, and what was written."""
    body = {
        "messages": messages,
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
    }
    with ChildConnection(Path(spec.socket), spec.api_key, MODEL) as connection:
        connection.send("/v1/chat/completions", body)
        connection.begin()
        seen = list(events(connection.chunks()))
    text = "".join(choice["delta"].get("content") or "" for event in seen for choice in event.get("choices", ()))
    return last_timings(seen), text
