"""What the report holds: each part with what was seen, how it stands, or why nothing could be seen."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["ok", "warning", "error", "unknown"]
"""ok: as it should be. warning: a layer of the proof is missing, or a way out is open on purpose. error: something
can leave, or has. unknown: not seen, and `why` says why."""
Why = Literal[
    "",
    "no-right",
    "no-tool",
    "no-file",
    "no-look",
    "stale",
    "not-asked",
    "not-tried",
    "not-everywhere",
    "no-units",
    "container",
    "no-answer",
    "unreadable",
]
Network = Literal["", "own", "filtered", "machine"]

WORST: Final[dict[State, int]] = {"ok": 0, "unknown": 1, "warning": 2, "error": 3}
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Fact(BaseModel):
    """Anything in the report: of a fixed shape, in one language, to be signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(Fact):
    """A part of the report. `about`: what is wrong, as codes that the locales have words for."""

    state: State
    why: Why = ""
    about: tuple[str, ...] = ()


class Counter(Fact):
    """One of the firewall's."""

    name: str
    packets: int
    bytes: int


class Firewall(Part):
    """`digest`: SHA-256 of the rules file, `loaded`: of the rules in force as nftables lists them, without counts."""

    rules: str = ""
    counters: tuple[Counter, ...] = ()
    digest: str = ""
    loaded: str = ""


class Listening(Fact):
    """A socket that waits for somebody."""

    protocol: str
    address: str
    port: int
    process: str = ""


class Outside(Fact):
    """A connection of the machine to another one that it has opened itself."""

    protocol: str
    address: str
    port: int
    process: str = ""


class Sockets(Part):
    listening: tuple[Listening, ...] = ()
    outside: tuple[Outside, ...] = ()


class Route(Fact):
    destination: str
    gateway: str
    interface: str


class Routes(Part):
    routes: tuple[Route, ...] = ()


class Resolvers(Part):
    """`by_service`: names can also be asked of a service of the machine, which then asks others."""

    servers: tuple[str, ...] = ()
    by_service: bool = False


class Named(Fact):
    """A destination that an operator named."""

    name: str
    url: str
    address: str
    models: tuple[str, ...] = ()
    kind: str = "models"
    """Or `alerts`."""


class Destinations(Part):
    """`sent`: calls that went to them since the web process began."""

    named: tuple[Named, ...] = ()
    sent: int = 0


class Unit(Fact):
    """A unit as systemd has it in force; `open` names what of its fence is not closed."""

    name: str
    active: str
    settings: dict[str, str]
    open: tuple[str, ...] = ()


class Units(Part):
    units: tuple[Unit, ...] = ()


class Process(Fact):
    """A process of the box as the kernel shows it.

    `network`: own; the machine's, and its unit's filter lets it reach this machine alone; or the machine's. Empty where
    it can't be seen.
    """

    name: str
    pid: int
    network: Network = ""
    interfaces: tuple[str, ...] = ()
    no_new_privileges: bool | None = None
    seccomp: bool | None = None
    capabilities: str = ""


class Processes(Part):
    processes: tuple[Process, ...] = ()


class Package(Fact):
    """An installed package of Python. `listed`: SHA-256 of its list of files and their digests."""

    name: str
    version: str
    listed: str


class Software(Part):
    """`changed`: files whose content is not what their package's list says."""

    version: str = ""
    release: str = ""
    release_digest: str = ""
    publisher: str = ""
    packages: tuple[Package, ...] = ()
    changed: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 over all packages, so that two boxes can be compared by one line."""


class Model(Fact):
    """`origin`: signed where a bundle with just these files was taken, starter, or brought by an operator.

    `bundle`: digest of that bundle's signed index. `checked`: the files were read anew for this report.
    """

    id: str
    source: str
    files: dict[str, str]
    origin: Literal["signed", "starter", "brought"]
    bundle: str = ""
    checked: bool = False
    damaged: bool = False


class Models(Part):
    models: tuple[Model, ...] = ()


class Record(Part):
    """The record of actions at its newest checkpoint."""

    sound: bool | None = None
    entries: int = 0
    serial: int = 0
    number: int = 0
    checkpoint: str = ""
    at: int = 0


class Clock(Part):
    """`synchronised`: by the kernel's word; a box without a network has no time but its own."""

    now: int
    zone: str = ""
    synchronised: bool | None = None
    released: int = 0


class Browser(Part):
    """What the pages tell a browser about where it may go."""

    policy: str


class Tried(Fact):
    """One try of the self-test; see `machine.leaving`."""

    way: str
    outcome: str
    by: str = ""


class Place(Fact):
    """Where tries were made, and how it ended there."""

    name: str
    state: State
    why: str = ""
    tries: tuple[Tried, ...] = ()


class Test(Part):
    """The last self-test."""

    __test__ = False

    at: int = 0
    places: tuple[Place, ...] = ()


def worst(states: list[State]) -> State:
    """Of several; ok of none."""
    return max(states, key=lambda state: WORST[state], default="ok")


def reason(error: OSError) -> Why:
    """Why something couldn't be seen."""
    if isinstance(error, PermissionError):
        return "no-right"
    return "no-file" if isinstance(error, FileNotFoundError) else "unreadable"
