"""What all server-rendered pages share: language, assets, the box's name and state, errors as sentences."""

import hashlib
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flask import Response, render_template, request

import appliance
from appliance.config import Settings
from appliance.errors import FrontEndMissingError, HakoError
from webui import locales, session
from webui.api.state import describe
from webui.assets import Assets
from webui.box import Box
from webui.locales import Language

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_NEXT: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


class Frame:
    """Renders the templates of one box."""

    def __init__(self, box: Box, assets: Assets) -> None:
        self.box = box
        self.assets = assets

    def language(self) -> Language:
        """The language of this page: the one just picked, else the reader's."""
        return locales.choose(picked_language(), default=session.language(self.box.settings))

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        error: HakoError | None = None,
        values: Mapping[str, str] | None = None,
        language: Language | None = None,
        **context: Any,
    ) -> Response:
        """A page; a language that was picked by a link is remembered."""
        language = language or self.language()
        problem = error and {"code": error.code, "title": locales.sentence(error, language), "params": error.params}
        html = render_template(
            template,
            t=partial(_say, language),
            asset=self._asset,
            lang=language,
            box=about(self.box.settings),  # each time: the certificate may be another one since
            state=describe(self.box),
            error=problem,
            values=values or {},
            status=status,
            **context,
        )
        response = Response(html, status, content_type="text/html; charset=utf-8")
        if picked_language() or request.form.get("language"):
            session.remember_language(response, language)
        return response

    def _asset(self, source: str) -> dict[str, Any]:
        try:
            entry = self.assets.entry(source)
        except FrontEndMissingError:
            return {"js": "", "css": [], "preload": []}
        return {"js": entry.script, "css": list(entry.styles), "preload": list(entry.preloads)}


def _say(language: Language, key: str, **params: Any) -> str:
    return locales.t(key, language, **params)


def picked_language() -> str | None:
    """The language that a link of the page asked for."""
    wish = request.args.get("lang")
    return wish if wish in locales.LANGUAGES else None


def about(settings: Settings) -> dict[str, Any]:
    """The box as its pages name it."""
    described: dict[str, Any] = {
        "name": settings.name,
        "organisation": settings.organisation,
        "version": appliance.__version__,
        "development": settings.development,
    }
    if settings.web.tls_certificate is not None:
        with suppress(OSError, ValueError):  # in the moment that it is replaced
            described["fingerprint"] = fingerprint(settings.web.tls_certificate.read_text("ascii"))
    return described


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate as browsers show it, to be compared by eye."""
    first = certificate[certificate.index(_BEGIN) :].split(_END, maxsplit=1)[0]
    der = ssl.PEM_cert_to_DER_cert(f"{first}{_END}\n")
    return hashlib.sha256(der).digest().hex(":").upper()


def inner_path(wish: str | None) -> str:
    """Where to go next, if it is a path of this box; else the start. Never another site, never a line break."""
    return wish if wish and _NEXT.fullmatch(wish) else "/"


def go(path: str) -> Response:
    """Another page, fetched with GET."""
    return Response(status=303, headers={"Location": path})
