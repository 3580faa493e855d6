"""The process that documents are read from: every reader loaded beforehand, one jailed child forked per document.

It is a process of its own, started fresh, so that no key of the worker was ever in the memory that a hostile
document gets to see. Run as `python -m appliance.knowledge.sandbox.zygote FD`, FD being its end of a socket.
"""

import contextlib
import gc
import io
import json
import os
import select
import socket
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeAlias

from appliance.errors import DamagedDocumentError, DocumentError, HakoError
from appliance.knowledge.extract import encodings
from appliance.knowledge.extract.contract import Extracted, ExtractLimits, Progress
from appliance.knowledge.extract.dispatch import extract
from appliance.knowledge.sandbox import wire
from appliance.machine import jail

Read: TypeAlias = Callable[[BinaryIO, str, ExtractLimits, Progress], Extracted]

READY = b"ready"
STARTED = b"started"
EXITED = struct.Struct(">iQ")
"""Wait status and largest resident size (KiB) of a child."""
REQUEST_BYTES = 1 << 16
_PROGRESS_S = 0.05
_OUT_OF_MEMORY = wire.frame(wire.ERROR, wire.MEMORY)

_SAMPLE_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F<</Type/Font"
    b"/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj 4 0 obj<</Length 30>>stream\nBT /F 9 Tf 9 9 Td (x) Tj ET    "
    b"\nendstream endobj trailer<</Root 1 0 R>>\n%%EOF\n"
)
_SAMPLE_DOCX = (
    "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'>"
    "<w:body><w:p><w:r><w:t>x</w:t></w:r></w:p></w:body></w:document>"
)


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    handle: int
    status: socket.socket


def preload() -> None:
    """Read one small document of each kind, so that nothing is left to import or to open later."""
    encodings.preload()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("word/document.xml", _SAMPLE_DOCX)
    samples = {
        "a.docx": archive.getvalue(),
        "a.pdf": _SAMPLE_PDF,
        "a.html": b"<!doctype html><h1>a</h1><table><tr><td>b<td>c</table>",
        "a.md": "# あ\n\n- a\n\n| a | b |\n|---|---|\n| 1 | 2 |\n".encode("cp932"),
        "a.csv": b"a,b\n1,2\n",
        "a.txt": "本文です。\n".encode("euc_jp"),
    }
    for name, data in samples.items():
        extract(io.BytesIO(data), name, ExtractLimits(), lambda _done, _total: None)
    with contextlib.suppress(DocumentError):
        extract(io.BytesIO(b"PK\x03\x04"), "a.docx", ExtractLimits(), lambda _done, _total: None)


def serve(control: socket.socket, read: Read) -> None:
    """Fork a child for every request until the other side closes."""
    control.send(READY)
    children: dict[int, _Child] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for handle, _ in poll.poll():
            if handle in children:
                poll.unregister(handle)
                _reap(children.pop(handle))
            else:
                message, handles, _, _ = socket.recv_fds(control, REQUEST_BYTES, 3)
                if not message:
                    return  # children die with this process
                child = _start(control, message, handles, read)
                if child is not None:
                    children[child.handle] = child
                    poll.register(child.handle, select.POLLIN)


def _start(control: socket.socket, message: bytes, handles: list[int], read: Read) -> _Child | None:
    document, result, status_handle = handles
    status = socket.socket(fileno=status_handle)
    try:
        pid = os.fork()
        if pid == 0:
            control.close()
            status.close()
            _run(message, document, result, read)
    except OSError:  # no room for a process: the reader sees the status socket close
        status.close()
        return None
    finally:
        os.close(document)
        os.close(result)
    handle = os.pidfd_open(pid)
    with contextlib.suppress(OSError):  # nobody waits for it any more
        socket.send_fds(status, [STARTED], [handle])
    return _Child(pid, handle, status)


def _reap(child: _Child) -> None:
    _, status, usage = os.wait4(child.pid, 0)
    with contextlib.suppress(OSError):
        child.status.send(EXITED.pack(status, usage.ru_maxrss))
    child.status.close()
    os.close(child.handle)


def _run(message: bytes, document: int, result: int, read: Read) -> NoReturn:
    """The child. Leaves by `_exit` only: nothing of the zygote's is cleaned up twice."""
    code = 1
    try:
        request = json.loads(message)
        limits = ExtractLimits(pages=request["pages"], text_bytes=request["text_bytes"])
        stream = _only_open(document, result)
        layers = jail.close(jail.Limits(request["memory_bytes"], request["cpu_seconds"]))
        _write(result, wire.frame(wire.JAILED, " ".join(layers).encode()))
        if set(layers) >= jail.REQUIRED:
            _answer(stream, request["name"], limits, result, read)
            code = 0
        else:
            code = jail.NOT_JAILED
    except MemoryError:
        _write(result, _OUT_OF_MEMORY)
    finally:
        os._exit(code)


def _only_open(document: int, result: int) -> BinaryIO:
    """Close everything but the document and the way for the result; standard streams lead nowhere."""
    os.dup2(1, 2)
    kept = sorted((document, result))
    os.closerange(3, kept[0])
    os.closerange(kept[0] + 1, kept[1])
    os.closerange(kept[1] + 1, os.sysconf("SC_OPEN_MAX"))
    return os.fdopen(document, "rb", closefd=False)


def _answer(stream: BinaryIO, name: str, limits: ExtractLimits, result: int, read: Read) -> None:
    due = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + _PROGRESS_S
            _write(result, wire.progress_frame(done, total))

    try:
        stream.seek(0)
        for frame in wire.result_frames(read(stream, name, limits, progress)):
            _write(result, frame)
    except DocumentError as error:
        _write(result, wire.error_frame(error))
    except HakoError as error:
        _write(result, wire.error_frame(DamagedDocumentError(error.code)))


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def main() -> int:
    """Serve the socket whose number is the last argument."""
    with contextlib.suppress(OSError):  # if memory runs out, a reader is to go before the database
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")
    run(extract)
    return 0


def run(read: Read) -> None:
    """Load everything, then serve with this reader."""
    preload()
    gc.collect()
    gc.disable()  # a child lives for one document; what it leaves behind goes with it
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[-1])), read)


if __name__ == "__main__":
    sys.exit(main())
