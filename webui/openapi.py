"""The OpenAPI document of an application, made from what its routes declare."""

import re
from typing import Any, Final

from flask import Flask
from pydantic import BaseModel
from werkzeug.routing import Rule

from appliance import __version__
from webui import routing
from webui.routing import Declaration

_VARIABLE: Final = re.compile(r"<(?:(\w+):)?(\w+)>")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_SECURITY: Final[dict[str, Any]] = {
    "key": {"type": "http", "scheme": "bearer"},
    "key-header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "session": {"type": "apiKey", "in": "cookie", "name": "hako"},
}

Json = dict[str, Any]


def document(app: Flask) -> Json:
    """Every route with a declaration, pages left out, as OpenAPI 3.1: what goes in, and who may ask.

    Bodies are those that the routes check requests against, so the document can't say anything else than the code.
    """
    paths: dict[str, Json] = {}
    schemas: dict[str, Json] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        declared = routing.declaration_of(view)
        if declared is None:
            continue
        for method in sorted((rule.methods or set()) & _METHODS):
            operation = _operation(rule, method, declared, _first_line(view.__doc__), schemas)
            paths.setdefault(_path(rule), {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hako", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


def _operation(rule: Rule, method: str, declared: Declaration, summary: str, schemas: dict[str, Json]) -> Json:
    public = isinstance(declared.permission, routing.Public)
    operation: Json = {
        "operationId": f"{method.lower()}:{rule.rule}",
        "tags": [rule.endpoint.rpartition(".")[0]],
        "parameters": [*_in_path(rule), *_in_query(declared.query)],
        "security": [] if public else [{name: []} for name in _SECURITY],
        "responses": {"2XX": {"description": "Done."}, "4XX": {"description": "Refused, with a code and a sentence."}},
    }
    if summary:
        operation["summary"] = summary
    if not public:
        operation["x-permission"] = declared.permission
    if declared.body is not None:
        schema = _hoisted(declared.body, schemas)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _path(rule: Rule) -> str:
    """`/bases/<base_id>` as `/bases/{base_id}`."""
    return _VARIABLE.sub(r"{\2}", rule.rule)


def _in_path(rule: Rule) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0} if kind == "int" else {"type": "string", "minLength": 1},
        }
        for kind, name in _VARIABLE.findall(rule.rule)
    ]


def _in_query(query: type[BaseModel] | None) -> list[Json]:
    if query is None:
        return []
    schema = query.model_json_schema()
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema.get("properties", {}).items()
    ]


def _hoisted(shape: type[BaseModel], schemas: dict[str, Json]) -> Json:
    """A reference to a body, which and whose parts are put beside the others; names carry their module."""
    prefix = shape.__module__.rpartition(".")[2]
    schema = shape.model_json_schema(ref_template=f"#/components/schemas/{prefix}.{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        schemas[f"{prefix}.{name}"] = part
    schemas[f"{prefix}.{shape.__name__}"] = schema
    return {"$ref": f"#/components/schemas/{prefix}.{shape.__name__}"}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
