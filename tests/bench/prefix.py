"""The first token of a question whose 1,500 tokens of context were read before, against one that is new."""

import os
import statistics
import time

import httpx2

from tests.bench import table
from tests.bench.gateway import MODEL, is_token
from tests.bench.models import served_box

PAIRS = 5
PREFIX_NUMBERS = 380
"""About 1,500 tokens of this model."""


def run() -> None:
    """Median of pairs through the web API; the second of a pair has the same context. Reach: <= 0.1 of cold."""
    cold, warm, sizes = [], [], []
    with served_box() as box, httpx2.Client(base_url=box.url) as client:
        client.headers["Authorization"] = f"Bearer {box.api_key('bench')}"
        _first_token(client, "Hello.", "Who are you?")  # loads the model
        for number in range(PAIRS):
            context = " ".join(f"{(number * 7919 + place * 31) % 997}" for place in range(PREFIX_NUMBERS))
            seconds, tokens = _first_token(client, context, "Which is the largest number?")
            cold.append(seconds)
            sizes.append(tokens)
            warm.append(_first_token(client, context, "How many numbers are there?")[0])
    ratios = [second / first for first, second in zip(cold, warm, strict=True)]
    table.show(
        ["figure", "median", "spread", "to reach"],
        [
            ["prompt, tokens", statistics.median(sizes), f"{min(sizes)}–{max(sizes)}", "≈ 1500"],
            ["first token, context is new, s", statistics.median(cold), f"{min(cold):.3f}–{max(cold):.3f}", ""],
            ["first token, context was read, s", statistics.median(warm), f"{min(warm):.3f}–{max(warm):.3f}", ""],
            ["read before ÷ new", statistics.median(ratios), f"{min(ratios):.3f}–{max(ratios):.3f}", "≤ 0.100"],
        ],
    )
    print("   limit: new context is limited by computing; known context by the few tokens of the question and one hop")
    print("   it holds while the engine's place still has that context: as many contexts as answers at once")
    print(f"   load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, this bench included")


def _first_token(client: httpx2.Client, context: str, question: str) -> tuple[float, int]:
    """Seconds to the first token, and tokens of the prompt."""
    body = {
        "model": MODEL,
        "messages": [{"role": "system", "content": context}, {"role": "user", "content": question}],
        "max_tokens": 4,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, tokens = time.perf_counter(), 0.0, 0
    with client.stream("POST", "/v1/chat/completions", json=body, timeout=300) as answer:
        assert answer.status_code == httpx2.codes.OK, answer.read()
        for line in answer.iter_lines():
            if not first and is_token(line):
                first = time.perf_counter()
            tokens = usage(line) or tokens
    assert first, "no token came"
    return first - began, tokens


def usage(line: str) -> int:
    """Tokens of the prompt where this line of the stream says them, else 0."""
    event = table.event(line)
    return int((event.get("usage") or {}).get("prompt_tokens", 0))
