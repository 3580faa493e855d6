"""What the web process costs a token: the same engine asked directly and through the API, in turns."""

import statistics
import time

import httpx2

from appliance import config
from appliance.inference.client import InferenceClient
from tests.bench import table
from tests.bench.models import served_box
from tests.simulators.served import ServedBox

PAIRS = 25
TOKENS = 96
READING_PAIRS = 9
READING_NUMBERS = 200
"""About 800 tokens of this model, new each time."""
MODEL = "smollm2-135m-instruct"


def run() -> None:
    """Median of interleaved pairs. Reach: decode and prefill >= 0.97 of bare, first token at most 15 ms later."""
    with served_box() as box:
        key = box.api_key("bench")
        inference = InferenceClient(config.load(data_dir=box.folder).inference_socket)
        rates, delays, readings = [], [], []
        for number in range(PAIRS + 1):
            # Prompts differ from their first words on: neither way finds the other's in the cache.
            ways = [("bare", 2 * number), ("web", 2 * number + 1)]
            seen = {
                way: _measured(box, inference, key, way, _story(prompt), TOKENS)
                for way, prompt in ways[:: 1 if number % 2 else -1]
            }
            if number:  # the first pair warms both up
                rates.append(seen["web"][1] / seen["bare"][1])
                delays.append((seen["web"][0] - seen["bare"][0]) * 1000)
        for number in range(READING_PAIRS):
            ways = [("bare", 2 * number), ("web", 2 * number + 1)]
            seen = {
                way: _measured(box, inference, key, way, _numbers(prompt), 4)
                for way, prompt in ways[:: 1 if number % 2 else -1]
            }
            readings.append(seen["bare"][0] / seen["web"][0])
    rate, delay = statistics.median(rates), statistics.median(delays)
    table.show(
        ["figure", "median", "spread", "to reach"],
        [
            ["decode through web ÷ bare engine", rate, f"{min(rates):.3f}–{max(rates):.3f}", "≥ 0.970"],
            [
                "prefill through web ÷ bare engine",
                statistics.median(readings),
                f"{min(readings):.3f}–{max(readings):.3f}",
                "≥ 0.970",
            ],
            ["added time to first token, ms", delay, f"{min(delays):.1f}–{max(delays):.1f}", "≤ 15"],
        ],
    )
    print("   limit: one Python hop copies each event; the rest is the two cores that engine and web share")


def _story(number: int) -> str:
    return f"Number {number} is a lighthouse. Tell a long story of many paragraphs about its keeper."


def _numbers(number: int) -> str:
    listed = " ".join(f"{(number * 7919 + place * 31) % 997}" for place in range(READING_NUMBERS))
    return f"{listed}\n\nTell a story about these numbers."


def _measured(
    box: ServedBox, inference: InferenceClient, key: str, way: str, prompt: str, tokens: int
) -> tuple[float, float]:
    if way == "web":
        return _measure(httpx2.Client(base_url=box.url), key, prompt, tokens)
    with inference.lease(MODEL) as lease:
        transport = httpx2.HTTPTransport(uds=str(lease.socket))
        return _measure(httpx2.Client(transport=transport, base_url="http://child"), lease.api_key, prompt, tokens)


def _measure(client: httpx2.Client, key: str, prompt: str, tokens: int) -> tuple[float, float]:
    """Seconds to the first token, and tokens per second after it."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
    }
    with client:
        began = time.perf_counter()
        with client.stream(
            "POST", "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=120
        ) as answer:
            times = [time.perf_counter() for line in answer.iter_lines() if is_token(line)]
    assert len(times) > tokens // 2, f"only {len(times)} tokens"
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0])


def is_token(line: str) -> bool:
    """Whether a line of the stream carries text."""
    return any(choice["delta"].get("content") for choice in table.event(line).get("choices", ()))
