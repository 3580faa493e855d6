"""A person with a browser, as far as a boot test needs one: first set-up, a document, a question, its source."""

import hashlib
import html
import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx2

from appliance.errors import BootTestError

NAME: Final = "aoki"
PASSWORD: Final = "seven-lamps-on-the-quay"  # noqa: S105 - of a machine that lives for minutes
DOCUMENT: Final = (
    "# Storeroom\n\nThe storeroom of the east wing opens at seven in the morning.\n\n"
    "The key of the boiler room hangs in cabinet 12 on the second floor.\n\n"
    "Broken lamps are collected on the first Thursday of each month.\n"
)
QUESTION: Final = "When does the storeroom of the east wing open?"
ANSWER: Final = "seven"
_TOKEN: Final = re.compile(r'name="token" value="([^"]*)"')
_GROUP: Final = re.compile(r"<li>([0-9A-Z]{5})</li>")
_ASKED: Final = re.compile(r'for="group">[^<]*?(\d+)')
_GROUPS: Final = 8
_PATIENCE_S: Final = 1200.0
_LOOK_S: Final = 3.0

Said = TypeVar("Said")


class Visitor:
    """Speaks to one box at an address of loopback. Whom its certificate names is not looked at: the port is ours."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(
            base_url=url,
            verify=False,
            timeout=_PATIENCE_S,
            headers={"Accept-Language": "en"},
        )

    def close(self) -> None:
        """No more."""
        self._http.close()

    def wait(self, within_s: float) -> None:
        """Until the box answers at all. Raises BootTestError."""
        until = time.monotonic() + within_s
        while True:
            try:
                self._http.get("/api/v1/state", timeout=30)
            except httpx2.HTTPError as error:
                if time.monotonic() > until:
                    raise BootTestError(str(error), step="pages") from error
                time.sleep(2)
            else:
                return

    def set_up(self, code: str, passphrase: str) -> None:
        """First set-up from the code on the console: a vault, an account, the recovery key typed back.

        Network, time and the rest can wait; which of them comes first depends on the machine. Raises BootTestError: a
        step wasn't followed by the next one.
        """
        token = ""

        def send(step: str, then: str, **form: str) -> str:
            nonlocal token
            page = self._page(self._http.post("/setup", data={"step": step, "token": token, **form}))
            found = _TOKEN.search(page)
            token = found[1] if found else token
            if not re.search(f'name="step" value="({then})"', page):
                raise BootTestError(page[-1500:], step=f"set-up: {step}")
            return page

        self._page(self._http.get("/setup"))
        send("language", "code", language="en")
        send("code", "vault", code=code.lower())
        send("vault", "account", passphrase=passphrase, again=passphrase)
        groups = _GROUP.findall(send("account", "recovery", display_name="Aoki", name=NAME, password=PASSWORD))
        asked = _ASKED.search(html.unescape(send("recovery", "confirm")))
        if len(groups) != _GROUPS or asked is None:
            raise BootTestError(str(len(groups)), step="recovery key")
        send("confirm", "network|certificate|capacity", group=groups[int(asked.group(1)) - 1])

    def unlock(self, passphrase: str) -> None:
        """Open the vault of a box that was started again."""
        self._page(self._http.post("/unlock", data={"passphrase": passphrase}))

    def sign_in(self) -> None:
        """With name and password, anew."""
        self._http.cookies.clear()
        self._page(self._http.post("/sign-in", data={"name": NAME, "password": PASSWORD}))

    def bring(self, within_s: float) -> str:
        """Put the document into a new base, and wait until it can be asked; the base's id. Raises BootTestError."""
        base = self._json(self._http.post("/api/v1/bases", json={"name": "House"}))["id"]
        files = {"file": ("storeroom.md", DOCUMENT.encode(), "text/markdown")}
        document = self._json(self._http.post(f"/api/v1/bases/{base}/documents", files=files))
        until = time.monotonic() + within_s
        while document["state"] not in ("ready", "failed"):
            if time.monotonic() > until:
                raise BootTestError(str(document), step="document")
            time.sleep(2)
            document = self._json(self._http.get(f"/api/v1/documents/{document['id']}"))
        if document["state"] != "ready":
            raise BootTestError(str(document), step="document")
        return str(base)

    def ask(self, base: str) -> dict[str, Any]:
        """The answer, which must quote the document. Raises BootTestError."""
        answer = self._json(self._http.post("/api/v1/ask", json={"question": QUESTION, "base_ids": [base]}))
        cited = [str(each) for each in answer.get("citations", [])]
        if ANSWER not in answer["text"] or not any("storeroom" in each for each in cited):
            raise BootTestError(str(answer)[:2000], step="answer")
        return dict(answer)

    def take(self, root: bytes, within_s: float) -> None:
        """Trust this publisher, and take the one bundle on the stick that is plugged in. Raises BootTestError."""
        fingerprint = hashlib.sha256(root).hexdigest()
        wish = {"root": root.decode("ascii"), "fingerprint": fingerprint, "password": PASSWORD}
        self.asks("PUT", "/bundles/trust", wish)
        media = self.until(lambda: self.asks("GET", "/bundles/media")["items"], within_s)
        (offer,) = self.asks("POST", "/bundles/look", {"media": media[0]["id"]})["items"]
        wish = {"media": media[0]["id"], "digest": offer["digest"], "password": PASSWORD}
        self.asks("POST", "/bundles/taking", wish)
        job = self.until(self._taken, within_s)
        if job["state"] != "done":
            raise BootTestError(str(job), step="taking")

    def _taken(self) -> dict[str, Any] | None:
        job = self.asks("GET", "/bundles/taking")["job"]
        return dict(job) if job["state"] not in ("waiting", "running") else None

    def open(self, passphrase: str, within_s: float) -> None:
        """Open the vault of a box that has just started, and sign in. Raises BootTestError."""

        def opened() -> bool:
            if self.asks("GET", "/state")["vault"]["state"] != "open":
                self.asks("POST", "/unlock", {"passphrase": passphrase})
            self.sign_in()
            return True

        self.until(opened, within_s)

    def until(self, look: Callable[[], Said | None], within_s: float) -> Said:
        """What it says once it says something; a box that is starting doesn't answer. Raises BootTestError."""
        end = time.monotonic() + within_s
        while True:
            last = ""
            try:
                if found := look():
                    return found
            except BootTestError as error:
                last = error.detail
            except httpx2.HTTPError as error:
                last = str(error)
            if time.monotonic() > end:
                raise BootTestError(last[-1000:], step=look.__name__)
            time.sleep(_LOOK_S)

    def asks(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the API answers below /api/v1. Raises BootTestError: an error; httpx2.HTTPError: nothing."""
        response = self._http.request(method, f"/api/v1{path}", json=body)
        self._page(response)
        return dict(response.json()) if response.content else {}

    @staticmethod
    def _page(response: httpx2.Response) -> str:
        if response.status_code >= 400:
            raise BootTestError(response.text[-1500:], step=f"{response.request.url.path}: {response.status_code}")
        return response.text

    @classmethod
    def _json(cls, response: httpx2.Response) -> dict[str, Any]:
        cls._page(response)
        return dict(response.json())
