"""Pages rendered on the server: what must work before or without the front end."""

from collections.abc import Callable

from flask import Blueprint, Response

from appliance.errors import HakoError
from webui.assets import Assets
from webui.box import Box
from webui.pages import network, printed, setup, shell, sign_in, unlock, wall
from webui.pages.frame import Frame


def blueprints(box: Box, assets: Assets) -> list[Blueprint]:
    """All pages; the shell last, since it takes every address that is left."""
    frame = Frame(box, assets)
    before = [page.blueprint(frame) for page in (setup, network, sign_in, unlock, printed, wall)]
    return [*before, shell.blueprint(frame)]


def error_page(box: Box, assets: Assets) -> Callable[[HakoError, int], Response]:
    """What draws an error for a person: what happened, what is safe, what next."""
    frame = Frame(box, assets)

    def draw(error: HakoError, status: int) -> Response:
        return frame.page("error.html", status=status, error=error)

    return draw
