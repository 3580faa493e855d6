"""The machines that an operator named, for further models or for alerts: what is kept of each, the list on the disk."""

import hashlib
import re
import ssl
import threading
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from appliance import durable, logs
from appliance.errors import (
    AlertsNamedError,
    BadInputError,
    ConflictError,
    DestinationsDamagedError,
    HakoError,
    NotFoundError,
)
from appliance.gateway import addresses
from appliance.gateway.addresses import Place

log = logs.get(__name__)

_MOST: Final = 20
_LONGEST_FILE: Final = 4 << 20
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
FarName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]*(/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*$", max_length=120)
]
FarKind = Literal["chat", "embedding"]
DestinationKind = Literal["models", "alerts"]
"""What it is named for: it offers models, or is told what is wrong with the box."""


class FarModel(BaseModel):
    """A model that a destination offers, under the name that it has there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FarName
    kind: FarKind = "chat"
    context: int = Field(4096, ge=256, le=10_000_000)
    """Tokens that it holds there, as the operator says."""


class Destination(BaseModel):
    """A server that speaks OpenAI's API, or takes alerts by POST. Only its address is ever connected to; its name is
    never looked up again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: DestinationKind = "models"
    url: str
    address: str
    """The IP address that belonged to the host when it was named."""
    private: bool = False
    """Named on purpose although it is this machine or in its own network."""
    open_gap: bool = False
    """Named on purpose although it is outside of any private network."""
    ca: Annotated[str, StringConstraints(max_length=100_000)] = ""
    """PEM of the authority that the server's certificate must come from; the system's ones when empty."""
    fingerprint: str = ""
    """SHA-256 of the server's certificate, hexadecimal; then nothing else of it is looked at."""
    at_once: int = Field(8, ge=1, le=256)
    """Calls at the same time; more are told that it is busy."""
    models: tuple[FarModel, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _check(self) -> "Destination":
        place = addresses.parse_url(self.url)
        address = addresses.parse_address(self.address)
        if str(address) != self.address:
            raise BadInputError("address", field="address")
        if _literal(place.host) not in (None, self.address):
            raise BadInputError("another address than the URL's", field="address")
        addresses.demand_allowed(address, private=self.private, open_gap=self.open_gap)
        if self.fingerprint and not (_FINGERPRINT.fullmatch(self.fingerprint) and place.tls):
            raise BadInputError("fingerprint", field="fingerprint")
        if self.ca and not (place.tls and _is_ca(self.ca)):
            raise BadInputError("ca", field="ca")
        if len({model.name for model in self.models}) != len(self.models):
            raise BadInputError("a model twice", field="models")
        if self.kind == "alerts" and self.models:
            raise BadInputError("models of a receiver", field="models")
        return self

    @property
    def place(self) -> Place:
        """The parts of its URL."""
        return addresses.parse_url(self.url)

    @property
    def hook(self) -> str:
        """The path that alerts are posted to, as it was named."""
        return urlsplit(self.url).path or "/"

    def identifies(self, certificate: bytes) -> bool:
        """Whether the pinned fingerprint is that of `certificate`, in DER."""
        return hashlib.sha256(certificate).hexdigest() == self.fingerprint


def pinned(url: str, address: str | None) -> str:
    """The address to pin: the given one, or the URL's own where its host is an address.

    Raises:
        BadInputError: the host is a name, and nobody said where it is. The box looks up no names.
    """
    found = address if address is not None else _literal(addresses.parse_url(url).host)
    if found is None:
        raise BadInputError("a name needs an address", field="address")
    return str(addresses.parse_address(found))


def plain_fingerprint(text: str) -> str:
    """A fingerprint without the colons and capitals that programs print it with."""
    return text.replace(":", "").replace(" ", "").lower()


_FILE: Final = TypeAdapter(tuple[Destination, ...])


class Destinations:
    """A JSON file, read anew on each look, since several processes go by it. It holds no secret."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def all(self) -> dict[str, Destination]:
        """By name, sorted; none at all while the file can't be understood: rather no way out than a wrong one."""
        try:
            return self.known()
        except DestinationsDamagedError as error:
            log.warning("destinations_unreadable", kind=error.detail)
            return {}

    def known(self) -> dict[str, Destination]:
        """By name, sorted, for who shows or changes them.

        Raises:
            DestinationsDamagedError: the file is there and can't be understood; it is left as it is.
        """
        try:
            stored = _FILE.validate_json(self._path.read_bytes()[:_LONGEST_FILE])
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError, HakoError) as error:
            raise DestinationsDamagedError(type(error).__name__, name=self._path.name) from error
        return {destination.name: destination for destination in sorted(stored, key=lambda each: each.name)}

    def get(self, name: str) -> Destination:
        """Raises NotFoundError, DestinationsDamagedError."""
        found = self.known().get(name)
        if found is None:
            raise NotFoundError("destination")
        return found

    def add(self, destination: Destination) -> None:
        """Name one more.

        Raises:
            ConflictError: the name is taken, or there are too many.
            AlertsNamedError: alerts go to another one already.
            DestinationsDamagedError: nobody knows which ones there are, so none is added.
        """
        with self._lock:
            known = self.demand_free(destination.name, destination.kind)
            self._store({**known, destination.name: destination})

    def demand_free(self, name: str, kind: DestinationKind = "models") -> dict[str, Destination]:
        """The ones that there are, if there may be another of that name and kind. Raises as `add`."""
        known = self.known()
        if name in known or len(known) >= _MOST:
            raise ConflictError("taken, or too many", name=name)
        if kind == "alerts" and (other := next((each.name for each in known.values() if each.kind == kind), None)):
            raise AlertsNamedError(name=other)
        return known

    def change(self, destination: Destination) -> None:
        """Put it in the place of the one of its name. Raises NotFoundError, DestinationsDamagedError."""
        with self._lock:
            known = self.known()
            if destination.name not in known:
                raise NotFoundError("destination")
            self._store({**known, destination.name: destination})

    def remove(self, name: str) -> Destination:
        """Forget one. Raises NotFoundError, DestinationsDamagedError."""
        with self._lock:
            known = self.known()
            if name not in known:
                raise NotFoundError("destination")
            gone = known.pop(name)
            self._store(known)
        return gone

    def _store(self, destinations: dict[str, Destination]) -> None:
        """Without what is as it always was: a release before this one knows no kinds, and would use none of them."""
        durable.replace(
            self._path, _FILE.dump_json(tuple(destinations.values()), indent=1, exclude_defaults=True) + b"\n"
        )


def _literal(host: str) -> str | None:
    """The address that a host is; None for a name."""
    try:
        return str(addresses.parse_address(host))
    except BadInputError:
        return None


def _is_ca(pem: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return True
