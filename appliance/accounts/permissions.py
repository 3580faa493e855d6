"""What somebody may do: permissions, the two roles, and the Principal that every request acts as."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Self

from appliance.accounts.users import Role, User

__all__ = ["Permission", "Principal", "Role", "Via"]

Via = Literal["session", "key", "socket"]


class Permission(StrEnum):
    """One right that a route can demand."""

    CHAT = "chat"
    OWN_ACCOUNT = "own-account"
    BASES_READ = "bases-read"
    BASES_WRITE = "bases-write"
    MODELS_MANAGE = "models-manage"
    USERS_MANAGE = "users-manage"
    BOX_MANAGE = "box-manage"


_OF_ROLE: Final[dict[Role, frozenset[Permission]]] = {
    "operator": frozenset(Permission),
    "member": frozenset(
        {Permission.CHAT, Permission.OWN_ACCOUNT, Permission.BASES_READ, Permission.BASES_WRITE},
    ),
}
_OF_KEY: Final = frozenset({Permission.CHAT, Permission.BASES_READ, Permission.BASES_WRITE})


@dataclass(frozen=True)
class Principal:
    """Who acts. `user_id` is None for the operator on the admin socket, who is nobody's account."""

    user_id: str | None
    name: str
    role: Role
    via: Via
    permissions: frozenset[Permission]
    session_id: str | None = None

    @classmethod
    def of(cls, user: User, *, via: Via, session_id: str | None = None) -> Self:
        """A person; an API key never manages an account or the box, whoever owns it."""
        permissions = _OF_ROLE[user.role]
        if via == "key":
            permissions &= _OF_KEY
        return cls(user.id, user.name, user.role, via, permissions, session_id)

    @classmethod
    def system_operator(cls) -> Self:
        """The owner of the box's own account, or root, on the admin socket."""
        return cls(None, "operator", "operator", "socket", frozenset(Permission))

    def may_use_model(self, _model: str) -> bool:
        """Whether requests of this one may name the model; by its id, not an alias."""
        return True

    @property
    def is_operator(self) -> bool:
        """Whether this is somebody who runs the box."""
        return self.role == "operator"
