"""One application for each port of the box: everything at its own, one dialect's addresses where its clients look."""

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from webui import connection
from webui.app import create_app
from webui.box import Box


def application(box: Box) -> WSGIApplication:
    """All of them behind one door: a request is for the one whose port it came in by, whatever it says of itself."""
    main = create_app(box)
    others = {
        port: create_app(box, listener=listener)
        for listener, port in box.settings.web.ports.items()
        if listener != "main"
    }

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return others.get(connection.port(environ) or 0, main)(environ, start_response)

    return answer
