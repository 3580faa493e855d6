"""Answers that quote what was found, with n-gram speculation and without, beside answers that quote nothing."""

import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.gateway.stream import events
from appliance.inference.engine import EngineSpec, Speculation
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection
from tests.bench import table
from tests.bench.models import MODELS
from tests.bench.native import MODEL, last_timings, requantise

ROUNDS = 5
TOKENS = 120
NOTICES = """\
The night entrance of the hospital is the guard room of the east wing. Visiting hours are from 2 pm to 8 pm. \
Please return the visitor card to the desk before you leave. The car park has room for 300 cars and closes at 10.
The recovery key is printed once when the box is set up. Keep it in a safe place away from the box. \
Whoever has it can open the vault without the passphrase. If it is lost, make a new one in the settings.
Night duty is paid by the hour from ten in the evening until five in the morning. The rate is one and a quarter \
of the hourly wage. Requests are handed in by the third working day of the next month at the office.
""".splitlines()
QUOTE = "Quote this notice word for word:\n\n{passage}"
QUOTED = (
    "The canteen opens at 11 and closes at 2. Lunch costs 600 yen. Please bring your own cup. Fish on Fridays.",
    "Parcels are handed over at the back door before noon. A receipt is given for each. Keep it for one year.",
)
"""Turns before the question that show the small model what quoting is: by itself it puts half in its own words."""
REPEAT = "{passage}\n\nRepeat the text above word for word.\n\n"
FREE = "{passage}\n\nNow an entirely different story about a lighthouse keeper and the sea.\n\n"
KINDS = (("quotes", QUOTE, QUOTED), ("quotes half of it", REPEAT, ()), ("quotes nothing", FREE, ()))


def run() -> None:
    """Two processes of the engine, asked in turns with the same prompts. Reach: >= 1.5 where it pays."""
    shipped = next((MODELS / MODEL).glob("*.gguf"))
    rows = []
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        eight = Path(folder) / "eight.gguf"
        requantise(shipped, eight)
        for name, file in (("4 bits, as shipped", shipped), ("8 bits", eight)):
            for kind, prompt, quoted in KINDS:
                off, on, guessed, same = _compared(file, Path(folder), prompt, quoted)
                reach = "≥ 1.5" if kind == "quotes" else ""
                rows.append([f"{name}, {kind}", off, on, on / off, guessed, f"{same}/{ROUNDS}", reach])
    table.show(["answer", "off, tokens/s", "on, tokens/s", "on ÷ off", "right guesses", "same text", "to reach"], rows)
    print("   limit: off, how fast memory is read for each token; on, how many guesses the model's own words confirm")
    print(f"   load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, this bench included")


def _compared(file: Path, folder: Path, prompt: str, quoted: Sequence[str]) -> tuple[float, float, str, int]:
    """Median tokens per second without and with, the share of tokens guessed right, how many answers were the same."""
    children = {way: Child(_spec(file, folder, way), lambda _child: None) for way in _WAYS}
    rates: dict[Speculation, list[float]] = {way: [] for way in _WAYS}
    same = accepted = tokens = 0
    try:
        for child in children.values():
            child.wait_ready()
        for number in range(ROUNDS):
            turn = number % len(NOTICES)
            text = " ".join([f"Notice {number}.", *NOTICES[turn:], *NOTICES[:turn]])
            answers = []
            for way in _WAYS[:: 1 if number % 2 else -1]:
                timings, answer = _written(_spec(file, folder, way), _talk(prompt, quoted, text))
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


def _talk(prompt: str, quoted: Sequence[str], text: str) -> list[dict[str, str]]:
    turns = [(("user", prompt.format(passage=each)), ("assistant", each)) for each in quoted]
    said = [*(each for turn in turns for each in turn), ("user", prompt.format(passage=text))]
    return [{"role": role, "content": content} for role, content in said]


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
