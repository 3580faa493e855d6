"""People who use a soaked box: they chat in two languages, ask and search documents, keep them, and come and go."""

import re
import sys
import time
from collections import deque
from typing import Any, Final

from tests.bench.models import DATA, REPOSITORY
from tests.soak.visitor import Place, Visitor

WORDS: Final = {
    "ja": (
        "バックアップはどこに保存できますか。",
        "暗号化には何が使われていますか。",
        "監査記録は何のためにありますか。",
        "文書を消すと何が起きますか。",
        "対応している文書の形式を教えてください。",
        "モデルを取り込む手順は？",
    ),
    "en": (
        "Where can backups be kept?",
        "How is a document erased?",
        "What does the audit log hold?",
        "Which formats of documents can be read?",
        "How does a model get onto the box?",
        "Write a short poem about a quiet machine.",
    ),
}
_KEPT_CHATS: Final = 6
_ANSWER_TOKENS: Final = 160
"""What a person waits for; the starter model ends its answers late."""
_DOCUMENT_S: Final = 180.0
_ALL: Final = sys.maxsize
_WORDS_HEARD: Final = 4
"""After so many pieces whoever hangs up does so."""


class Chatter:
    """Asks in chats of the own, follows the answers, stops or leaves some, and keeps the last few chats."""

    def __init__(self, place: Place, name: str, language: str) -> None:
        self._me = Visitor(place, name, language)
        self._me.sign_in()
        preset = {"name": "short", "sampling": {"max_tokens": _ANSWER_TOKENS}}
        self._preset = self._me.post("presets", "/api/v1/presets", preset)["id"]
        self._chats: deque[str] = deque()
        self._round = 0

    def chat(self) -> None:
        """One chat of two questions; every fourth is hung up on, every fifth is stopped."""
        me, self._round = self._me, self._round + 1
        bases = [me.place.sample_base] if self._round % 3 else []
        chat = me.post("chats", "/api/v1/chats", {"base_ids": bases, "preset_id": self._preset})["id"]
        self._chats.append(chat)
        answer = self._ask(chat, None, stays=self._round % 4 != 0, stops=self._round % 5 == 0)
        me.rest(2)
        if self._round % 2:
            self._ask(chat, answer, stays=True, stops=False)
        me.send("chats", "PATCH", f"/api/v1/chats/{chat}", json={"title": f"{me.name} {self._round}"})
        me.get("chats", f"/api/v1/chats?query={me.name}")
        me.send("chats", "GET", f"/api/v1/chats/{chat}/export")
        while len(self._chats) > _KEPT_CHATS:
            me.send("chats", "DELETE", f"/api/v1/chats/{self._chats.popleft()}")

    def _ask(self, chat: str, parent: str | None, *, stays: bool, stops: bool) -> str:
        me = self._me
        question = {"text": me.luck.choice(WORDS[me.language]), "parent_id": parent}
        asked = me.post("chats", f"/api/v1/chats/{chat}/messages", question)
        stream = f"/api/v1/runs/{asked['run_id']}/events"
        with me.events("GET", stream) as events:
            me.listen(
                "chat", events, lambda kind, _data: kind == "delta", _ALL if stays and not stops else _WORDS_HEARD
            )
        if stops:
            me.send("chats", "POST", f"/api/v1/runs/{asked['run_id']}/stop")
        self._until_written(chat)
        return str(asked["answer"]["id"])

    def _until_written(self, chat: str) -> None:
        """An answer that was left goes on without its reader, as a closed tab's does."""
        end = time.monotonic() + _DOCUMENT_S
        while any(one["state"] == "running" for one in self._me.get("chats", f"/api/v1/chats/{chat}")["messages"]):
            if time.monotonic() > end:
                self._me.record.trouble(f"{self._me.name}: an answer was not written within {_DOCUMENT_S:.0f} s")
                return
            time.sleep(1)


class Reader:
    """Searches, asks with citations outside of chats, and opens the page that a hit is on."""

    def __init__(self, place: Place, name: str, language: str) -> None:
        self._me = Visitor(place, name, language)
        self._me.sign_in()

    def read(self) -> None:
        """Two searches, a page, and a question; some questions are hung up on."""
        me = self._me
        base, words = me.place.sample_base, WORDS[me.language]
        me.post("search all", "/api/v1/search", {"query": me.luck.choice(words)})
        found = me.post("search", f"/api/v1/bases/{base}/search", {"query": me.luck.choice(words)})
        for hit in found["hits"][:1]:
            me.get("pages of documents", f"/api/v1/documents/{hit['document_id']}/pages/{hit['page']}")
        me.rest(1)
        asked = {"question": me.luck.choice(words), "base_ids": [base]}
        with me.events("POST", "/api/v1/ask", asked) as events:
            me.listen("ask", events, lambda kind, _data: kind == "delta", 2 if me.luck.random() < 0.2 else _ALL)


class Librarian:
    """Keeps a base at the same number of documents: adds, replaces, erases, and now and then brings a broken one."""

    def __init__(self, place: Place, name: str, language: str) -> None:
        self._me = Visitor(place, name, language)
        self._me.sign_in()
        self._base = self._me.post("bases", "/api/v1/bases", {"name": "書庫", "visibility": "everyone"})["id"]
        manual = REPOSITORY / "webui" / "help"
        self._files = [
            *sorted((DATA / "docs").glob("*.pdf")),
            DATA / "docs" / "ja.docx",
            *(
                manual / language / f"{page}.md"
                for language in ("ja", "en")
                for page in ("documents", "operate", "cli")
            ),
        ]
        self._there: dict[str, str] = {}
        self._round = 0

    def keep(self) -> None:
        """One document comes in place of its older self; in the beginning all are brought."""
        me, self._round = self._me, self._round + 1
        file = self._files[self._round % len(self._files)]
        name = f"{file.parent.name}-{file.name}"
        if name in self._there:
            me.send("erase a document", "DELETE", f"/api/v1/documents/{self._there.pop(name)}")
        content = file.read_bytes()
        if file.suffix == ".md":
            content += f"\n\n{self._round}\n".encode()
        self._there[name] = self._bring(name, content, "ready")
        if self._round % 10 == 0:
            broken = self._bring(
                "half.pdf", (DATA / "docs" / "ja_cid.pdf").read_bytes()[:3000] + b"%d" % self._round, "failed"
            )
            me.send("erase a document", "DELETE", f"/api/v1/documents/{broken}")
        listed = me.get("console knowledge", f"/api/v1/bases/{self._base}/documents")["items"]
        if len(listed) != len(self._there):
            me.record.trouble(f"{me.name}: {len(listed)} documents are listed, {len(self._there)} were brought")

    def _bring(self, name: str, content: bytes, end: str) -> str:
        """Upload, wait until it was taken in, and read its first page."""
        me = self._me
        document: dict[str, Any] = me.send(
            "upload", "POST", f"/api/v1/bases/{self._base}/documents", files={"file": (name, content)}
        ).json()
        began = time.monotonic()
        while document["state"] in ("waiting", "working") and time.monotonic() - began < _DOCUMENT_S:
            time.sleep(1)
            document = me.get("console knowledge", f"/api/v1/documents/{document['id']}")
        me.record.took("taken in", time.monotonic() - began)
        if document["state"] != end:
            me.record.trouble(f"{me.name}: {name} is {document['state']}: {document['error']}")
        elif end == "ready":
            me.get("pages of documents", f"/api/v1/documents/{document['id']}/pages/1")
            me.send("original", "GET", f"/api/v1/documents/{document['id']}/original")
        me.record.count(f"documents {document['state']}")
        return str(document["id"])


class Comer:
    """Signs in, loads the page as a browser does, and signs out again; now and then with a wrong password first."""

    def __init__(self, place: Place, name: str, language: str) -> None:
        self._place, self._name, self._language = place, name, language
        self._round = 0

    def come(self) -> None:
        """One visit, with a browser of its own."""
        self._round += 1
        with Visitor(self._place, self._name, self._language) as me:
            me.send("sign-in page", "GET", "/sign-in")
            if self._round % 7 == 0:
                me.sign_in("not the password", well=(401,))
            me.sign_in()
            page = me.send("start page", "GET", "/").text
            for file in sorted(set(re.findall(r'"(/static/[^"]+\.(?:js|css))"', page))):
                me.send("static files", "GET", file)
            for path in ("me", "state", "chats", "bases", "presets", "me/sessions", "me/keys"):
                me.get("own pages", f"/api/v1/{path}")
            me.rest(1)
            me.send("sign-out", "POST", "/sign-out")
            me.send("own pages", "GET", "/api/v1/me", well=(401,))
