"""Two real releases and a broken one, from the publisher's terminal to a served box: updated, saved, gone back."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from appliance.bundle.update.state import Phase, Places
from tests.simulators import releases
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.served import ServedBox

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedBox]:
    with ServedBox(tmp_path / "v") as box:
        yield box


@pytest.fixture
def publisher(tmp_path: Path) -> PublishersTerminal:
    (tmp_path / "p").mkdir()
    return PublishersTerminal(tmp_path / "p")


def done(served: ServedBox, *words: str | Path) -> str:
    ran = served.hako(*map(str, words))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def over(served: ServedBox, *phases: Phase) -> Phase:
    places, end = Places.of(served.folder), time.monotonic() + 240
    while (phase := places.read().phase) not in phases:
        assert time.monotonic() < end, f"{phase}\n{served.output}\n{served.log()[-3000:]}"
        time.sleep(0.2)
    return phase


def running(served: ServedBox) -> str:
    """The version that answers, as soon as one does."""
    end = time.monotonic() + 90
    while not is_up(served):
        assert time.monotonic() < end, served.output + served.log()[-3000:]
        time.sleep(0.3)
    with served.client() as client:
        return str(client.get("/update")["running"]["version"])


def is_up(served: ServedBox) -> bool:
    try:
        state = httpx2.get(f"{served.url}/api/v1/state")
    except httpx2.TransportError:
        return False
    return state.status_code == 200 and state.json()["vault"]["state"] == "open"


def test_updated_then_saved_from_a_broken_release_then_gone_back(
    served: ServedBox, publisher: PublishersTerminal, tmp_path: Path
) -> None:
    places = Places.of(served.folder)
    lock = releases.everything_else(tmp_path / "wheels")
    document = tmp_path / "keys.txt"
    document.write_text("The boiler room key hangs behind the blue door.\n")
    done(served, "kb", "add", document, "--kb", "house")
    done(served, "bundle", "trust", publisher.root, "--fingerprint", publisher.fingerprint)

    # The next release, with a new step of migration.
    wheel = releases.wheel(tmp_path / "r", "0.2.0", 2, releases.migrating(1))
    good = publisher.release(wheel, lock, 2, "--floor", "1")
    stick = tmp_path / "stick"
    publisher.hako("write", publisher.repository, stick, "--only", good)
    assert "beside the present release" in done(served, "bundle", "look", stick)
    done(served, "bundle", "take", stick, "--yes")
    assert places.read().phase is Phase.INSTALLED
    assert "0.2.0 is installed" in done(served, "update", "status")
    assert running(served) == "0.1.0"
    done(served, "update", "start", "--yes")
    assert over(served, Phase.COMMITTED, Phase.ROLLED_BACK) is Phase.COMMITTED, places.read().reason
    assert running(served) == "0.2.0"
    assert "Running release: 0.2.0" in done(served, "update", "status")
    assert "blue door" in done(served, "kb", "search", "boiler room key")
    assert "✓" in done(served, "update", "check")
    assert not places.snapshot.exists()

    # One in which nobody can sign in, with a further step: the snapshot comes back.
    broken = {**releases.migrating(2), **releases.NOBODY_SIGNS_IN}
    bad = publisher.release(releases.wheel(tmp_path / "r", "0.3.0", 3, broken), lock, 3)
    publisher.hako("write", publisher.repository, tmp_path / "stick-2", "--only", bad)
    done(served, "bundle", "take", tmp_path / "stick-2", "--yes")
    done(served, "update", "start", "--yes")
    assert over(served, Phase.COMMITTED, Phase.ROLLED_BACK) is Phase.ROLLED_BACK
    assert running(served) == "0.2.0"
    status = done(served, "update", "status")
    assert "nobody could sign in" in status
    assert "blue door" in done(served, "kb", "search", "boiler room key")
    assert "nobody could sign in" in served.output
    with served.client() as client:
        assert client.get("/users")["items"] == []  # no probe is left


def test_an_operator_goes_back_to_the_release_before_and_nothing_is_lost(
    served: ServedBox, publisher: PublishersTerminal, tmp_path: Path
) -> None:
    places = Places.of(served.folder)
    lock = releases.everything_else(tmp_path / "wheels")
    done(served, "bundle", "trust", publisher.root, "--fingerprint", publisher.fingerprint)
    good = publisher.release(releases.wheel(tmp_path / "r", "0.2.0", 2, releases.migrating(1)), lock, 2)
    publisher.hako("write", publisher.repository, tmp_path / "stick", "--only", good)
    done(served, "bundle", "take", tmp_path / "stick", "--yes")
    done(served, "update", "start", "--yes")
    assert over(served, Phase.COMMITTED, Phase.ROLLED_BACK) is Phase.COMMITTED, places.read().reason
    assert running(served) == "0.2.0"
    document = tmp_path / "keys.txt"
    document.write_text("The boiler room key hangs behind the blue door.\n")
    done(served, "kb", "add", document, "--kb", "house")
    done(served, "update", "rollback", "--yes")
    assert over(served, Phase.ROLLED_BACK) is Phase.ROLLED_BACK
    assert running(served) == "0.1.0"
    assert "blue door" in done(served, "kb", "search", "boiler room key")
    # What was installed once can't be undercut by an older release of the same publisher.
    assert "HK-BND-003" in served.hako("bundle", "take", str(_older(publisher, lock, tmp_path)), "--yes").stdout


def _older(publisher: PublishersTerminal, lock: Path, tmp_path: Path) -> Path:
    older = publisher.release(releases.wheel(tmp_path / "r", "0.1.9", 1), lock, 1)
    publisher.hako("write", publisher.repository, tmp_path / "older", "--only", older)
    return tmp_path / "older"
