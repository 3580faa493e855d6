"""What kept states are worth: time to the first token of a 1,500-token system prompt, cold and after restarts."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from appliance import config
from appliance.gateway.gateway import ChatRequest, Gateway
from appliance.inference import kv_slots
from appliance.inference.kv_slots import ENDING
from tests.bench import table
from tests.bench.models import served_box

MODEL = "smollm2-135m-instruct"
SYSTEM = "You are the assistant of hall four. " + " ".join(
    f"Rule {i}: pump number {i * 7 % 53} must be checked every {i % 9 + 2} hours by the person on duty."
    for i in range(62)
)
RESTARTS = 3
LONGEST_S = 120.0


def run() -> None:
    """Reach: the first token after a restart within 0.1 of the time of a cold prompt."""
    with served_box() as box:
        settings = config.load(data_dir=box.folder)
        root = kv_slots.root(settings)
        assert root, "no file system in memory"
        gateway = Gateway(settings)
        gateway.load(MODEL)
        cold, tokens = _first(gateway, "What is rule 3?")
        warm, _ = _first(gateway, "What is rule 4?")  # the second time it is kept
        _wait_for_state(root)
        model = [_after(gateway, lambda: gateway.unload(MODEL), number) for number in range(RESTARTS)]
        box.stop()
        box.start("--no-question")
        whole = _after(gateway, lambda: None, RESTARTS)
    rows: list[list[object]] = [["cold", cold, 1.0, ""], ["the same model, asked again", warm, warm / cold, ""]]
    rows.append(["after a restart of the model", sorted(model)[1], sorted(model)[1] / cold, "≤ 0.100"])
    rows.append(["after a restart of the box", whole, whole / cold, "≤ 0.100"])
    shutil.rmtree(root)
    table.show(["first token", "seconds", "÷ cold", "to reach"], rows)
    print(f"   {tokens} tokens; limit: the question itself and the template around it are computed each time")


def _after(gateway: Gateway, event: Callable[[], None], number: int) -> float:
    event()
    gateway.load(MODEL)  # not counted: it takes as long without kept states
    return _first(gateway, f"Who checks pump {number}?")[0]


def _first(gateway: Gateway, question: str) -> tuple[float, int]:
    """Seconds to the first piece of text, and the prompt's tokens."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    began = time.perf_counter()
    with gateway.chat(ChatRequest(model=MODEL, messages=messages, max_tokens=8, temperature=0)) as stream:
        pieces = iter(stream)
        next(pieces)
        seconds = time.perf_counter() - began
        for _piece in pieces:
            pass
        return seconds, stream.prompt_tokens or 0


def _wait_for_state(root: Path) -> None:
    end = time.monotonic() + LONGEST_S
    while not any(root.glob(f"*/*{ENDING}")):
        assert time.monotonic() < end, "nothing was kept"
        time.sleep(0.1)
    time.sleep(1)  # all of it
