"""Settings: one TOML file, read once, frozen; and the paths that follow from it."""

import hashlib
import os
import tempfile
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance.errors import ConfigError

_LONGEST_RUN_DIR = 84
"""Leaves room for the longest name of a socket in it."""

REPOSITORY = Path(__file__).resolve().parent.parent

Account = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_-]{0,30})?$")]

Listener = Literal["main", "ollama", "lmstudio"]
"""Where a request can come in: at the box's own port, or at one where only the clients of a dialect look."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Web(_Section):
    """Where the pages and the API listen."""

    host: str = "127.0.0.1"
    port: int = Field(4256, ge=0, le=65535)
    ollama_port: int | None = Field(None, ge=1, le=65535)
    """For programs that look for Ollama at its own port, 11434; on the same host and with the same TLS as `port`."""
    lmstudio_port: int | None = Field(None, ge=1, le=65535)
    """The same for LM Studio and its 1234."""
    threads: int = Field(48, ge=4, le=512)
    max_streams: int = Field(32, ge=1, le=256)
    """Event streams at once; below `threads`, so that ordinary requests always find a thread."""
    names: tuple[str, ...] = ()
    """Host names under which the box is reached, beside its own; others are refused (DNS rebinding)."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @property
    def ports(self) -> dict[Listener, int]:
        """Every port to listen on."""
        wished: dict[Listener, int | None] = {
            "main": self.port,
            "ollama": self.ollama_port,
            "lmstudio": self.lmstudio_port,
        }
        return {listener: port for listener, port in wished.items() if port is not None}

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the pages."""
        scheme = "https" if self.tls_certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


class Limits(_Section):
    """What one person may send in one go."""

    upload_mb: int = Field(200, ge=1)
    pages: int = Field(5000, ge=1)
    text_mb: int = Field(50, ge=1)
    """Extracted text of one document."""
    parse_seconds: int = Field(120, ge=5)
    parse_memory_mb: int = Field(2048, ge=256)
    body_mb: int = Field(16, ge=1)
    """Any request body that is not an upload."""


class Inference(_Section):
    """How models are run."""

    chat_model: str = "smollm2-135m-instruct"
    embedding_model: str = "multilingual-e5-small"
    reranker_model: str = ""
    """Reads what a search has found once more, and puts it in order; none when empty."""
    threads: int | None = None
    """Compute threads per model; cores − 1 when unset."""
    parallel: int = Field(2, ge=1, le=64)
    """Answers at once per chat model."""
    context_tokens: int = Field(4096, ge=512)
    """Context of one answer."""
    child_memory_mb: int = Field(6144, ge=512)
    """What a model's process may take beside the model's own size; its address space may be twice that."""
    idle_minutes: float = Field(0, ge=0)
    """A model that nobody has asked for in so long is unloaded; 0 for never."""
    max_tokens: int = Field(0, ge=0)
    """Tokens of one answer, whatever a person or program asks for; 0 for as many as there is room."""
    max_top_logprobs: int = Field(20, ge=0, le=20)
    """Alternatives for each token that may be asked for."""
    provider: Literal["auto", "cpu", "cuda"] = "auto"
    kv_slots_mb: int = Field(256, ge=0)
    """Memory for what models have computed of long system prompts, so that a restart doesn't lose it; 0 for none."""


class Storage(_Section):
    """Where files come from that somebody brings to the machine."""

    media: tuple[Path, ...] = (Path("/media"), Path("/run/media"), Path("/mnt"))
    """Folders below which sticks appear, or an operator puts model files; operators see those in their browser."""

    @model_validator(mode="after")
    def _check(self) -> "Storage":
        if not all(folder.is_absolute() and ".." not in folder.parts for folder in self.media):
            raise ValueError("media: every folder as a whole path, from /")
        return self


class Backup(_Section):
    """When the box backs itself up without being asked."""

    folder: Path | None = None
    """Where to: a mounted stick or another disk."""
    hours: int = Field(0, ge=0, le=24 * 366)
    """So long after the last one; 0 for never."""
    keep: int = Field(14, ge=0)
    """How many of the latest stay in that folder; 0 for all."""

    @model_validator(mode="after")
    def _check(self) -> "Backup":
        if self.folder is not None and (not self.folder.is_absolute() or ".." in self.folder.parts):
            raise ValueError("folder: as a whole path, from /")
        if self.hours and self.folder is None:
            raise ValueError("hours: needs a folder")
        return self


class Accounts(_Section):
    """The accounts of the box's processes, by name; none where all of them run as whoever has started them."""

    keys: Account = ""
    web: Account = ""
    worker: Account = ""
    inference: Account = ""
    egress: Account = ""
    health: Account = ""

    @property
    def are_separate(self) -> bool:
        """Whether each process has an account of its own."""
        return bool(self.keys)

    @model_validator(mode="after")
    def _check(self) -> "Accounts":
        named = [name for name in self.model_dump().values() if name]
        wanted = len(type(self).model_fields) - (not self.health)  # a box that was set up before there was one
        if named and (len(set(named)) < wanted or "root" in named):
            raise ValueError("accounts: none, or one for each process, none of them root's")
        return self


class Settings(_Section):
    """The whole box. Paths are absolute after loading."""

    data_dir: Path
    name: str = "Hako"
    """What the box is called on its pages."""
    organisation: str = ""
    language: Literal["ja", "en"] = "ja"
    development: bool = False
    """Loopback only, passphrase in a file, sample base loaded."""
    samples: bool = True
    """Load the manual as a sample base, once; in development only."""
    container: bool = False
    """The box is in a container: machine, firewall and updates are its host's."""
    cipher: Literal["aegis", "sqlcipher"] = "aegis"
    web: Web = Web()
    limits: Limits = Limits()
    inference: Inference = Inference()
    storage: Storage = Storage()
    backup: Backup = Backup()
    accounts: Accounts = Accounts()
    models_dir: Path | None = None
    releases_dir: Path | None = None
    sockets_dir: Path | None = None
    """Where each process has a folder of its own for its sockets; needed where each has an account of its own."""

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if not _is_loopback(self.web.host) and not (self.web.tls_certificate and self.web.tls_key):
            raise ValueError("web.host: an address other than loopback needs tls_certificate and tls_key")
        if self.web.max_streams >= self.web.threads:
            raise ValueError("web.max_streams must be below web.threads")
        if len(set(self.web.ports.values())) < len(self.web.ports):
            raise ValueError("web.ollama_port and web.lmstudio_port need ports of their own")
        if self.accounts.are_separate and self.sockets_dir is None:
            raise ValueError("sockets_dir: needed where the processes have accounts of their own")
        return self

    @property
    def run_dir(self) -> Path:
        """Sockets. Their paths must stay under 108 bytes, so a deep data folder has them in a short one of its own."""
        own = self.data_dir / "run"
        if len(os.fsencode(own)) <= _LONGEST_RUN_DIR:
            return own
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"hako-{os.geteuid()}-{name}"

    @property
    def shared(self) -> Path:
        """What processes without keys read, too."""
        return self.data_dir / "shared" if self.accounts.are_separate else self.data_dir

    @property
    def database(self) -> Path:
        return self.data_dir / "hako.db"

    @property
    def blobs_dir(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def vault_file(self) -> Path:
        return self.data_dir / "vault.json"

    @property
    def passphrase_file(self) -> Path:
        """Development only: the passphrase, mode 600."""
        return self.data_dir / "dev-passphrase"

    @property
    def models(self) -> Path:
        return self.models_dir or self.data_dir / "models"

    @property
    def golden(self) -> Path:
        """A folder for each model, with what it once answered here; models that are only read have it elsewhere."""
        return self.data_dir / "golden" if self.accounts.are_separate else self.models

    @property
    def releases(self) -> Path:
        """Releases of the box that came in bundles; `bundle.update.state` finds it by itself."""
        return self.releases_dir or self.data_dir / "releases"

    @property
    def model_aliases(self) -> Path:
        """Other names for models, as programs call them."""
        return self.data_dir / "model-aliases.json"

    @property
    def model_settings(self) -> Path:
        """How each model is to be loaded, where that differs from the settings of the box."""
        return self.shared / "model-settings.json"

    @property
    def model_defaults(self) -> Path:
        """Which models an operator chose for the box to rely on, in place of those of the settings."""
        return self.shared / "model-defaults.json"

    @property
    def model_figures(self) -> Path:
        """What each model does on this box, as it was measured; who runs them reads whether guessing pays."""
        return self.shared / "model-figures.json"

    @property
    def trust(self) -> Path:
        """What the box has learned of its publishers."""
        return self.data_dir / "trust"

    @property
    def destinations(self) -> Path:
        """Other machines whose models the operator lets the box use."""
        return self.shared / "destinations.json"

    @property
    def audit_checkpoints(self) -> Path:
        """What the audit log was at its checkpoints, signed; outside of the database, so an older one is noticed."""
        return self.data_dir / "audit" / "checkpoints"

    @property
    def egress_socket(self) -> Path:
        return self._sockets("egress") / "egress.sock"

    @property
    def keys_socket(self) -> Path:
        return self._sockets("keys") / "keys.sock"

    @property
    def inference_socket(self) -> Path:
        return self._sockets("inference") / "inference.sock"

    @property
    def admin_socket(self) -> Path:
        return self._sockets("web") / "admin.sock"

    @property
    def health_file(self) -> Path:
        """What the health process has seen of the machine."""
        return self._sockets("health") / "health.json"

    @property
    def health_socket(self) -> Path:
        """Who connects to it wants the machine looked at now."""
        return self._sockets("health") / "health.sock"

    @property
    def helper_socket(self) -> Path:
        return self._sockets("helper") / "helper.sock"

    def _sockets(self, process: str) -> Path:
        return self.sockets_dir / process if self.sockets_dir else self.run_dir


def is_address(name: str) -> bool:
    """Whether it is an IP address, as people write it."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def load(path: Path | None = None, data_dir: Path | None = None) -> Settings:
    """Read `path`, or `hako.toml` in the data folder, or the defaults.

    Raises:
        ConfigError: unreadable file, unknown or impossible setting; `name` says which.
    """
    folder = (data_dir or Path("var")).absolute()
    source = path or folder / "hako.toml"
    values: dict[str, object] = {}
    if path or source.exists():
        try:
            values = tomllib.loads(source.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{source}: {error}", name=str(source)) from error
    if data_dir or "data_dir" not in values:
        values["data_dir"] = folder
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or str(source)
        raise ConfigError(f"{place}: {first['msg']}", name=place) from error
    return settings
