"""A model's own process: reads its orders from standard input, loads one engine, answers until the input closes.

A crash of native code ends this process and nothing else. The supervisor holds the other end of the
input, so a child never outlives it.
"""

import importlib
import json
import os
import resource
import sys
import threading
from dataclasses import asdict
from typing import BinaryIO

from appliance.inference.engine import Engine, EngineLoadError, EngineSpec, ProviderError

_ENGINES = {
    "ctransformers": ("appliance.inference.engines.ctransformers", "CtransformersEngine"),
    "genai": ("appliance.inference.engines.genai", "GenaiEngine"),
    "llama": ("appliance.inference.engines.llama", "LlamaEngine"),
    "onnx": ("appliance.inference.engines.onnx", "OnnxEngine"),
    "scripted": ("appliance.inference.engines.scripted", "ScriptedEngine"),
}

_held: list[Engine] = []


def _limit(spec: EngineSpec) -> None:
    if spec.memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (spec.memory_bytes, spec.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold people's prompts
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - not a path on disk
            file.write("500")
    except OSError:
        return  # only a preference: let the kernel take a child before the database


def _engine(name: str) -> Engine:
    module, kind = _ENGINES[name]
    engine: Engine = getattr(importlib.import_module(module), kind)()
    return engine


def _end_with_input() -> None:
    # From the start, not only once the model is loaded: nobody may be left to wait for that.
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # native threads may be in the middle of an answer; nothing here needs an orderly end


def _report(out: BinaryIO, message: dict[str, object]) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    out.flush()


def main() -> int:
    """Run one model until standard input closes. Reports one JSON line on standard output."""
    report = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # runtimes print as they like; that must not look like a report
    spec = EngineSpec(**json.loads(sys.stdin.buffer.readline()))
    ending = threading.Thread(target=_end_with_input, name="ending", daemon=True)
    ending.start()
    engine = _engine(spec.engine)
    # Not before: Python's own starting of a thread and of an import can turn for ever where there is no memory.
    _limit(spec)
    os.umask(0o177)  # the socket
    # Held until the process is gone: letting go of a native server stops it, or hangs over a running answer.
    _held.append(engine)
    try:
        loaded = engine.serve(spec)
    except EngineLoadError as error:
        _report(report, {"refused": str(error), "provider": isinstance(error, ProviderError)})
        return 1
    _report(report, {"loaded": asdict(loaded)})
    ending.join()
    return 0


if __name__ == "__main__":
    os._exit(main())
