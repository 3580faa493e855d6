"""The operator of a soaked box: opens the pages of the console in turn, and has the box look after itself."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from tests.simulators.served import PASSWORD
from tests.soak.programs import MODEL
from tests.soak.visitor import Place, Visitor

PAGES: Final[dict[str, tuple[str, ...]]] = {
    "/docs": ("bases",),
    "/docs/{base}": ("bases/{base}", "bases/{base}/documents"),
    "/operate": (
        "health",
        "health/now",
        "destinations",
        "health/history?span=24h&name=answers.tokens_per_s&name=answers.waiting&name=disk.used&name=memory.used",
        "health/now",
        "health/now",
    ),
    "/operate/models": ("models", "models/running", "models/reranking", "models/running"),
    "/operate/models/import": ("models/media", "models/uploads"),
    "/operate/models/{id}": ("models/{id}", "models/{id}/settings", "models/{id}/adapters", "models/{id}/bench"),
    "/operate/capacity": ("models/bench",),
    "/operate/update": (
        "bundles/trust",
        "bundles",
        "update",
        "bundles/taking",
        "bundles/media",
        "bundles/boxes",
        "bundles/packs",
    ),
    "/operate/update/release": ("update",),
    "/operate/backup": ("backups", "backups/work", "backups/targets", "backups/work"),
    "/operate/machine": ("machine",),
    "/operate/users": ("users",),
    "/audit": ("audit/verify", "audit/key", "users", "audit?{filters}", "audit?{filters}"),
    "/audit/log": ("audit/verify", "audit/key", "users", "audit?{filters}", "audit?limit=1&before=3"),
    "/audit/airgap": ("airgap",),
}
"""What each page of the console asks the API for, from opening it to its next look; a test knows all pages."""
_WORK_S: Final = 300.0


class Operator:
    """Reads the console."""

    def __init__(self, place: Place, name: str, language: str) -> None:
        self._me = Visitor(place, name, language)
        self._me.sign_in()

    def look(self) -> None:
        """Every page once, each with the look at the state that any page takes."""
        me = self._me
        now = datetime.now(UTC)
        filters = urlencode({"limit": 50, "since": (now - timedelta(days=1)).isoformat()})
        for page, requests in PAGES.items():
            if me.place.over.is_set():
                return
            known = {"base": me.place.sample_base, "id": MODEL, "filters": filters}
            me.send("console page", "GET", page.format(**known))
            for request in requests:
                me.get(f"console {page}", f"/api/v1/{request.format(**known)}")
            me.get("console state", "/api/v1/state")
            me.rest(1)


class Caretaker:
    """Has backups made, checked and tried, the record checked, and the gap proven; people and keys come and go."""

    def __init__(self, place: Place, name: str, language: str, target: str) -> None:
        self._me = Visitor(place, name, language)
        self._me.sign_in()
        self._target = target
        self._round = 0

    def care(self) -> None:
        """A backup each time; what comes with it takes turns."""
        me, self._round = self._me, self._round + 1
        self._work("create", keep=2, password=PASSWORD)
        me.post("backups", "/api/v1/backups/look", {"folder": self._target})
        match self._round % 3:
            case 0:
                self._work("rehearse")
            case 1:
                self._work("verify")
            case _:
                made = me.post("airgap report", "/api/v1/airgap/report", {"check_files": False})
                me.record.count(f"airgap report {made['verdict']}")
        if not me.post("audit check", "/api/v1/audit/verify", {})["sound"]:
            me.record.trouble("the audit log is not sound")
        for _line in me.send("audit export", "GET", "/api/v1/audit/export").iter_lines():
            pass
        self._hire()

    def _hire(self) -> None:
        """An account with a key that comes and goes."""
        me, name = self._me, f"guest-{self._round}"
        account = {"name": name, "display_name": name, "password": PASSWORD, "role": "member"}
        person = me.post("users", "/api/v1/users", account)["id"]
        key = me.post("keys", "/api/v1/me/keys", {"name": name})["item"]["id"]
        me.send("keys", "DELETE", f"/api/v1/me/keys/{key}")
        me.send("users", "DELETE", f"/api/v1/users/{person}")

    def _work(self, action: str, **more: Any) -> None:
        me, began = self._me, time.monotonic()
        job = me.post("backups", "/api/v1/backups/work", {"action": action, "folder": self._target, **more})["job"]
        while job["state"] in ("waiting", "running") and time.monotonic() - began < _WORK_S:
            time.sleep(0.7)
            job = me.get("console backup work", "/api/v1/backups/work")["job"]
        me.record.took(f"backup {action}", time.monotonic() - began)
        if job["state"] != "done":
            me.record.trouble(f"backup {action} is {job['state']}: {job['error']}")
        me.record.count(f"backup {action}")
