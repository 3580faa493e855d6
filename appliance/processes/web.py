"""The web process: gunicorn with one worker of many threads, on the configured address and on the admin socket."""

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

import httpx2
from gunicorn.app.base import BaseApplication

from appliance import logs, modes, services
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.knowledge import samples
from appliance.processes import activation
from appliance.processes.notify import Notifier
from appliance.processes.server import PatientWorker
from appliance.services import Services
from appliance.vault.client import KeysClient
from webui import listeners, locales
from webui.api.help_pages import FOLDER
from webui.box import Box

log = logs.get(__name__)

_GRACE_S = 3
_HEADER_BYTES = 8190
_ANSWER_S = 20.0
"""Within which this process must answer itself."""
_PACE_S = 60.0
_WORDS = re.compile(r"[%:='\"{(]")
"""Where gunicorn's own words end: behind come addresses and headers that a client sent, with searches and keys in."""


def run(settings: Settings, notifier: Notifier) -> None:
    """Serve until SIGTERM, on the sockets that were opened for it or else on those of the settings."""
    _Server(settings, notifier, activation.taken(os.environ)).run()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured here instead of by a file. The application is built in the worker, after the fork."""

    def __init__(self, settings: Settings, notifier: Notifier, given: list[socket.socket]) -> None:
        self._settings = settings
        self._notifier = notifier
        self._given = given
        self._root_pid = os.getppid()
        self._box: Box | None = None
        super().__init__()

    def load_config(self) -> None:
        web = self._settings.web
        options: dict[str, Any] = {
            "bind": self._binds(),
            "workers": 1,
            "worker_class": PatientWorker,
            "threads": web.threads,
            "umask": 0o177,  # the admin socket; files of the box are made with modes of their own
            "timeout": 120,
            "graceful_timeout": _GRACE_S,
            "keepalive": 15,
            "limit_request_field_size": _HEADER_BYTES,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - only gunicorn's heartbeat, an unlinked file
            "control_socket_disable": True,
            "forwarded_allow_ips": "",  # nobody stands in front, so nobody may say who is asking
            "sendfile": False,  # it would wait for ever for a client that doesn't read
            "proc_name": "hako-web",
            "loglevel": "warning",
            "accesslog": None,
            "errorlog": "-",
            "logger_class": _Logger,
            "post_worker_init": lambda _worker: self._begun(),
        }
        if web.tls_certificate and web.tls_key:
            options |= {
                "certfile": str(web.tls_certificate),
                "keyfile": str(web.tls_key),
                "ssl_context": _tls_context,
            }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _binds(self) -> list[str]:
        """Opened ones are all that gunicorn looks at where there are any, so that the admin socket is opened, too."""
        web, admin = self._settings.web, self._settings.admin_socket
        if self._given:
            admin.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return [f"fd://{each.detach()}" for each in [*self._given, activation.unix(admin, 0o600)]]
        admin.unlink(missing_ok=True)
        return [*(f"{_bracketed(web.host)}:{port}" for port in web.ports.values()), f"unix:{admin}"]

    def _begun(self) -> None:
        self._notifier.ready()
        self._notifier.watch(lambda: _answers(self._settings))

    def load(self) -> WSGIApplication:
        os.umask(modes.umask())
        box = self._box = Box(self._settings, KeysClient(self._settings.keys_socket), build, self._root_pid)
        try:
            box.services()
        except HakoError as error:
            log.info("starts_sealed", code=error.code)
        threading.Thread(target=_note_pace, args=(box,), name="pace", daemon=True).start()
        return listeners.application(box)

    def begin_stop(self) -> None:
        """The worker was told to end: streams close, and what is being written is stored."""
        if self._box is not None:
            self._box.stop()


def _note_pace(box: Box) -> None:
    """Keep how fast answers were written, by the minute: only this process passes them on."""
    while not box.stopping.wait(_PACE_S):
        try:
            if box.is_open:
                box.services().health.note_pace()
        except HakoError as error:  # e.g. a full disk
            log.warning("pace_not_kept", code=error.code)


def _answers(settings: Settings) -> bool:
    """Whether this process does, through its loop and one of its threads. What it says doesn't matter."""
    transport = httpx2.HTTPTransport(uds=str(settings.admin_socket), verify=False)
    scheme = "https" if settings.web.tls_certificate else "http"
    try:
        with httpx2.Client(transport=transport, timeout=_ANSWER_S) as client:
            client.get(f"{scheme}://localhost/api/v1/state")
    except httpx2.HTTPError:
        return False
    return True


def build(settings: Settings, keys: KeysClient) -> Services:
    """The services, with the sample base loaded once in development."""
    built = services.build(settings, keys, _say)
    if settings.development and settings.samples:
        samples.load(built.database, built.bases, built.documents, FOLDER, locales.t("docs.sample_base", "ja"))
    return built


def _say(language: str, key: str) -> str:
    return locales.t(key, locales.choose(language))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls_context(_config: object, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Logger:
    """gunicorn's messages as records of ours; it logs no requests, the application does."""

    def __init__(self, _config: object) -> None:
        self._log = logs.get("gunicorn")

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name in ("critical", "error", "warning", "exception"):
            return self._say(name)
        return lambda *_args, **_more: None

    def _say(self, level: str) -> Callable[..., None]:
        write = getattr(self._log, "error" if level == "critical" else level)

        def say(message: object, *values: object, **_more: object) -> None:
            numbers = [value for value in values if isinstance(value, int)]
            write("gunicorn", said=_WORDS.split(str(message), maxsplit=1)[0].strip(), numbers=numbers)

        return say
