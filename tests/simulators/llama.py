"""A chat model's own process, started as the supervisor does and asked without it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.inference.engine import EngineSpec
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection

Connect = Callable[[], ChildConnection]


@contextmanager
def running(model: str, file: Path, **more: Any) -> Iterator[ChildConnection]:
    """A connection to the process that runs the model in `file`; see `serving`."""
    with serving(model, file, **more) as connect, connect() as connection:
        yield connection


@contextmanager
def serving(model: str, file: Path, **more: Any) -> Iterator[Connect]:
    """New connections to the process that runs the model in `file`, which ends with the block.

    One thread and one answer at a time, unless `more` says otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        plain: dict[str, Any] = {
            "model": model,
            "kind": "chat",
            "engine": "llama",
            "folder": str(file.parent),
            "entry": file.name,
            "socket": f"{folder}/m.sock",
            "api_key": "the-key",
            "threads": 1,
            "parallel": 1,
            "context": 1024,
            "dimensions": 0,
            "provider": "cpu",
            "memory_bytes": 8 << 30,
        }
        asked = EngineSpec(**{**plain, **more})
        child = Child(asked, lambda _child: None)
        try:
            child.wait_ready()
            yield lambda: ChildConnection(Path(asked.socket), asked.api_key, model)
        finally:
            child.stop()
