"""The JSON API, version 1: one module per thing it serves."""

from flask import Blueprint

from webui.api import (
    airgap,
    ask,
    audit,
    backups,
    bases,
    boxes,
    bundles,
    chats,
    destinations,
    documents,
    health,
    health_kit,
    help_pages,
    keys,
    machine,
    me,
    me_export,
    model_adapters,
    model_bench,
    model_import,
    model_projector,
    model_requantise,
    model_settings,
    model_uploads,
    models,
    openapi,
    packs,
    presets,
    runs,
    search,
    setup,
    state,
    update,
    uploads,
    users,
    vault,
    wall,
    web,
)

PREFIX = "/api/v1"


def blueprints() -> list[Blueprint]:
    """Everything under `/api/v1`."""
    root = Blueprint("api", __name__, url_prefix=PREFIX)
    parts = (
        airgap,
        ask,
        audit,
        backups,
        bases,
        boxes,
        bundles,
        chats,
        destinations,
        documents,
        health,
        health_kit,
        help_pages,
        keys,
        machine,
        me,
        me_export,
        model_adapters,
        model_bench,
        model_import,
        model_projector,
        model_requantise,
        model_settings,
        model_uploads,
        models,
        openapi,
        packs,
        presets,
        runs,
        search,
        setup,
        state,
        update,
        uploads,
        users,
        vault,
        wall,
        web,
    )
    for part in parts:
        root.register_blueprint(part.api)
    return [root]
