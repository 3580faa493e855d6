"""The engine as its wheel brings it against the one built for this machine's CPU: `python -m tests.bench.native A B`.

A and B are folders with an unpacked `xllamacpp` each. Both run the starter model in 8 bits, one thread, in turns: the
shipped 4-bit file has no kernels that a build could choose better.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

from appliance.gateway.stream import events
from tests.bench import table
from tests.bench.models import MODELS
from tests.simulators import llama

ROUNDS = 5
MODEL = "smollm2-135m-instruct"
_EIGHT_BITS = 7
"""What GGUF's `general.file_type` calls a file that is mostly Q8_0."""


def run(wheel: Path, native: Path) -> None:
    """Median of interleaved rounds; prefill is where a build shows, decode is memory-bound."""
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        file = Path(folder) / "eight.gguf"
        requantise(next((MODELS / MODEL).glob("*.gguf")), file)
        seen: dict[str, list[tuple[float, float]]] = {"wheel": [], "native": []}
        for number in range(ROUNDS):
            for name, packages in (("wheel", wheel), ("native", native)):
                seen[name].append(_measured(file, packages, number))
    rows = []
    for place, figure in enumerate(("prefill, tokens/s", "decode, tokens/s")):
        medians = {name: statistics.median(pair[place] for pair in pairs) for name, pairs in seen.items()}
        rows.append([figure, medians["wheel"], medians["native"], medians["native"] / medians["wheel"]])
    table.show(["figure", "wheel", "native", "gain"], rows)


def requantise(source: Path, target: Path) -> None:
    """Write the model's matrices as Q8_0; what is not a matrix stays as it is."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        value = _EIGHT_BITS if name == "general.file_type" else field.contents()
        writer.add_key_value(name, value, kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if len(tensor.shape) > 1 and kind != GGMLQuantizationType.Q8_0:
            kind = GGMLQuantizationType.Q8_0
            data = quants.quantize(quants.dequantize(data, tensor.tensor_type), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _measured(file: Path, packages: Path, number: int) -> tuple[float, float]:
    """Tokens per second read and written by the engine of that folder, by its own clock."""
    os.environ["PYTHONPATH"] = str(packages)
    try:
        with llama.running(MODEL, file, context=2048) as connection:
            body = {
                "prompt": " ".join(f"{(number * 7919 + place) % 997}" for place in range(250)),
                "max_tokens": 64,
                "temperature": 0,
                "stream": True,
            }
            connection.send("/v1/completions", body)
            connection.begin()
            timings = last_timings(events(connection.chunks()))
        return timings["prompt_per_second"], timings["predicted_per_second"]
    finally:
        del os.environ["PYTHONPATH"]


def last_timings(seen: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the engine's own clock says at the end of a stream."""
    timings: dict[str, Any] = [event["timings"] for event in seen if "timings" in event][-1]
    return timings


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", type=Path)
    parser.add_argument("native", type=Path)
    given = parser.parse_args()
    run(given.wheel.resolve(), given.native.resolve())
