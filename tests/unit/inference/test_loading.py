"""How far a load has come, and how it is ended."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from appliance.errors import LoadCancelledError
from appliance.inference.loading import Loading
from appliance.inference.spawn import Child
from appliance.machine import resources
from tests.unit.inference.test_runner import MANIFEST


class Dying:
    """A child that notes its end."""

    def __init__(self) -> None:
        self.pid = 1
        self.spec = SimpleNamespace(folder="/none")
        self.is_killed = False

    def kill(self) -> None:
        self.is_killed = True


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`read[0]` bytes of the model's five are with its process."""
    now = [0]

    def told(_pid: int, folder: Path) -> int:
        assert folder == Path("/none")
        return now[0]

    monkeypatch.setattr(resources, "read_of", told)
    return now


def test_a_model_that_was_checked_before_is_as_far_as_it_was_read(read: list[int]) -> None:
    loading = Loading(MANIFEST)
    assert (loading.told()["stage"], loading.told()["fraction"]) == ("checking", 0)
    loading.enter("starting")
    assert (loading.told()["stage"], loading.told()["fraction"]) == ("starting", 0)
    loading.started(cast("Child", Dying()))
    read[0] = 2
    assert (loading.told()["stage"], loading.told()["fraction"]) == ("reading", 0.38)
    read[0] = 1  # it let go of what it has copied
    assert loading.told()["fraction"] == 0.38
    read[0] = 500  # other files, too
    assert loading.told()["fraction"] == 0.95
    loading.enter("trying")
    assert (loading.told()["stage"], loading.told()["fraction"]) == ("trying", 0.95)


def test_checking_is_half_of_the_way(read: list[int]) -> None:
    loading = Loading(MANIFEST)
    loading.checked(5)
    assert loading.told()["fraction"] == 0.475
    loading.started(cast("Child", Dying()))
    read[0] = 5
    assert loading.told()["fraction"] == 0.95


def test_a_process_that_can_not_be_looked_at_leaves_the_fraction_where_it_was() -> None:
    loading = Loading(MANIFEST)
    child = Dying()
    child.pid = 2**22 + 1  # no machine has that many
    loading.started(cast("Child", child))
    assert loading.told()["fraction"] == 0


def test_each_step_ends_once_nobody_wants_it() -> None:
    loading, child = Loading(MANIFEST), Dying()
    loading.checked(1)
    loading.cancel()
    with pytest.raises(LoadCancelledError):
        loading.checked(1)
    with pytest.raises(LoadCancelledError):
        loading.enter("starting")
    with pytest.raises(LoadCancelledError):
        loading.started(cast("Child", child))


def test_a_child_that_is_there_is_killed() -> None:
    loading, child = Loading(MANIFEST), Dying()
    loading.started(cast("Child", child))
    loading.cancel()
    assert child.is_killed
    with pytest.raises(LoadCancelledError):
        loading.demand_wanted()
