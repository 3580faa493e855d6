"""Nothing lies in the clear: a known sentence, question, password and key are looked for in every byte on the disk."""

from pathlib import Path

import httpx2
import pytest

from tests.simulators.served import PASSWORD, ServedBox

SENTENCE = "Patient Tanaka-4711 was moved to the quiet ward."
QUESTION = "Which ward has Tanaka-4711 been moved to?"
TITLE = "Zugspitze ward report"


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "scripted" not in path.parts}


def spellings(text: str) -> list[bytes]:
    return [text.encode("utf-8"), text.encode("utf-16-le"), text.lower().encode(), text.encode().hex().encode()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after a day's work: a document, a question, an account, a session, a key."""
    root = tmp_path_factory.mktemp("r")
    source = root / "report.md"
    source.write_text(f"# {TITLE}\n\n{SENTENCE}\n\n{SENTENCE[::-1]}\n", "utf-8")
    with ServedBox(root / "v") as box:
        assert box.hako("kb", "add", str(source), "--kb", "wards").returncode == 0
        assert "quiet ward" in box.hako("ask", QUESTION, "--json").stdout
        with box.client() as client:
            client.post("/users", {"name": "nina", "display_name": "Nina", "password": PASSWORD})
        with httpx2.Client(base_url=box.url) as browser:
            browser.post("/sign-in", data={"name": "nina", "password": PASSWORD})
            chat = browser.post("/api/v1/chats", json={}).json()
            browser.post(f"/api/v1/chats/{chat['id']}/messages", json={"text": QUESTION})
            key = browser.post("/api/v1/me/keys", json={"name": "k"}).json()["key"]
            token = browser.cookies["hako"]
        (root / "secrets").write_text(f"{key}\n{token}\n", "ascii")
        box.kill()  # the write-ahead log and the sockets stay as they are in the middle of work
    return root


def test_no_word_of_documents_and_questions_is_on_the_disk(folder: Path) -> None:
    files = everything(folder / "v")
    assert any(path.name == "hako.db" for path in files)
    assert any("blobs" in path.parts for path in files)
    for text in (SENTENCE, QUESTION, TITLE, "quiet ward", "Tanaka-4711", PASSWORD):
        for spelling in spellings(text):
            found = [path for path, content in files.items() if spelling in content]
            assert not found, (text, found)


def test_no_key_or_session_is_on_the_disk(folder: Path) -> None:
    files = everything(folder / "v")
    for secret in (folder / "secrets").read_text("ascii").split():
        assert not [path for path, content in files.items() if secret.encode() in content]


def test_the_search_would_find_the_sentence_if_it_were_there(folder: Path) -> None:
    planted = folder / "v" / "planted"
    planted.write_text(SENTENCE, "utf-8")
    try:
        assert [path for path, content in everything(folder / "v").items() if SENTENCE.encode() in content] == [planted]
    finally:
        planted.unlink()


def test_the_database_is_no_plain_sqlite_file(folder: Path) -> None:
    assert not (folder / "v" / "hako.db").read_bytes().startswith(b"SQLite format 3")


def test_nothing_in_the_data_folder_is_open_to_others(folder: Path) -> None:
    for path in [folder / "v", *(folder / "v").rglob("*")]:
        if "scripted" not in path.parts and path.name != "hako.toml" and not path.is_socket():
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_log_tells_no_words_and_no_secrets(folder: Path) -> None:
    log = (folder / "v" / "log" / "hako.log").read_text("utf-8")
    assert '"event"' in log
    for text in ("Tanaka", "quiet", "ward", QUESTION, PASSWORD, TITLE):
        assert text not in log
