"""The report: all parts at one moment, what they come to, and the file of it that the box signs."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from appliance.errors import AirgapReportError, AirgapSignatureError
from appliance.health.airgap.facts import (
    Browser,
    Clock,
    Destinations,
    Fact,
    Firewall,
    Models,
    Part,
    Processes,
    Record,
    Resolvers,
    Routes,
    Sockets,
    Software,
    Test,
    Units,
)
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import box_of
from appliance.vault.signing import is_signed

Verdict = Literal["closed", "named", "unproven", "open"]
"""closed: every part is as it should be. named: an operator has named a destination. unproven: nothing has left as far
as can be seen, but not all can be seen, or a layer is missing. open: something can leave, or has."""

FORMAT: Final = "hako-airgap-report 1"
_CONTEXT: Final = b"hako airgap report 1\n"
_LONGEST: Final = 16 << 20


class Report(Fact):
    """All of it. Times in whole seconds since the epoch, UTC; no figure is a fraction, so that it reads the same
    everywhere.
    """

    box: str
    """Fingerprint: SHA-256 of the public key that signs, in hex."""
    name: str
    organisation: str
    version: str
    at: int
    verdict: Verdict
    firewall: Firewall
    sockets: Sockets
    routes: Routes
    resolvers: Resolvers
    destinations: Destinations
    units: Units
    processes: Processes
    browser: Browser
    test: Test = Field(repr=False)
    software: Software
    models: Models
    record: Record
    clock: Clock

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Each with its name, in the order of the page."""
        for name in type(self).model_fields:
            part = getattr(self, name)
            if isinstance(part, Part):
                yield name, part


def verdict(parts: dict[str, Part]) -> Verdict:
    """What the parts come to. A named destination is told as such, whatever else can't be seen."""
    if any(part.state == "error" for part in parts.values()):
        return "open"
    if "destination-named" in parts["destinations"].about:
        return "named"
    return "closed" if all(part.state == "ok" for part in parts.values()) else "unproven"


@dataclass(frozen=True)
class Signed:
    """A report with its signature, which nobody has looked at yet. `told`: what was signed, as it was read."""

    told: dict[str, Any]
    public: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of what was signed; the record of actions has it, too."""
        return hashlib.sha256(_bytes(self.told)).hexdigest()

    @classmethod
    def of(cls, whole: dict[str, Any]) -> "Signed":
        """From what a file holds. Raises ValueError, TypeError, KeyError for anything else."""
        told = whole["report"]
        if whole["format"] != FORMAT or not isinstance(told, dict):
            raise ValueError("another format")
        return cls(told, bytes.fromhex(whole["public_key"]), bytes.fromhex(whole["signature"]))

    @property
    def whole(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "format": FORMAT,
            "report": self.told,
            "public_key": self.public.hex(),
            "signature": self.signature.hex(),
        }

    def text(self) -> str:
        """The file."""
        return json.dumps(self.whole, ensure_ascii=False, indent=1) + "\n"

    def report(self) -> Report:
        """Raises AirgapReportError: of another shape, as a later release may write it."""
        try:
            return Report.model_validate_json(json.dumps(self.told))
        except ValidationError as error:
            raise AirgapReportError("another shape", name=FORMAT) from error


def sign(report: Report, audit: Audit) -> Signed:
    """By the key that signs the record's checkpoints: one box, one fingerprint."""
    told = report.model_dump(mode="json")
    return Signed(told, audit.public_key, audit.attest(_CONTEXT, _bytes(told)))


def verify(path: Path, fingerprint: str = "") -> Signed:
    """Read a file and look at its signature. `fingerprint`: of the box that it has to be of; any when empty.

    Raises:
        AirgapReportError: no such file, or none of these.
        AirgapSignatureError: changed after it was signed, or signed by another box.
    """
    found = _read(path)
    if not is_signed(found.public, _CONTEXT + _bytes(found.told), found.signature):
        raise AirgapSignatureError("signature", name=path.name)
    if found.told.get("box") != box_of(found.public) or fingerprint not in ("", box_of(found.public)):
        raise AirgapSignatureError("another box", name=path.name)
    return found


def _read(path: Path) -> Signed:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
        return Signed.of(json.loads(content, object_pairs_hook=_once))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise AirgapReportError(str(error)[:100], name=path.name) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a name that stands twice: two readers could see two reports."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _bytes(told: dict[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")
