"""What `test_faults` runs where the disk is small: `python -m tests.security.full_disk FOLDER`."""

import os
import sys
from pathlib import Path

from tests.simulators.errands import LONG, QUESTION, answer, ask, browser, house, state, upload
from tests.simulators.served import ServedBox
from tests.simulators.waiting import eventually


def fill(file: Path) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        os.close(descriptor)


def main(folder: Path) -> None:
    with ServedBox(folder / "v") as box, browser(box) as nina:
        base = house(box)
        mine = nina.post("/api/v1/bases", json={"name": "mine"}).json()["id"]
        chat = nina.post("/api/v1/chats", json={}).json()["id"]
        ask(nina, chat, "[[words 60]] [[delay 30]] under way")
        document = upload(nina, mine, "long.txt", LONG.encode()).json()["id"]
        processes = box.processes()
        fill(folder / "fill")

        for refused in (
            upload(nina, mine, "large.bin", os.urandom(3 << 20)),
            upload(nina, mine, "small.txt", b"hello there"),
            nina.post("/api/v1/bases", json={"name": "more"}),
            nina.post("/api/v1/ask", json={"question": QUESTION}),
            ask(nina, chat, "one more"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (507, "HK-BOX-006"), refused.text
        found = nina.post(f"/api/v1/bases/{base}/search", json={"query": QUESTION}).json()
        assert "blue door" in found["hits"][0]["text"]
        assert nina.get("/").status_code == nina.get(f"/api/v1/chats/{chat}").status_code == 200
        assert "HK-BOX-006" in nina.post("/sign-in", data={"name": "nina", "password": "x"}).text
        assert box.processes() == processes

        (folder / "fill").unlink()
        assert eventually(lambda: answer(nina, chat)["state"] == "done"), answer(nina, chat)
        assert answer(nina, chat)["text"].endswith("word59")  # what was under way was kept until there was room
        assert eventually(lambda: state(nina, document) == "ready", 60), state(nina, document)
        assert upload(nina, mine, "small.txt", b"hello there").status_code == 201
        assert not [path for path in (box.folder / "blobs" / "incoming").iterdir() if path.stat().st_size > 1000]
        assert box.processes() == processes
        assert "Traceback" not in box.log()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    print("all is well")
