"""`/unlock`: opens the vault for programs, e.g. `hako unlock`; people use the page."""

from flask import Blueprint, request
from pydantic import SecretStr

from webui import connection, routing, shapes

api = Blueprint("vault", __name__)


class Secret(shapes.Shape):
    """One of the two."""

    passphrase: SecretStr = SecretStr("")
    recovery_key: SecretStr = SecretStr("")


@routing.route(api, "POST", "/unlock", permission=routing.PUBLIC, body=Secret)
def open_vault(secret: Secret) -> None:
    asker = connection.asker(request.environ)
    routing.box().unlock(secret.passphrase.get_secret_value(), secret.recovery_key.get_secret_value(), asker)
