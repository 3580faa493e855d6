"""Eight answers at once: through the web API with its keys and its audit, and from the bare engine, in turns."""

import os
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2

from appliance import config
from appliance.inference.client import InferenceClient
from tests.bench import table
from tests.bench.gateway import MODEL, is_token
from tests.bench.models import served_box

STREAMS = 8
TOKENS = 64
PAIRS = 15


def run() -> None:
    """Median of interleaved pairs, both ways on the same process of the engine. Reach: >= 0.97 of bare."""
    with served_box() as box:
        with box.client() as operator:
            operator.put(f"/models/{MODEL}/settings", {"parallel": STREAMS, "context": 1024})
        keys = [
            box.api_key(f"bench{number}") for number in range(STREAMS)
        ]  # each a person, else their turns would count
        inference = InferenceClient(config.load(data_dir=box.folder).inference_socket)
        rates: dict[str, list[float]] = {"bare": [], "web": []}
        for number in range(PAIRS + 1):
            for way in ("bare", "web")[:: 1 if number % 2 else -1]:
                if way == "web":
                    clients = [httpx2.Client(base_url=box.url) for _key in keys]
                    rate = _aggregate(clients, keys, number)
                else:
                    with inference.lease(MODEL) as lease:  # one key of the engine opens all of its places
                        bare = [
                            httpx2.Client(
                                transport=httpx2.HTTPTransport(uds=str(lease.socket)), base_url="http://child"
                            )
                            for _key in keys
                        ]
                        rate = _aggregate(bare, [lease.api_key] * STREAMS, number)
                if number:  # the first pair warms both up
                    rates[way].append(rate)
    ratios = [web / bare for web, bare in zip(rates["web"], rates["bare"], strict=True)]
    table.show(
        ["figure", "median", "spread", "to reach"],
        [
            [f"{STREAMS} streams, bare engine, tokens/s", *_spread(rates["bare"]), ""],
            [f"{STREAMS} streams through web, tokens/s", *_spread(rates["web"]), ""],
            ["through web ÷ bare engine", *_spread(ratios), "≥ 0.970"],
        ],
    )
    print("   limit: computing (all cores); web copies each event in one Python process on the same cores")
    print(f"   load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, this bench included")


def _spread(values: list[float]) -> tuple[float, str]:
    return statistics.median(values), f"{min(values):.3f}–{max(values):.3f}"


def _aggregate(clients: list[httpx2.Client], keys: list[str], number: int) -> float:
    """Tokens per second of all streams together, from the start of the first to the end of the last."""
    together = threading.Barrier(len(clients))

    def ask(place: int) -> tuple[float, float, int]:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"Story {number} of {place} friends at sea. Tell it at length."}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
        }
        header = {"Authorization": f"Bearer {keys[place]}"}
        with clients[place] as client:
            together.wait()
            began = time.perf_counter()
            with client.stream("POST", "/v1/chat/completions", json=body, headers=header, timeout=300) as answer:
                tokens = sum(is_token(line) for line in answer.iter_lines())
            return began, time.perf_counter(), tokens

    with ThreadPoolExecutor(len(clients)) as pool:
        seen = list(pool.map(ask, range(len(clients))))
    tokens = sum(count for _, _, count in seen)
    assert tokens > STREAMS * TOKENS // 2, f"only {tokens} tokens"
    return tokens / (max(end for _, end, _ in seen) - min(began for began, _, _ in seen))
