"""The web process's server around a small application: `python -m tests.simulators.small_server '{"threads": 4, …}'`.

Settings: `threads`, `patience` (constants of `processes.server` by name), `tls` (folder with cert.pem and key.pem),
`socket` (path of one beside the port).
Prints the port once it answers, and `stopping` when it is told to end.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from gunicorn.app.base import BaseApplication

from appliance.processes import server

STOPPING = threading.Event()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """`/` says ok; `/read` reads the body and says how much came; `/large` gives 16 MiB; `/stream` ends on stopping."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream()
    if path == "/large":
        size = 16 << 20
        start_response("200 OK", [("Content-Length", str(size))])
        return [b"x" * size]
    body = b"ok"
    if path == "/read":
        try:
            body = str(len(environ["wsgi.input"].read())).encode()
        except OSError:
            body = b"cut"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def stream() -> Iterator[bytes]:
    while not STOPPING.wait(0.05):
        yield b"."
    yield b"end"


class Application(BaseApplication):  # type: ignore[misc]
    """Configured as the web process is."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": ["127.0.0.1:0", f"unix:{self._settings['socket']}"],
            "worker_class": server.PatientWorker, "threads": self._settings["threads"],
            "graceful_timeout": 5, "keepalive": 15, "control_socket_disable": True, "loglevel": "critical",
            "sendfile": False, "forwarded_allow_ips": "", "worker_tmp_dir": "/dev/shm", "post_worker_init": told,
        }  # fmt: skip
        if tls := self._settings.get("tls"):
            options |= {"certfile": f"{tls}/cert.pem", "keyfile": f"{tls}/key.pem"}
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return application

    def begin_stop(self) -> None:
        print("stopping", flush=True)
        time.sleep(0.1)
        STOPPING.set()


def told(worker: Any) -> None:
    print(worker.sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    for name, value in given.get("patience", {}).items():
        setattr(server, name, value)
    Application(given).run()
