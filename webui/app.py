"""The application: built once, sealed until the vault is open, the same object before and after."""

import secrets
import time
from collections.abc import Callable, Sequence

import structlog
from flask import Blueprint, Flask, Response, g, redirect, request

from appliance import logs
from appliance.config import Listener
from appliance.errors import SealedError
from appliance.storage import audit_origin
from webui import api, assets, connection, dialects, errors, key_limits, metrics, pages, security
from webui.box import Box

log = logs.get(__name__)

SEALED_PREFIXES = (
    "/static/", "/unlock", "/authority.crt", "/wall", "/api/v1/state", "/api/v1/unlock", "/api/v1/first-setup",
)  # fmt: skip


def create_app(box: Box, static: assets.Assets | None = None, listener: Listener = "main") -> Flask:
    """The Flask application of a box; while the box is sealed it answers 423 and shows the unlock page.

    On a listener for a dialect's clients there are no pages and there is nothing of the box's own API.
    """
    app = Flask("webui", static_folder=None, template_folder="templates")
    app.extensions["hako"] = box
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = True
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    _observe(app)
    security.install(app, box.settings)
    key_limits.install(app, dialects.spoken_below(listener))
    metrics.install(app, box)
    app.before_request(_seal(box, with_pages=listener == "main"))
    _register(app, dialects.blueprints(listener))
    shapes = dialects.error_shapes(listener)
    if listener == "main":
        files = static or assets.Assets()
        files.install(app)
        _register(app, [*api.blueprints(), metrics.api, *pages.blueprints(box, files)])
        errors.install(
            app,
            box.settings,
            {api.PREFIX: errors.problem, metrics.PATH: errors.problem, **shapes},
            pages.error_page(box, files),
        )
    else:
        errors.install(app, box.settings, shapes)
    return app


def _register(app: Flask, blueprints: Sequence[Blueprint]) -> None:
    for blueprint in blueprints:
        app.register_blueprint(blueprint)


def _seal(box: Box, *, with_pages: bool) -> Callable[[], Response | None]:
    def check() -> Response | None:
        """While sealed: pages lead to the unlock page, everything else is SealedError."""
        if box.is_open or (with_pages and request.path.startswith(SEALED_PREFIXES)):
            return None
        try:
            box.services()
        except SealedError:
            is_page = with_pages and not request.path.startswith(("/api/", "/v1", metrics.PATH))
            if is_page and box.lacks_vault():
                return None if request.path == "/setup" else redirect("/setup", 303)  # type: ignore[return-value]
            if is_page and request.method == "GET":
                return redirect("/unlock", 303)  # type: ignore[return-value]
            raise
        return None

    return check


def _observe(app: Flask) -> None:
    """One log line per request that changes something or fails: the rule, never the address or the query."""

    def begin() -> None:
        g.began = time.perf_counter()
        g.request_id = secrets.token_hex(6)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(process="web", request=g.request_id)
        via: audit_origin.Way = "terminal" if connection.is_unix(request.environ) else "browser"
        audit_origin.note(via, connection.address(request.environ))

    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        quiet = request.method in ("GET", "HEAD") and response.status_code < 400
        (log.debug if quiet else log.info)(
            "request",
            method=request.method,
            rule=request.url_rule.rule if request.url_rule else "",
            status=response.status_code,
            ms=round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000, 1),
        )
        return response

    app.before_request(begin)
    app.after_request(finish)
