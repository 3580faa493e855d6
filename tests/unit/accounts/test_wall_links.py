"""Links of wall displays: the secret is kept nowhere, a revoked one opens nothing, and there are not too many."""

import pytest

from appliance import clock
from appliance.accounts.wall_links import MAX_LINKS, WallLinks
from appliance.errors import ConflictError, NotFoundError, NotSignedInError
from appliance.storage.database import Database

KEY = bytes(range(32))


@pytest.fixture
def links(database: Database) -> WallLinks:
    return WallLinks(database, KEY)


def test_a_link_is_known_by_its_secret_which_is_stored_nowhere(links: WallLinks, database: Database) -> None:
    made, secret = links.create("Entrance")
    assert (len(secret), secret.isalnum()) == (32, True)
    assert links.resolve(secret).id == made.id
    with database.read() as connection:
        assert secret not in repr(connection.execute("select * from wall_links").fetchall())
    for wrong in ("", secret[:-1], secret.upper(), secret + "a"):
        with pytest.raises(NotSignedInError):
            links.resolve(wrong)


def test_the_digest_of_another_box_or_of_a_session_is_worth_nothing(links: WallLinks, database: Database) -> None:
    _made, secret = links.create("Entrance")
    with pytest.raises(NotSignedInError):
        WallLinks(database, bytes(32)).resolve(secret)


def test_a_revoked_link_opens_nothing(links: WallLinks) -> None:
    made, secret = links.create("Entrance")
    other, _ = links.create("Office")
    assert links.revoke(made.id).name == "Entrance"
    with pytest.raises(NotSignedInError):
        links.resolve(secret)
    with pytest.raises(NotFoundError):
        links.revoke(made.id)
    assert [link.id for link in links.list()] == [other.id]


def test_operators_see_when_a_display_asked_last(links: WallLinks, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    _made, secret = links.create("Entrance")
    assert links.list()[0].seen_at is None
    links.resolve(secret)
    now += 59
    links.resolve(secret)
    assert links.list()[0].seen_at == now - 59
    now += 1
    links.resolve(secret)
    assert links.list()[0].seen_at == now


def test_there_are_no_more_than_anybody_needs(links: WallLinks) -> None:
    for number in range(MAX_LINKS):
        links.create(f"Wall {number}")
    with pytest.raises(ConflictError):
        links.create("One more")
