"""What people do at a box that is served: sign in, bring a document, ask, look."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.simulators.served import PASSWORD, ServedBox

KEY = "The boiler room key hangs behind the blue door. Ask Ms Sato for it before noon.\n"
LONG = "".join(f"Paragraph {i} tells about machine number {i}.\n\n" for i in range(2000))
QUESTION = "Where does the boiler room key hang?"


@contextmanager
def browser(box: ServedBox, name: str = "nina") -> Iterator[httpx2.Client]:
    """A new person's, signed in."""
    with box.client() as client:
        client.post("/users", {"name": name, "display_name": name, "password": PASSWORD, "language": "en"})
    with httpx2.Client(base_url=box.url, timeout=60) as opened:
        assert opened.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
        yield opened


def house(box: ServedBox) -> str:
    """A base for all with one short document in it."""
    file = box.folder.parent / "keys.txt"
    file.write_text(KEY, "utf-8")
    with box.client() as client:
        base = client.post("/bases", {"name": "house", "visibility": "everyone"})
        client.upload(f"/bases/{base['id']}/documents", file)
    box.wait_for_documents(base["id"])
    return str(base["id"])


def upload(person: httpx2.Client, base: str, name: str, content: bytes) -> httpx2.Response:
    return person.post(f"/api/v1/bases/{base}/documents", files={"file": (name, content)})


def ask(person: httpx2.Client, chat: str, text: str) -> httpx2.Response:
    return person.post(f"/api/v1/chats/{chat}/messages", json={"text": text})


def answer(person: httpx2.Client, chat: str) -> dict[str, Any]:
    message: dict[str, Any] = person.get(f"/api/v1/chats/{chat}").json()["messages"][-1]
    return message


def state(person: httpx2.Client, document: str) -> str:
    return str(person.get(f"/api/v1/documents/{document}").json()["state"])
