"""Puts a support kit together: a file that tells in both languages what the others are, and a ZIP of them all."""

import io
import json
import platform
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

from appliance import __version__, clock, logs, modes
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.health import alone
from appliance.health.airgap.airgap import AirGap
from appliance.health.box.parts import Plain
from appliance.health.health import HealthKeeper
from appliance.health.host import Host
from appliance.health.kit import box, machine, redact

log = logs.get(__name__)

Say = Callable[[str, str], str]
"""`say(language, key)`: a sentence from the locales."""

_LANGUAGES: Final = ("ja", "en")
_README: Final = "README.txt"
_NAMES: Final = (
    "versions.json", "settings.json", "hardware.json", "units.json", "checks.json", "findings.json", "history.csv",
    "models.json", "database.json", "airgap.json", "log.jsonl",
)  # fmt: skip
"""In this order, always; what couldn't be had is missing, and the first file says so."""
_PACKAGES: Final = (
    "apsw-sqlite3mc", "cryptography", "ctransformers", "flask", "gunicorn", "numpy", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-genai", "onnxruntime-genai-cuda", "pypdfium2", "sqlite-vec", "tuf", "xllamacpp",
)  # fmt: skip

Section = Callable[[], Any]


@dataclass(frozen=True)
class Kit:
    """Its files in their order: names and contents."""

    files: Sequence[tuple[str, bytes]]
    at: float

    def packed(self) -> bytes:
        """As ZIP."""
        moment = datetime.fromtimestamp(self.at, UTC)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files:
                info = zipfile.ZipInfo(f"hako-support/{name}", moment.timetuple()[:6])
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = modes.file() << 16
                archive.writestr(info, content)
        return target.getvalue()


def of_box(keeper: HealthKeeper, airgap: AirGap, say: Say, policy: str) -> Kit:
    """Of the open box. `policy`: what pages tell a browser."""
    parts = keeper.parts
    settings = parts.plain.settings
    health = keeper.now()
    of_machine = machine.ask(settings)
    if of_machine is None:
        log.warning("kit_without_machine")
    return _made(
        {
            **_of_machine(settings, of_machine),
            "checks.json": lambda: box.checks(health.looks),
            "findings.json": lambda: box.findings(health),
            "history.csv": lambda: box.history(keeper.store),
            "database.json": lambda: box.database(parts.database, settings),
            "airgap.json": lambda: box.airgap(airgap.look(policy)),
        },
        say,
    )


def of_machine_alone(plain: Plain, host: Host, say: Say) -> Kit:
    """Of a box that is sealed or doesn't run: what needs no keys."""
    return _made(
        {
            **_of_machine(plain.settings, machine.collected(plain.settings, host)),
            "checks.json": lambda: box.checks({seen.look.check: seen for seen in alone.looks(plain, host)}),
        },
        say,
    )


def _of_machine(settings: Settings, told: Mapping[str, Any] | None) -> dict[str, Section]:
    sections: dict[str, Section] = {
        "versions.json": versions,
        "settings.json": lambda: redact.settings(settings),
        "models.json": lambda: box.models(settings),
    }
    if told is not None:
        sections["hardware.json"] = lambda: told["hardware"]
        sections["units.json"] = lambda: told["units"]
        sections["log.jsonl"] = lambda: "\n".join(told["log"]) + "\n"
    return sections


def versions() -> dict[str, Any]:
    """Of the box, Python, and the packages that it runs on."""
    there = {each.name.lower().replace("_", "-"): each.version for each in metadata.distributions() if each.name}
    return {
        "hako": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "flags": {"optimise": sys.flags.optimize, "isolated": sys.flags.isolated},
        "packages": {name: there[name] for name in _PACKAGES if name in there},
    }


def _made(sections: Mapping[str, Section], say: Say) -> Kit:
    at = clock.now()
    files: list[tuple[str, bytes]] = []
    for name in _NAMES:
        section = sections.get(name)
        if section is None:
            continue
        try:
            content = section()
        except (HakoError, OSError) as error:
            log.warning("kit_part_missing", kind=type(error).__name__)
            continue
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        files.append((name, text.encode()))
    there = {name for name, _content in files}
    words = "\n\n".join("\n".join(_readme(say, language, there, at)) for language in _LANGUAGES)
    return Kit([(_README, f"{words}\n".encode()), *files], at)


def _readme(say: Say, language: str, there: set[str], at: float) -> Iterator[str]:
    yield say(language, "export.kit.title")
    yield f"Hako {__version__} · {clock.iso(at)}"
    yield ""
    yield say(language, "export.kit.lead")
    yield say(language, "export.kit.never")
    yield ""
    for name in _NAMES:
        if name in there:
            stem = name.partition(".")[0]
            yield f"- {name}: {say(language, 'export.kit.file.' + stem)}"
    missing = [name for name in _NAMES if name not in there]
    if missing:
        yield ""
        yield say(language, "export.kit.missing")
        yield from (f"- {name}" for name in missing)
