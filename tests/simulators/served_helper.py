"""A helper that listens at a socket, in a thread, as systemd would have it."""

import socket
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import HelperUnreachableError
from appliance.machine.helper import Helper
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_server import HelperServer
from appliance.machine.helper_shapes import Request


@contextmanager
def serving(path: Path, helper: Helper, allowed: Mapping[int, Collection[str]]) -> Iterator[None]:
    """`allowed`: verbs by account, as for the server."""
    with socket.socket(socket.AF_UNIX) as listening:
        path.parent.mkdir(parents=True, exist_ok=True)
        listening.bind(str(path))
        listening.listen()
        server, ended = HelperServer(listening, helper, allowed), threading.Event()

        def serve() -> None:  # one that ended is started again by the next request
            while not ended.is_set():
                server.serve(0.1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            helper.machine.network.close()  # with a network on trial it would go on
            thread.join(20)
            path.unlink()
            assert not thread.is_alive()


def ask(client: HelperClient, wish: Request) -> dict[str, object]:
    """As soon as the helper listens."""
    until = time.monotonic() + 60
    while True:
        try:
            return client.ask(wish)
        except HelperUnreachableError:
            assert time.monotonic() < until
            time.sleep(0.02)
