"""The boxes that suites meet: one with scripted models for what is about the protocol, one with the starter models."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2

from tests.conformance.packages import BUILD
from tests.simulators.served import PASSWORD, ServedBox

SCRIPTED = {"chat": "talker", "embedding": "embedder"}
STARTER = {"chat": "smollm2-135m-instruct", "embedding": "multilingual-e5-small"}

_ASKED_FOR = {
    "chat": (
        "gpt-6-astra", "gpt-3.5-turbo-instruct", "claude-opus-5-5", "model",
        "gemma4", "llama3.1", "llama3.1:8b", "qwen3", "codellama:7b-code", "gpt-oss:20b", "deepseek-r1",
    ),
    "embedding": ("text-embedding-3-small", "llama3.2"),
}  # fmt: skip
"""Names that are written into the suites, by the kind of model that they ask to do something."""


@dataclass(frozen=True)
class Target:
    """A served box as a suite sees it."""

    box: ServedBox
    url: str
    key: str
    models: Mapping[str, str]
    """Ids by kind."""

    def alias(self, kind: str, names: Iterable[str]) -> None:
        """Let names that are written into a suite stand for the model of that kind."""
        with self.box.client() as client:
            for name in names:
                client.put(f"/models/aliases/{quote(name)}", {"model": self.models[kind]})

    def environment(self, home: Path, more: Mapping[str, str]) -> dict[str, str]:
        """What a suite's process gets: nothing of ours but the search path, and no way out."""
        return {
            **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
            "no_proxy": "127.0.0.1,localhost",
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HAKO_URL": self.url,
            "HAKO_API_KEY": self.key,
            "HAKO_CHAT_MODEL": self.models["chat"],
            "HAKO_EMBEDDING_MODEL": self.models["embedding"],
            "LANGSMITH_TRACING": "false",
            **more,
        }

    def operator_cookie(self) -> str:
        """The cookie header of an operator in a browser, who may do everything."""
        with self.box.client() as client:
            name = {"name": "alice", "display_name": "Alice", "role": "operator"}
            client.post("/users", {**name, "password": PASSWORD})
        with httpx2.Client(base_url=self.url) as browser:
            answer = browser.post("/sign-in", data={"name": "alice", "password": PASSWORD})
            return f"hako={answer.cookies['hako']}"


@contextmanager
def served(*, starter: bool) -> Iterator[Target]:
    """A box of its own on a free port, with an alias for every name that a suite asks for."""
    models = STARTER if starter else SCRIPTED
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        store = BUILD / "models" if starter else None
        with ServedBox(Path(folder) / "v", models=store) as box:
            target = Target(box, box.url, box.api_key("program"), models)
            for kind, names in _ASKED_FOR.items():
                target.alias(kind, names)
            yield target
