"""What somebody may do: permissions, the two roles, a key's scope, and the Principal that every request acts as."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Self

from appliance.accounts.scopes import WHOLE, ModelRights, Scope
from appliance.accounts.users import Role, User
from appliance.errors import ForbiddenError, KeyScopeError

__all__ = ["Permission", "Principal", "Role", "Via"]

Via = Literal["session", "key", "socket", "wall"]


class Permission(StrEnum):
    """One right that a route can demand."""

    CHAT = "chat"
    CONVERSATIONS = "conversations"
    OWN_ACCOUNT = "own-account"
    BASES_READ = "bases-read"
    BASES_WRITE = "bases-write"
    WEB_READ = "web-read"
    MODELS_ALIAS = "models-alias"
    MODELS_REMOVE = "models-remove"
    MODELS_MANAGE = "models-manage"
    USERS_MANAGE = "users-manage"
    BOX_MANAGE = "box-manage"
    BUNDLES_TAKE = "bundles-take"
    AUDIT_READ = "audit-read"
    WALL_SEE = "wall-see"
    METRICS_READ = "metrics-read"


_OF_ROLE: Final[dict[Role, frozenset[Permission]]] = {
    "operator": frozenset(Permission),
    "member": frozenset(
        {
            Permission.CHAT,
            Permission.CONVERSATIONS,
            Permission.OWN_ACCOUNT,
            Permission.BASES_READ,
            Permission.BASES_WRITE,
            Permission.WEB_READ,
        },
    ),
}
_OF_KEY: Final = frozenset(
    {Permission.CHAT, Permission.CONVERSATIONS, Permission.BASES_READ, Permission.BASES_WRITE},
)
_OF_KEY_RIGHTS: Final[dict[ModelRights, frozenset[Permission]]] = {
    "none": frozenset(),
    "aliases": frozenset({Permission.MODELS_ALIAS}),
    "remove": frozenset({Permission.MODELS_ALIAS, Permission.MODELS_REMOVE}),
}
"""What a scope can add, for a key whose owner may do it."""


@dataclass(frozen=True)
class Principal:
    """Who acts. `user_id` is None for the admin socket's operator and for a wall display: nobody's accounts."""

    user_id: str | None
    name: str
    role: Role
    via: Via
    permissions: frozenset[Permission]
    session_id: str | None = None
    key_id: str | None = None
    scope: Scope = WHOLE
    """The whole one for everybody but keys."""

    @classmethod
    def of(cls, user: User, *, session_id: str | None = None) -> Self:
        """A person in a browser."""
        return cls(user.id, user.name, user.role, "session", _OF_ROLE[user.role], session_id)

    @classmethod
    def of_key(cls, user: User, key_id: str, scope: Scope) -> Self:
        """A program within the scope of its key, which never manages an account or the box, whoever owns it."""
        if scope.only_metrics:
            own = _OF_ROLE[user.role] & {Permission.METRICS_READ}
            return cls(user.id, user.name, user.role, "key", own, key_id=key_id, scope=scope)
        permissions = _OF_ROLE[user.role] & (_OF_KEY | _OF_KEY_RIGHTS[scope.model_rights])
        if not scope.may_write:
            permissions -= {Permission.BASES_WRITE}
        if not scope.has_conversations:
            permissions -= {Permission.CONVERSATIONS}
        return cls(user.id, user.name, user.role, "key", permissions, key_id=key_id, scope=scope)

    @classmethod
    def system_operator(cls) -> Self:
        """The owner of the box's own account, or root, on the admin socket."""
        return cls(None, "operator", "operator", "socket", frozenset(Permission))

    @classmethod
    def of_wall(cls, link_id: str) -> Self:
        """A display that was opened by a wall link: it sees how the box is, and nothing else."""
        return cls(None, link_id, "member", "wall", frozenset({Permission.WALL_SEE}))

    def may_use_model(self, model_id: str) -> bool:
        """Whether requests of this one may name the model; by its id, not an alias."""
        return self.scope.has_model(model_id)

    def may_read_base(self, base_id: str) -> bool:
        """Whether a base is within the scope; whether the person may read it, the base itself says."""
        return self.scope.has_base(base_id)

    def demand(self, permission: Permission) -> None:
        """Refuse what this one may not do.

        Raises:
            ForbiddenError: without the permission.
            KeyScopeError: a key whose scope was made without it.
        """
        if permission in self.permissions:
            return
        of_keys = _OF_KEY | _OF_KEY_RIGHTS["remove"] | {Permission.METRICS_READ}
        if self.via == "key" and permission in _OF_ROLE[self.role] & of_keys:
            raise KeyScopeError(permission)
        raise ForbiddenError(permission)

    @property
    def is_operator(self) -> bool:
        """Whether this is somebody who runs the box."""
        return self.role == "operator"
