"""What roles and ways in may do."""

import pytest

from appliance.accounts.permissions import Permission, Principal
from appliance.accounts.scopes import ModelRights, Scope
from appliance.accounts.users import User
from appliance.errors import ForbiddenError, KeyScopeError

OPERATOR = User("usr_a", "alice", "Alice", "operator", "en", "system", 0.0, disabled=False)
MEMBER = User("usr_b", "bob", "Bob", "member", "ja", "system", 0.0, disabled=False)
OF_KEYS = {Permission.CHAT, Permission.CONVERSATIONS, Permission.BASES_READ, Permission.BASES_WRITE}
MANAGING = {
    Permission.MODELS_MANAGE, Permission.USERS_MANAGE, Permission.BOX_MANAGE, Permission.BUNDLES_TAKE,
    Permission.AUDIT_READ, Permission.MODELS_ALIAS, Permission.MODELS_REMOVE, Permission.WALL_SEE,
    Permission.METRICS_READ,
}  # fmt: skip


def test_an_operator_in_a_browser_may_do_everything() -> None:
    who = Principal.of(OPERATOR, session_id="ses_1")
    assert who.permissions == frozenset(Permission)
    assert (who.user_id, who.name, who.is_operator, who.session_id) == ("usr_a", "alice", True, "ses_1")


def test_a_member_manages_nothing_but_their_own() -> None:
    who = Principal.of(MEMBER)
    assert not who.permissions & MANAGING
    assert who.permissions == frozenset(Permission) - MANAGING
    assert not who.is_operator


def test_a_display_on_the_wall_may_see_the_wall() -> None:
    who = Principal.of_wall("wall_1")
    assert who.permissions == {Permission.WALL_SEE}
    assert (who.user_id, who.is_operator) == (None, False)


@pytest.mark.parametrize("user", [OPERATOR, MEMBER])
def test_a_key_works_with_content_only(user: User) -> None:
    who = Principal.of_key(user, "key_1", Scope())
    assert who.permissions == OF_KEYS
    assert (who.session_id, who.key_id, who.via) == (None, "key_1", "key")


@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        (Scope(may_write=False), {Permission.BASES_WRITE}),
        (Scope(models=frozenset({"talker"})), {Permission.CONVERSATIONS}),
        (Scope(base_ids=frozenset({"base_1"})), {Permission.CONVERSATIONS}),
        (Scope(dialects=frozenset({"openai"}), requests_per_minute=3, expires_at=1.0), set()),
    ],
)
@pytest.mark.parametrize("user", [OPERATOR, MEMBER])
def test_a_scope_takes_rights_away_and_gives_none(user: User, scope: Scope, missing: set[Permission]) -> None:
    who = Principal.of_key(user, "key_1", scope)
    assert who.permissions == OF_KEYS - missing
    for permission in missing:
        with pytest.raises(KeyScopeError):
            who.demand(permission)
    for permission in MANAGING | {Permission.OWN_ACCOUNT}:
        with pytest.raises((ForbiddenError, KeyScopeError)):
            who.demand(permission)


@pytest.mark.parametrize(
    ("rights", "added"),
    [
        ("none", set()),
        ("aliases", {Permission.MODELS_ALIAS}),
        ("remove", {Permission.MODELS_ALIAS, Permission.MODELS_REMOVE}),
    ],
)
def test_a_scope_gives_rights_over_models_to_an_operators_key_only(rights: ModelRights, added: set[Permission]) -> None:
    scope = Scope(model_rights=rights)
    assert Scope.from_stored(scope.stored(), None) == scope
    who = Principal.of_key(OPERATOR, "key_1", scope)
    assert who.permissions == OF_KEYS | added
    for permission in {Permission.MODELS_ALIAS, Permission.MODELS_REMOVE} - added:
        with pytest.raises(KeyScopeError):
            who.demand(permission)
    members = Principal.of_key(MEMBER, "key_1", scope)
    assert members.permissions == OF_KEYS
    with pytest.raises(ForbiddenError) as refused:
        members.demand(Permission.MODELS_ALIAS)
    assert not isinstance(refused.value, KeyScopeError)


def test_a_key_for_metrics_does_nothing_else_and_is_worth_nothing_to_a_member() -> None:
    scope = Scope(only_metrics=True, model_rights="remove")
    assert Scope.from_stored(scope.stored(), None) == scope
    assert Principal.of_key(OPERATOR, "key_1", scope).permissions == {Permission.METRICS_READ}
    assert Principal.of_key(MEMBER, "key_1", scope).permissions == frozenset()


def test_a_scope_names_models_and_bases_and_an_empty_one_names_all() -> None:
    who = Principal.of_key(MEMBER, "key_1", Scope(models=frozenset({"talker"}), base_ids=frozenset({"base_1"})))
    assert (who.may_use_model("talker"), who.may_use_model("other")) == (True, False)
    assert (who.may_read_base("base_1"), who.may_read_base("base_2")) == (True, False)
    for whole in (Principal.of_key(MEMBER, "key_1", Scope()), Principal.of(MEMBER), Principal.system_operator()):
        assert whole.may_use_model("other")
        assert whole.may_read_base("base_2")


def test_the_admin_socket_is_the_operator_without_an_account() -> None:
    who = Principal.system_operator()
    assert (who.user_id, who.name, who.via, who.is_operator) == (None, "operator", "socket", True)
    assert who.permissions == frozenset(Permission)
