"""A publisher's sticks with bundles of models, sound or broken in any way: real signatures, tiny weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

from appliance.bundle.index import File, Index, Text
from appliance.bundle.publish import cutting
from appliance.bundle.reading import CONTENTS
from appliance.inference.manifest import FILE_NAME, Manifest, ModelFile
from tests.simulators import gguf
from tests.simulators.publisher import Publisher


class Sticks:
    """`publisher` signs; what `add` was told of lies on every stick that is written afterwards."""

    def __init__(self, folder: Path, now: float, publisher: Publisher | None = None) -> None:
        self.folder = folder
        self.publisher = publisher or Publisher(now)
        self.indexes: dict[str, bytes] = {}
        self._contents: list[Path] = []

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.publisher.anchor).hexdigest()

    def add(self, content: Path, name: str, version: str = "1.0", role: str = "models", **more: Any) -> str:
        """Publish what is in a folder; the digest of its index."""
        files = more.pop("files", None) or self.cut(content)
        said = {
            "format": 1,
            "kind": "models",
            "name": name,
            "version": version,
            "issued": int(self.publisher.now),
            "title": Text(ja="小さい", en="Tiny"),
            "licence": "CC0-1.0",
            "files": files,
        }
        index = Index.model_validate({**said, **more})
        return self.sign(index.model_dump_json().encode(), index.target, role)

    def cut(self, content: Path) -> tuple[File, ...]:
        return cutting.cut(content, self.folder / "parts")

    def sign(self, index: bytes, target: str, role: str = "models") -> str:
        """Publish any bytes as an index."""
        self.publisher.delegated.setdefault(role, {})[target] = index
        self.indexes[target] = index
        return hashlib.sha256(index).hexdigest()

    def write(self, stick: Path, *, parts: bool = True, **publishing: Any) -> Path:
        """A stick as the publisher would hand it out now."""
        self.publisher.publish(stick, **publishing)
        (stick / CONTENTS).write_text(json.dumps({"format": 1, "targets": list(self.indexes)}))
        for part in (self.folder / "parts").rglob("*") if parts else ():
            if part.is_file():
                place = stick / part.relative_to(self.folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(part.read_bytes())
        return stick


def packed(folder: Path, model: str, seed: int = 1, **changes: Any) -> Path:
    """A model's folder with its manifest below `folder`, as bundles carry it."""
    inside = folder / model
    inside.mkdir(parents=True)
    weights = inside / f"{model}.gguf"
    weights.write_bytes(gguf.build(gguf.entries(general__name=model), gguf.tensors(seed)))
    content = weights.read_bytes()
    said: dict[str, Any] = {
        "id": model,
        "name": model.title(),
        "kind": "chat",
        "engine": "llama",
        "files": {weights.name: ModelFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))},
        "entry": weights.name,
        "licence": "CC0-1.0",
        "source": "a publisher",
        "languages": ("en",),
        "context": gguf.CONTEXT,
        "size_class": "tiny",
    }
    manifest = Manifest.model_validate({**said, **changes})
    (inside / FILE_NAME).write_text(manifest.model_dump_json())
    return inside


def plain(folder: Path, model: str, content: bytes) -> Path:
    """A model whose file no reader of ours opens while it is taken: an embedding model for ONNX Runtime."""
    inside = folder / model
    inside.mkdir(parents=True)
    (inside / "model.onnx").write_bytes(content)
    manifest = Manifest(
        id=model,
        name=model,
        kind="embedding",
        engine="onnx",
        files={"model.onnx": ModelFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))},
        entry="model.onnx",
        licence="CC0-1.0",
        source="a publisher",
        languages=("en",),
        context=512,
        dimensions=3,
    )
    (inside / FILE_NAME).write_text(manifest.model_dump_json())
    return inside
