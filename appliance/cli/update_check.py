"""The health gate: the running box as a client outside sees it, with an account that lasts for this look alone."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from appliance.bundle.update import launch
from appliance.bundle.update.state import Places
from appliance.bundle.update.updates import PROBE
from appliance.cli.client import BoxClient
from appliance.config import Settings
from appliance.errors import AuditBrokenError, BoxNotRunningError, HakoError
from appliance.inference.default_models import DefaultModels

_ANSWER_S: Final = 120.0
_DOCUMENT_S: Final = 120.0
_LOOK_S: Final = 0.2
_WORDS: Final = b"The spare key of the pump house hangs behind the green door.\n"
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask a box that listens everywhere


@dataclass
class Seen:
    """What was found: `passed` in order, and the part that `failed` with a code, if one did."""

    status: int = launch.PASSED
    passed: list[str] = field(default_factory=list)
    failed: str = ""
    code: str = ""


Tell = Callable[[Seen], None]
"""Is told after each part."""


def look(settings: Settings, tell: Tell = lambda _seen: None) -> Seen:
    """One look at everything; takes as long as the box takes to answer."""
    if not settings.admin_socket.exists():
        return Seen(launch.NOT_YET)
    # Whom the certificate is made out to is not asked: the question is whether the box works.
    client = httpx2.Client(base_url=_url(settings), verify=False, timeout=_ANSWER_S)
    with client, BoxClient(settings, "en") as operator:
        try:
            answer = client.get("/api/v1/state")
        except httpx2.TransportError:
            return Seen(launch.NOT_YET)
        if answer.status_code != 200:
            return Seen(launch.FAILED, failed="state", code=str(answer.status_code))
        if answer.json()["vault"]["state"] == "sealed":
            return Seen(launch.SEALED)
        return _parts(_Probe(settings, operator, client), tell)


def watched(settings: Settings) -> Seen:
    """As `look`; while a release is on trial, those who wait can see how far it is."""
    places = Places(settings.releases, settings.data_dir)
    if not places.read().is_trial:
        return look(settings)
    number = int(places.seen().get("number") or 0) + 1

    def tell(seen: Seen) -> None:
        with suppress(OSError, HakoError):  # it only informs
            said = {"number": number, "passed": seen.passed, "failed": seen.failed, "code": seen.code}
            places.note_seen(said)

    seen = look(settings, tell)
    if seen.status in (launch.PASSED, launch.FAILED):
        tell(seen)
    return seen


def _parts(probe: "_Probe", tell: Tell) -> Seen:
    seen = Seen(passed=["state"])
    tell(seen)
    parts: tuple[tuple[str, Callable[[], str]], ...] = (
        ("sign-in", probe.sign_in),
        ("answer", probe.answer),
        ("document", probe.document),
        ("audit", probe.audit),
        ("egress", probe.egress),
    )
    try:
        for name, part in parts:
            try:
                wrong = part()
            except HakoError as error:
                wrong = error.code
            except (httpx2.TransportError, ValueError, KeyError, TypeError, IndexError) as error:
                wrong = type(error).__name__
            if wrong:
                return Seen(launch.FAILED, seen.passed, name, wrong)
            seen.passed.append(name)
            tell(seen)
    finally:
        probe.remove()
    return seen


class _Probe:
    """Each part returns what is wrong, or nothing."""

    def __init__(self, settings: Settings, operator: BoxClient, client: httpx2.Client) -> None:
        self._settings, self._operator, self._client = settings, operator, client
        self._headers: dict[str, str] = {}

    def remove(self) -> None:
        """The account, also one that a look before has left; with it goes what it has brought."""
        try:
            for user in self._operator.get("/users")["items"]:
                if user["name"] == PROBE:
                    self._operator.delete(f"/users/{user['id']}")
        except (BoxNotRunningError, HakoError):
            return  # the next look removes it

    def sign_in(self) -> str:
        """On the page, as people do; a key for the rest."""
        self.remove()
        password = secrets.token_urlsafe(24)
        account = {"name": PROBE, "display_name": PROBE, "role": "member", "password": password}
        self._operator.post("/users", account)
        page = self._client.get("/sign-in")
        if page.status_code != 200 or "text/html" not in page.headers.get("content-type", ""):
            return str(page.status_code)
        answer = self._client.post("/sign-in", data={"name": PROBE, "password": password})
        if answer.status_code != 303:
            return str(answer.status_code)
        made = self._client.post("/api/v1/me/keys", json={"name": "check"})
        if made.status_code != 201:
            return str(made.status_code)
        self._headers = {"Authorization": f"Bearer {made.json()['key']}"}
        self._client.cookies.clear()
        return ""

    def answer(self) -> str:
        """A few words from the model that the box itself uses."""
        body = {
            "model": DefaultModels(self._settings).chat,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 8,
        }
        answer = self._client.post("/v1/chat/completions", json=body, headers=self._headers)
        if answer.status_code != 200:
            return str(answer.status_code)
        return "" if answer.json()["choices"][0]["message"]["content"].strip() else "empty"

    def document(self) -> str:
        """One document through the parser's sandbox and the embedding model, until a search finds it."""
        made = self._client.post("/api/v1/bases", json={"name": PROBE, "visibility": "private"}, headers=self._headers)
        if made.status_code != 201:
            return str(made.status_code)
        base = made.json()["id"]
        files = {"file": ("check.txt", _WORDS, "text/plain")}
        added = self._client.post(f"/api/v1/bases/{base}/documents", files=files, headers=self._headers)
        if added.is_error:
            return str(added.status_code)
        until = time.monotonic() + _DOCUMENT_S
        while (document := self._document(added.json()["id"]))["state"] in ("waiting", "working"):
            if time.monotonic() >= until:
                return "timeout"
            time.sleep(_LOOK_S)
        if document["state"] != "ready":
            return str((document.get("error") or {}).get("code") or document["state"])
        body = {"query": "spare key"}
        found = self._client.post(f"/api/v1/bases/{base}/search", json=body, headers=self._headers)
        if found.status_code != 200:
            return str(found.status_code)
        return "" if "green door" in found.json()["hits"][0]["text"] else "not found"

    def audit(self) -> str:
        """The audit log is as it was written."""
        checks = self._operator.get("/update/checks")
        if not checks["audit_sound"]:
            return AuditBrokenError.code
        return "" if checks["audit_entries"] else "empty"

    def egress(self) -> str:
        """Nothing has left, but to where an operator has allowed it."""
        seen = self._operator.get("/update/checks")
        return "open" if not seen["destinations"] and (seen["gap"] == "open" or seen["sent"]) else ""

    def _document(self, document_id: str) -> dict[str, Any]:
        answer = self._client.get(f"/api/v1/documents/{document_id}", headers=self._headers)
        said: dict[str, Any] = answer.json()
        return said


def _url(settings: Settings) -> str:
    """Where a client on this machine finds the box."""
    host = _ANYWHERE.get(settings.web.host, settings.web.host)
    return settings.web.model_copy(update={"host": host}).url
