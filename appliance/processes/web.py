"""The web process: gunicorn with one worker of many threads, on the configured address and on the admin socket."""

import os
import re
import ssl
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication

from appliance import logs, services
from appliance.config import Settings
from appliance.errors import HakoError
from appliance.knowledge import samples
from appliance.processes.server import PatientWorker
from appliance.services import Services
from appliance.vault.client import KeysClient
from webui import listeners, locales
from webui.api.help_pages import FOLDER
from webui.box import Box

log = logs.get(__name__)

_GRACE_S = 3
_HEADER_BYTES = 8190
_WORDS = re.compile(r"[%:='\"{(]")
"""Where gunicorn's own words end: behind come addresses and headers that a client sent, with searches and keys in."""


def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM."""
    _Server(settings, ready).run()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured here instead of by a file. The application is built in the worker, after the fork."""

    def __init__(self, settings: Settings, ready: Callable[[], None]) -> None:
        self._settings = settings
        self._ready = ready
        self._root_pid = os.getppid()
        self._box: Box | None = None
        super().__init__()

    def load_config(self) -> None:
        web = self._settings.web
        self._settings.admin_socket.unlink(missing_ok=True)
        options: dict[str, Any] = {
            "bind": [
                *(f"{_bracketed(web.host)}:{port}" for port in web.ports.values()),
                f"unix:{self._settings.admin_socket}",
            ],
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
            "post_worker_init": lambda _worker: self._ready(),
        }
        if web.tls_certificate and web.tls_key:
            options |= {
                "certfile": str(web.tls_certificate),
                "keyfile": str(web.tls_key),
                "ssl_context": _tls_context,
            }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        os.umask(0o077)
        box = self._box = Box(self._settings, KeysClient(self._settings.keys_socket), build, self._root_pid)
        try:
            box.services()
        except HakoError as error:
            log.info("starts_sealed", code=error.code)
        return listeners.application(box)

    def begin_stop(self) -> None:
        """The worker was told to end: streams close, and what is being written is stored."""
        if self._box is not None:
            self._box.stop()


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
