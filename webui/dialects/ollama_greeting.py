"""What clients look for at Ollama's own port before they ask anything: a plain word that somebody is there."""

from flask import Blueprint, Response

from webui import routing

api = Blueprint("greeting", __name__)


@routing.route(api, "GET", "/", permission=routing.PUBLIC)
def greet() -> Response:
    return Response("Hako is running", content_type="text/plain; charset=utf-8")
