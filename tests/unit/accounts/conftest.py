"""What the tests of accounts share: cheap password hashes, a clock to turn, the cast."""

import pytest
from argon2 import PasswordHasher

from appliance import clock
from appliance.accounts.users import User, Users
from appliance.storage.database import Database

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "tealeaves under the bridge"


class Clock:
    """The time that records get; tests turn it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25

    def turn(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(clock, "now", lambda: turned.now)
    return turned


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database, CHEAP)


@pytest.fixture
def alice(users: Users) -> User:
    """The operator."""
    return users.create("alice", "Alice", "operator", PASSWORD, "en")


@pytest.fixture
def bob(users: Users) -> User:
    return users.create("bob", "ボブ", "member", PASSWORD, "ja")
