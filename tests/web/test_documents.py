"""Documents over the API: taken in, refused with a reason, read page by page, given back, erased."""

import io
import zipfile
from typing import Any

import pytest

from tests.simulators.box import Person, TestBox, add, settled, wait
from tests.web.conftest import HANDBOOK


def base(person: Person, name: str) -> str:
    created: dict[str, Any] = person.post("/bases", json={"name": name}).get_json()
    return str(created["id"])


def test_a_document_is_read_and_can_be_searched(bob: Person, handbook: dict[str, str]) -> None:
    document = bob.get(f"/documents/{handbook['document']}").get_json()
    assert (document["state"], document["format"], document["title"]) == ("ready", "md", "職員ハンドブック")
    found = bob.post(f"/bases/{handbook['base']}/search", json={"query": "夜勤手当 いくら", "k": 3}).get_json()
    assert "6,000円" in found["hits"][0]["text"]
    assert found["hits"][0]["sentences"]
    page = bob.get(f"/documents/{handbook['document']}/pages/1").get_json()
    sentence = next(s for s in page["sentences"] if "6,000円" in page["text"][s["start"] : s["end"]])
    assert page["text"][sentence["start"] : sentence["end"]] == "夜勤手当は1回につき6,000円です。"
    assert bob.get(f"/documents/{handbook['document']}/pages/99").status_code == 404


def test_the_original_comes_back_byte_for_byte_as_a_download(bob: Person, handbook: dict[str, str]) -> None:
    answer = bob.get(f"/documents/{handbook['document']}/original")
    assert answer.data == HANDBOOK.encode()
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox")


def test_the_same_file_twice_is_said(bob: Person, handbook: dict[str, str]) -> None:
    file = (io.BytesIO(HANDBOOK.encode()), "other name.md")
    answer = bob.post(f"/bases/{handbook['base']}/documents", data={"file": file})
    assert (answer.status_code, answer.get_json()["duplicate"]) == (200, True)
    assert answer.get_json()["id"] == handbook["document"]


def _bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"<a>" + b" " * (40 << 20))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("blank.txt", b" \n \n", "HK-DOC-011"),
        ("cut.pdf", b"%PDF-1.7\n1 0 obj\n<<", "HK-DOC-012"),
        ("page.pdf", b"not a pdf at all \x00\x01\x02\x03" * 100, "HK-DOC-012"),
        ("tool.exe", b"MZ\x90\x00\x03" * 300, "HK-DOC-010"),
        ("bomb.docx", _bomb(), "HK-DOC-015"),
        ("broken.docx", b"PK\x03\x04" + b"x" * 200, "HK-DOC-012"),
    ],
)
def test_what_can_not_be_read_says_why(bob: Person, name: str, content: bytes, code: str) -> None:
    document = add(bob, base(bob, f"for {name}"), name, content)
    assert (document["state"], document["error"]["code"]) == ("failed", code)
    assert document["error"]["title"]


def test_an_empty_file_is_refused_at_the_door(bob: Person) -> None:
    answer = bob.post(f"/bases/{base(bob, 'empty ones')}/documents", data={"file": (io.BytesIO(b""), "a.txt")})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "HK-DOC-011")


def test_a_file_over_the_limit_is_refused_and_nothing_is_kept(bob: Person) -> None:
    where = base(bob, "large ones")
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="large.txt"\r\n\r\n'
    body = head + b"x" * (2 * 1024 * 1024 + 1) + b"\r\n--B--\r\n"
    answer = bob.post(f"/bases/{where}/documents", data=body, content_type="multipart/form-data; boundary=B")
    assert (answer.status_code, answer.get_json()["params"]) == (413, {"limit_mb": 2})
    assert bob.get(f"/bases/{where}/documents").get_json()["items"] == []


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "euc_jp", "iso2022_jp", "utf-16"])
def test_japanese_text_is_read_in_every_common_encoding(bob: Person, encoding: str) -> None:
    text = "市役所の窓口は八時半に開きます。住民票は二階で受け取れます。" * 3
    where = base(bob, f"in {encoding}")
    document = add(bob, where, "text.txt", text.encode(encoding))
    page = bob.get(f"/documents/{document['id']}/pages/1").get_json()
    assert "住民票は二階で受け取れます。" in page["text"]


def test_names_are_data_and_never_paths(bob: Person) -> None:
    name = "../../<img src=x onerror=alert(1)>.txt"
    document = add(bob, base(bob, "odd names"), name, b"The lamp is green today.")
    assert document["name"] == "<img src=x onerror=alert(1)>.txt"


def test_a_deleted_document_is_gone_from_everywhere(bob: Person, box: TestBox) -> None:
    where = base(bob, "to be deleted")
    document = add(bob, where, "secret.txt", b"The launch code of the kettle is tea-4711.")
    assert bob.post(f"/bases/{where}/search", json={"query": "kettle launch code"}).get_json()["hits"]
    assert bob.delete(f"/documents/{document['id']}").status_code == 204
    assert bob.get(f"/documents/{document['id']}").status_code == 404
    assert bob.post(f"/bases/{where}/search", json={"query": "kettle launch code"}).get_json()["hits"] == []
    with box.services.database.read() as connection:
        count = connection.execute("select count(*) from passages where document_id = ?", (document["id"],)).get
    assert count == 0


def test_a_member_reads_but_does_not_change_the_systems_base(bob: Person, box: TestBox) -> None:
    from appliance.accounts.permissions import Principal

    shared = box.services.bases.create(Principal.system_operator(), "house rules", visibility="everyone")
    seen = next(item for item in bob.get("/bases").get_json()["items"] if item["id"] == shared.id)
    assert (seen["system"], seen["writable"]) == (True, False)
    refused = bob.post(f"/bases/{shared.id}/documents", data={"file": (io.BytesIO(b"x"), "a.txt")})
    assert refused.status_code == 403


def test_a_file_dropped_into_a_chat_lands_in_ones_own_base(bob: Person, mallory: Person) -> None:
    answer = bob.post("/uploads", data={"file": (io.BytesIO(b"The meeting is on Friday at ten."), "note.txt")})
    document = answer.get_json()
    assert answer.status_code == 201
    wait(lambda: bob.get(f"/documents/{document['id']}").get_json(), lambda seen: settled(seen["state"]))
    assert mallory.get(f"/bases/{document['base_id']}").status_code == 404
    found = bob.post("/ask", json={"question": "When is the meeting?", "base_ids": [document["base_id"]]}).get_json()
    assert found["citations"][0]["document"] == "note.txt"
