"""The built front end: its manifest, and static files that browsers may keep."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, request, send_file
from werkzeug.security import safe_join

from appliance.errors import FrontEndMissingError, NotFoundError
from webui import routing

FOLDER: Final = Path(__file__).parent / "static"
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Entry:
    """What a page of the front end loads: its module, its style sheets, and modules worth fetching early."""

    script: str
    styles: tuple[str, ...]
    preloads: tuple[str, ...]


class Assets:
    """Static files under `folder`; hashed ones of the build are immutable, the rest is revalidated."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}

    def entry(self, source: str) -> Entry:
        """The built files of an entry point such as `src/main.ts`, as addresses.

        Raises:
            FrontEndMissingError: the front end was not built.
        """
        if source not in self._entries:
            self._entries[source] = self._read(source)
        return self._entries[source]

    def _read(self, source: str) -> Entry:
        file = self._folder / "dist" / ".vite" / "manifest.json"
        try:
            manifest: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
            chunk = manifest[source]
        except (OSError, ValueError, KeyError) as error:
            raise FrontEndMissingError(f"{file}: {type(error).__name__}") from None
        styles: list[str] = list(chunk.get("css", []))
        preloads: list[str] = []
        for name in _static_imports(manifest, source):
            preloads.append(manifest[name]["file"])
            styles.extend(manifest[name].get("css", []))
        return Entry(_address(chunk["file"]), tuple(map(_address, styles)), tuple(map(_address, preloads)))

    def install(self, app: Flask) -> None:
        """Serve `/static/…`."""
        app.add_url_rule(
            "/static/<path:name>", "static_file", routing.declare(self.serve, routing.PUBLIC), methods=["GET"]
        )

    def serve(self, name: str) -> Response:
        """One file, in a precompressed form where there is one that the browser takes."""
        path = self._find(name)
        packed, encoding = _precompressed(path)
        response = send_file(packed, mimetype=_mimetype(path), conditional=True, etag=True)
        response.headers["Cache-Control"] = _IMMUTABLE if name.startswith("dist/assets/") else "no-cache"
        response.headers["Vary"] = "Accept-Encoding"
        if encoding:
            response.headers["Content-Encoding"] = encoding
        return response

    def _find(self, name: str) -> Path:
        joined = safe_join(str(self._folder), name)
        hidden = any(part.startswith(".") for part in name.split("/"))
        if joined is None or hidden or not Path(joined).is_file():
            raise NotFoundError
        return Path(joined)


def _static_imports(manifest: Mapping[str, Any], source: str) -> list[str]:
    """All chunks that must be there before the entry runs, nearest first, each once."""
    found: list[str] = []
    pending = list(manifest[source].get("imports", []))
    while pending:
        name = pending.pop(0)
        if name not in found and name in manifest:
            found.append(name)
            pending.extend(manifest[name].get("imports", []))
    return found


def _address(file: str) -> str:
    return f"/static/dist/{file}"


def _mimetype(path: Path) -> str:
    kind = _TYPES.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _precompressed(path: Path) -> tuple[Path, str | None]:
    if "Range" not in request.headers:
        for encoding, ending in _ENCODINGS:
            packed = path.with_name(path.name + ending)
            if request.accept_encodings.quality(encoding) > 0 and packed.is_file():
                return packed, encoding
    return path, None
