"""Damaged files of a box: key file, database, originals. Each is named in one sentence, and nothing is made worse."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.simulators.errands import KEY, QUESTION, browser, house, upload
from tests.simulators.served import ServedBox
from tests.simulators.waiting import eventually


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a box that was used and stopped."""
    folder = tmp_path_factory.mktemp("f") / "v"
    with ServedBox(folder) as box:
        house(box)
    return folder


@pytest.fixture
def copied(stopped: Path, tmp_path: Path) -> ServedBox:
    shutil.copytree(stopped, tmp_path / "v", ignore=shutil.ignore_patterns("run"))
    (tmp_path / "keys.txt").write_text(KEY, "utf-8")
    return ServedBox(tmp_path / "v")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """One changed byte in every page."""
    content = bytearray(path.read_bytes())
    for place in range(8000, len(content), 4096):
        content[place] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """A whole key file, but another vault's."""
    vault = json.loads(path.read_text("utf-8"))
    vault["vault"]["id"] = "0" * 32
    path.write_text(json.dumps(vault), "utf-8")


@pytest.mark.parametrize(
    ("name", "damage", "codes"),
    [
        ("vault.json", cut, {"HK-VLT-003"}),
        ("vault.json", empty, {"HK-VLT-003"}),
        ("vault.json", swap, {"HK-VLT-003"}),
        ("hako.db", cut, {"HK-STO-001"}),
        ("hako.db", flip, {"HK-STO-001", "HK-VLT-003"}),
    ],
)
def test_a_damaged_file_stops_the_start_with_one_sentence_and_is_left_as_it_is(
    copied: ServedBox, name: str, damage: Callable[[Path], None], codes: set[str]
) -> None:
    for leftover in copied.folder.glob("hako.db-*"):
        leftover.unlink()
    damage(copied.folder / name)
    before = (copied.folder / name).read_bytes()
    ran = copied.hako("serve", "--development", "--no-question")
    told = ran.stderr.strip().splitlines()
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert len(told) == 1
    assert told[0].split()[-1] in codes
    assert "Traceback" not in ran.stdout + copied.log()
    assert (copied.folder / name).read_bytes() == before


def test_a_wrong_passphrase_leaves_the_box_sealed_and_serving_its_unlock_page(copied: ServedBox) -> None:
    right = (copied.folder / "dev-passphrase").read_text("ascii").strip()
    (copied.folder / "dev-passphrase").write_text("not the passphrase\n", "ascii")
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "--data-dir", str(copied.folder), "serve", "--development"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(base_url=copied.url, timeout=20, headers={"Accept-Language": "en"}) as stranger:
            assert eventually(lambda: is_up(stranger), 60)
            assert stranger.get("/").headers["location"] == "/unlock"
            assert stranger.get("/api/v1/bases").json()["code"] == "HK-VLT-001"
            wrong = stranger.post("/unlock", data={"passphrase": "still not it"})
            assert (wrong.status_code, "HK-VLT-002" in wrong.text) == (423, True)
            assert stranger.post("/unlock", data={"passphrase": right}).status_code == 303
            assert stranger.get("/api/v1/bases").status_code == 401
        with copied.client() as operator:
            assert operator.get("/bases")["items"][0]["name"] == "house"
    finally:
        process.terminate()
        process.wait(30)


def is_up(stranger: httpx2.Client) -> bool:
    try:
        return bool(stranger.get("/api/v1/state").json()["vault"]["state"] == "sealed")
    except httpx2.TransportError:
        time.sleep(0.1)
        return False


def test_an_original_that_is_damaged_is_told_and_its_text_can_still_be_read(copied: ServedBox) -> None:
    with copied as box, browser(box, "omar") as omar:
        (base,) = omar.get("/api/v1/bases").json()["items"]
        (document,) = omar.get(f"/api/v1/bases/{base['id']}/documents").json()["items"]
        (blob,) = (path for path in (box.folder / "blobs").glob("??/*") if path.is_file())
        cut(blob)
        damaged = omar.get(f"/api/v1/documents/{document['id']}/original")
        assert (damaged.status_code, damaged.json()["code"]) == (500, "HK-VLT-004")
        mine = omar.post("/api/v1/bases", json={"name": "mine"}).json()["id"]
        large = upload(omar, mine, "large.bin", os.urandom(3 << 20)).json()["id"]
        cut(next(path for path in (box.folder / "blobs").glob("??/*") if path.stat().st_size > 1 << 20))
        with pytest.raises(httpx2.RemoteProtocolError):  # never half a file that looks whole
            omar.get(f"/api/v1/documents/{large}/original")
        assert "blue door" in omar.get(f"/api/v1/documents/{document['id']}/pages/1").json()["text"]
        found = omar.post(f"/api/v1/bases/{base['id']}/search", json={"query": QUESTION}).json()
        assert found["hits"]
