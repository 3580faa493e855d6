"""What roles and ways in may do."""

import pytest

from appliance.accounts.permissions import Permission, Principal
from appliance.accounts.users import User

OPERATOR = User("usr_a", "alice", "Alice", "operator", "en", "system", 0.0, disabled=False)
MEMBER = User("usr_b", "bob", "Bob", "member", "ja", "system", 0.0, disabled=False)
MANAGING = {Permission.MODELS_MANAGE, Permission.USERS_MANAGE, Permission.BOX_MANAGE}


def test_an_operator_in_a_browser_may_do_everything() -> None:
    who = Principal.of(OPERATOR, via="session", session_id="ses_1")
    assert who.permissions == frozenset(Permission)
    assert (who.user_id, who.name, who.is_operator, who.session_id) == ("usr_a", "alice", True, "ses_1")


def test_a_member_manages_nothing_but_their_own() -> None:
    who = Principal.of(MEMBER, via="session")
    assert not who.permissions & MANAGING
    assert who.permissions == frozenset(Permission) - MANAGING
    assert not who.is_operator


@pytest.mark.parametrize("user", [OPERATOR, MEMBER])
def test_a_key_works_with_content_only(user: User) -> None:
    who = Principal.of(user, via="key")
    assert who.permissions == {Permission.CHAT, Permission.BASES_READ, Permission.BASES_WRITE}
    assert who.session_id is None


def test_the_admin_socket_is_the_operator_without_an_account() -> None:
    who = Principal.system_operator()
    assert (who.user_id, who.name, who.via, who.is_operator) == (None, "operator", "socket", True)
    assert who.permissions == frozenset(Permission)
