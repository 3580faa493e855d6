"""The golden check: a model that doesn't answer as it once did here is not served.

What it answered is kept in `golden.json` (`Settings.golden`), for each engine build, kind of CPU and provider, because
these change the last digits. Where one of them or the files are new, there is nothing to compare with to the digit:
then the last record counts for gross changes, and so does `reference.json`, which comes with the starter models and
holds what an engine of another make answers. A requantised copy has one with its original's perplexity.
"""

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance import clock, durable, logs
from appliance.errors import DiskFullError, HakoError, ModelChangedError, ModelSenselessError
from appliance.inference import golden_questions, golden_results
from appliance.inference.engine import EngineSpec, Loaded
from appliance.inference.golden_results import ChatResult, EmbeddingResult, Result
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection
from appliance.machine import cpu

log = logs.get(__name__)

FILE_NAME: Final = "golden.json"
REFERENCE: Final = "reference.json"
LONGEST: Final = 4 << 20
"""Bytes of either file."""
_MOST_RECORDS: Final = 8
_REFERENCE_COSINE: Final = 0.99
"""Between a vector of an int8 model and that of its original; another CPU costs a little more."""

_ONNX: Final = ("onnxruntime", "onnxruntime-gpu")
_DISTRIBUTIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "llama": (("xllamacpp",),),
    "onnx": (_ONNX,),
    "ctransformers": (("ctransformers",),),
    "genai": (("onnxruntime-genai", "onnxruntime-genai-cuda"), _ONNX),
}
"""What each engine computes with; one of the names in each group."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Surroundings(_Part):
    """What must be the same for answers to be the same to the digit."""

    engine: str
    """Package, version, and the digest of its native libraries: a build for this very CPU has the same version."""
    cpu: str
    provider: str
    files: str
    """Digest over the digests of the model's files."""
    adapter: str = ""
    """LoRA adapter with digest and strength; none where it is empty."""
    cache: str = ""
    """How what was read is kept, where that is rounded; empty where it isn't."""


class Record(_Part):
    """What was answered under them."""

    under: Surroundings
    result: Result


class _Records(_Part):
    format: Literal[1] = 1
    records: tuple[Record, ...] = ()
    """In the order in which they were made, at most one for the same surroundings."""


_Known = tuple[Record, ...]


class _ReferenceVector(_Part):
    text: str
    vector: tuple[float, ...]


class _Reference(_Part):
    texts: tuple[_ReferenceVector, ...] = ()
    perplexity: float | None = None


def check(manifest: Manifest, spec: EngineSpec, loaded: Loaded, kept: Path) -> None:
    """Put the fixed questions to a child that is ready and compare; the first time, record in the folder `kept`.

    Raises:
        ModelChangedError: other answers than before.
        ModelSenselessError: such as no sound model gives, the first time already.
        ModelFailedError: it died over them.
    """
    began = clock.monotonic()
    folder = Path(spec.folder)
    under = surroundings(manifest, spec, loaded)
    known = _read(kept, manifest)
    same = next((record for record in known if record.under == under), None)
    with ChildConnection(Path(spec.socket), spec.api_key, manifest.name) as connection:
        result = golden_questions.ask(connection, manifest, thoroughly=same is None)
        if result is None:
            log.info("golden_not_asked", model=manifest.id, why="context")
            return
        _demand(manifest, result.flaw(), ModelChangedError if known else ModelSenselessError)
        if same is not None:
            _demand(manifest, golden_results.difference(result, same.result, loose=False))
        else:
            _demand_likeness(connection, manifest, folder, under, result, known)
            _demand_sense(connection, manifest, result)
    if same is None:
        _write(folder, kept, manifest, (*known, Record(under=under, result=result)))
    seconds = round(clock.monotonic() - began, 2)
    log.info("golden_ok", model=manifest.id, how="recorded" if same is None else "same", seconds=seconds)


def renew(kept: Path) -> bool:
    """Forget what was recorded, so that the next load records anew; whether there was anything."""
    path = kept / FILE_NAME
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def inherit(original: Manifest, kept: Path, source: Path, target: Path) -> None:
    """Let a copy of `original` with other weights, in the folder `target`, be measured by what the original answers.

    That is in its records in the folder `kept`, or comes with its files in `source`; else there is nothing to go by.
    """
    measured = [
        record.result.perplexity
        for record in _read(kept, original)
        if isinstance(record.result, ChatResult) and not record.under.adapter and record.result.perplexity is not None
    ]
    reference = _reference(source, original)
    perplexity = measured[-1] if measured else reference.perplexity if reference else None
    if perplexity is None:
        return
    try:
        durable.replace(target / REFERENCE, json.dumps({"perplexity": perplexity}).encode() + b"\n")
    except (OSError, DiskFullError) as error:
        log.warning("reference_not_kept", model=original.id, kind=type(error).__name__)


def surroundings(manifest: Manifest, spec: EngineSpec, loaded: Loaded) -> Surroundings:
    """Those of a child that runs."""
    adapter = ""
    if spec.adapter:
        adapter = f"{spec.adapter} {manifest.files[spec.adapter].sha256} {spec.adapter_scale}"
    own = sorted((name, file.sha256) for name, file in manifest.files.items() if name not in manifest.adapters)
    files = _digest(f"{name} {digest}" for name, digest in own)
    return Surroundings(
        engine=_build(manifest.engine),
        cpu=cpu.kind(),
        provider=loaded.provider,
        files=files,
        adapter=adapter,
        cache="" if spec.cache_type == "f16" else spec.cache_type,
    )


def _build(engine: str) -> str:
    return ", ".join(filter(None, map(_installed, _DISTRIBUTIONS.get(engine, ())))) or engine


def _installed(names: Iterable[str]) -> str:
    for name in names:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        native = sorted(f"{f} {f.hash.value}" for f in distribution.files or () if f.hash and ".so" in f.name)
        return f"{name} {distribution.version} {_digest(native)}"
    return ""


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _demand(manifest: Manifest, reason: str, kind: type[HakoError] = ModelChangedError) -> None:
    if reason:
        log.error("golden_differs", model=manifest.id, how=reason)
        raise kind(reason, name=manifest.id)


def _demand_sense(connection: ChildConnection, manifest: Manifest, result: Result) -> None:
    _demand(manifest, golden_questions.senseless(connection, result), ModelSenselessError)


def _demand_likeness(
    connection: ChildConnection, manifest: Manifest, folder: Path, under: Surroundings, result: Result, known: _Known
) -> None:
    """The loose comparisons, where there is no record under the same surroundings."""
    # An adapter is meant to change the answers, and a rounded cache does: the plain model's are no measure for them.
    meant = (under.adapter, under.cache)
    alike = [record for record in known if (record.under.adapter, record.under.cache) == meant]
    if alike:
        _demand(manifest, golden_results.difference(result, alike[-1].result, loose=True))
    if not any(meant) and (reference := _reference(folder, manifest)):
        _demand(manifest, _unlike(connection, reference, result))


def _unlike(connection: ChildConnection, reference: _Reference, result: Result) -> str:
    if isinstance(result, ChatResult) and result.perplexity is not None and reference.perplexity is not None:
        return golden_results.worse_perplexity(result.perplexity, reference.perplexity)
    if isinstance(result, EmbeddingResult) and reference.texts:
        vectors = golden_questions.embed(connection, tuple(entry.text for entry in reference.texts))
        return golden_results.farther(vectors, [entry.vector for entry in reference.texts], _REFERENCE_COSINE)
    return ""


def _read(kept: Path, manifest: Manifest) -> _Known:
    content = _content(kept / FILE_NAME, manifest)
    try:
        return _Records.model_validate_json(content).records if content else ()
    except ValidationError as error:  # of a later release, or damaged
        log.warning("golden_unreadable", model=manifest.id, problems=error.error_count())
        return ()


def _reference(folder: Path, manifest: Manifest) -> _Reference | None:
    content = _content(folder / REFERENCE, manifest)
    try:
        return _Reference.model_validate_json(content) if content else None
    except ValidationError as error:
        log.warning("reference_unreadable", model=manifest.id, problems=error.error_count())
        return None


def _content(path: Path, manifest: Manifest) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST)
    except FileNotFoundError:
        return b""
    except OSError as error:
        log.warning("golden_unreadable", model=manifest.id, reason=error.strerror)
        return b""


def _write(folder: Path, kept: Path, manifest: Manifest, records: _Known) -> None:
    content = _Records(records=records[-_MOST_RECORDS:]).model_dump_json().encode() + b"\n"
    try:
        if kept != folder:  # a model's own folder that is gone stays gone
            durable.folder(kept)
        durable.replace(kept / FILE_NAME, content)
    except (OSError, DiskFullError) as error:  # e.g. a store that is only read; the next load records again
        log.warning("golden_not_recorded", model=manifest.id, kind=type(error).__name__)
