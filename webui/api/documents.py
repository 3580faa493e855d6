"""`/documents`: taking documents into a base, how far they are, their pages, and erasing them."""

import io
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.clock import iso
from appliance.knowledge.documents import Document
from webui import routing, security, sse
from webui.api.runs import with_title
from webui.locales import Language
from webui.routing import Call
from webui.upload import Upload, clean_name

api = Blueprint("documents", __name__)

CREATED: Final = 201
_READ_BYTES: Final = 256 * 1024


def describe(document: Document, language: Language) -> dict[str, Any]:
    """A document with its progress, or the reason why it could not be taken in, in the reader's language."""
    progress, error = document.progress, document.error
    return {
        "id": document.id,
        "base_id": document.base_id,
        "name": document.name,
        "title": document.title,
        "format": document.format,
        "size": document.size,
        "pages": document.pages,
        "passages": document.passages,
        "language": document.language,
        "state": document.state,
        "progress": progress
        and {"stage": progress.stage, "done": progress.done, "total": progress.total, "eta_s": progress.eta_s},
        "error": error and with_title({"code": error[0], "params": error[1]}, language),
        "created_at": iso(document.created_at),
        "updated_at": iso(document.updated_at),
        "created_by": document.created_by,
    }


@routing.route(api, "GET", "/bases/<base_id>/documents", permission=Permission.BASES_READ)
def list_documents(call: Call, base_id: str) -> dict[str, Any]:
    items = call.services.documents.list(call.who, base_id)
    return {"items": [describe(document, call.language) for document in items]}


@routing.route(api, "POST", "/bases/<base_id>/documents", permission=Permission.BASES_WRITE)
def add(call: Call, base_id: str) -> tuple[dict[str, Any], int]:
    call.services.bases.get(call.who, base_id)  # before anything is read
    return take(call, base_id)


def take(call: Call, base_id: str) -> tuple[dict[str, Any], int]:
    """Read the upload of this request into a base: 201, or 200 for a document that is there already."""
    limit_mb = routing.box().settings.limits.upload_mb
    with routing.place_to_read(call.who), Upload(request, limit_mb) as upload:
        source = io.BufferedReader(upload, _READ_BYTES)
        document, duplicate = call.services.documents.add(call.who, base_id, clean_name(upload.name), source)
    if duplicate:
        return describe(document, call.language) | {"duplicate": True}, 200
    call.services.audit.record(call.who.name, "document-added", document.id, base=base_id)
    return describe(document, call.language), CREATED


@routing.route(api, "GET", "/documents/<document_id>", permission=Permission.BASES_READ)
def show(call: Call, document_id: str) -> dict[str, Any]:
    return describe(call.services.documents.get(call.who, document_id), call.language)


@routing.route(api, "DELETE", "/documents/<document_id>", permission=Permission.BASES_WRITE)
def delete(call: Call, document_id: str) -> None:
    """Erases the document and its key: nothing of it can be read again."""
    call.services.documents.delete(call.who, document_id)
    call.services.audit.record(call.who.name, "document-deleted", document_id)


@routing.route(api, "POST", "/documents/<document_id>/retry", permission=Permission.BASES_WRITE)
def retry(call: Call, document_id: str) -> dict[str, Any]:
    return describe(call.services.documents.retry(call.who, document_id), call.language)


@routing.route(api, "POST", "/documents/<document_id>/cancel", permission=Permission.BASES_WRITE)
def cancel(call: Call, document_id: str) -> dict[str, Any]:
    return describe(call.services.documents.cancel(call.who, document_id), call.language)


@routing.route(api, "GET", "/documents/<document_id>/pages/<int:number>", permission=Permission.BASES_READ)
def page(call: Call, document_id: str, number: int) -> dict[str, Any]:
    """A page as text, with its blocks and sentences as ranges of characters."""
    view = call.services.documents.page(call.who, document_id, number)
    return {
        "document": describe(view.document, call.language),
        "page": view.page,
        "pages": view.pages,
        "text": view.text,
        "blocks": view.blocks,
        "sentences": view.sentences,
    }


@routing.route(api, "GET", "/documents/<document_id>/original", permission=Permission.BASES_READ)
def original(call: Call, document_id: str) -> Response:
    """The file as it was uploaded; always a download, never shown in the page's own origin."""
    document, chunks = call.services.documents.original(call.who, document_id)
    first = next(chunks, b"")  # a damaged file is told as an error as long as nothing of it has been sent
    return download(_after(first, chunks), document.name, document.size)


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def download(
    chunks: Iterator[bytes], name: str, size: int | None = None, then: Callable[[], object] = lambda: None
) -> Response:
    """A file to be saved; `then` is called once it is through or nobody wants it any more."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": security.DOWNLOAD_CSP,
    }
    if size is not None:
        headers["Content-Length"] = str(size)
    return Response(sse.Body(chunks, then), headers=headers)
