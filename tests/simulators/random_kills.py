"""kill -9 at random moments of an update and of a restore, and what must be there afterwards."""

import io
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from appliance.backup import restoring
from appliance.bundle.update.state import Phase
from tests.simulators import nursery
from tests.simulators.backed_box import BackedBox, quiet
from tests.simulators.tiny_releases import TinyBox

OVER = (Phase.COMMITTED, Phase.ROLLED_BACK)
LONGEST_S = 1.2
_PASSWORD = "correct-horse-battery-staple"


def of_updates(folder: Path, seed: int, kills: int) -> Counter[Phase]:
    """Kill the launcher so often; how many updates have ended how. Each is the old box or the new one, whole."""
    moments, done, seen = random.Random(seed), 0, Counter[Phase]()
    while done < kills:
        box = TinyBox(folder / f"box-{done}")
        healthy = moments.random() < 0.6
        box.want(box.make("new", counter=2, schema=6, check=0 if healthy else "answer"))
        for _ in range(min(moments.randint(1, 4), kills - done)):
            box.launch()
            time.sleep(moments.random() * LONGEST_S)
            done += box.kill()
        box.launch()
        try:
            seen[_settled(box, healthy=healthy)] += 1
        finally:
            box.stop()
    return seen


def _settled(box: TinyBox, *, healthy: bool) -> Phase:
    phase = box.settle(*OVER, within_s=60)
    kept = phase is Phase.COMMITTED
    assert healthy or not kept
    end = time.monotonic() + 20
    while not box.boots or box.boots[-1] != ("new" if kept else "old"):  # it serves by now
        assert time.monotonic() < end, box.boots
        time.sleep(0.02)
    assert box.places.current == ("new" if kept else "old")
    assert box.database == {"schema": 6 if kept else 5, "by": "new" if kept else "old", "kept": True}
    while box.places.snapshot.exists():  # goes a moment after the state says so
        assert time.monotonic() < end
        time.sleep(0.02)
    return phase


def of_restores(folder: Path, seed: int, kills: int) -> tuple[int, int]:
    """Kill a restore over a box so often; after how many it was the old box, and after how many the new one.

    One that ended before it was killed is looked at as well, and counts as none.
    """
    pristine, stick = folder / "pristine" / "box", folder / "stick"
    stick.mkdir(parents=True)
    box = BackedBox(pristine)
    box.users.create("alice", "Alice", "operator", _PASSWORD, "en")
    box.blobs.put(io.BytesIO(b"one" * 50_000))
    assert box.run("create", stick).state == "done"
    box.users.create("bob", "Bob", "member", _PASSWORD, "en")
    box.close()
    moments, old, new, whole_s = random.Random(seed), 0, 0, 0.0
    while old + new < kills:
        target = shutil.copytree(pristine.parent, folder / "place") / "box"
        began = time.monotonic()
        child = nursery.start(_restore, target, stick)
        if whole_s:
            child.join(moments.random() * whole_s)
            child.kill()
        status = nursery.ended(child)
        assert status in (0, -9)
        whole_s = time.monotonic() - began if status == 0 else whole_s  # the last one's: machines stall
        names = _names(target)
        assert names == ["alice"] if status == 0 else names in (["alice"], ["alice", "bob"])
        kept = [*target.parent.glob("box.replaced-*"), *target.parent.glob("box.restoring")]
        assert names == ["alice", "bob"] or any(_is_of_both(folder) for folder in kept)
        if status:
            old, new = old + (names == ["alice", "bob"]), new + (names == ["alice"])
        restoring_again = nursery.run(_restore, target, stick)
        assert (restoring_again, _names(target)) == (0, ["alice"])
        assert any(_is_of_both(folder) for folder in target.parent.glob("box.replaced-*"))
        shutil.rmtree(target.parent)
    return old, new


def _is_of_both(folder: Path) -> bool:
    """Whether it is the box that was replaced, whole."""
    return (folder / "vault.json").exists() and _names(folder) == ["alice", "bob"]


def _restore(target: Path, stick: Path) -> None:
    box = BackedBox(target)
    box.close()
    vault = box.settings.vault_file.read_bytes()
    restoring.restore(box.repository(stick), box.key, vault, target, None, quiet, over=True)


def _names(folder: Path) -> list[str]:
    """Who is in a box, after looking into all of it."""
    box = BackedBox(folder)
    try:
        with box.database.read() as connection:
            assert connection.execute("pragma quick_check").get == "ok"
            blobs = [row[0] for row in connection.execute("select id from blobs")]
        assert [b"".join(box.blobs.open(blob)) for blob in blobs] == [b"one" * 50_000]
        assert not any(found.kind == "entry" for found in box.audit.verify().open)
        return [user.name for user in box.users.list()]
    finally:
        box.close()
