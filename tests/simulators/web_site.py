"""A small web site on the loopback, with robots' rules, redirects, traps and troubles as a test wants them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Site:
    """`pages`: status, fields and body by path. `asked`: what was fetched, in order; `agents` by whom."""

    url: str
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    before: Callable[[str], None] = lambda _path: None
    """Called with each path that is asked for."""

    def put(self, path: str, body: str | bytes, mime: str = "text/html", status: int = 200, **fields: str) -> None:
        """A page. Names of fields are written with `_` for `-`."""
        content = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        self.pages[path] = (status, {"Content-Type": mime, **named}, content)

    def move(self, path: str, to: str) -> None:
        """A redirect."""
        self.put(path, b"", status=302, Location=to)


@contextmanager
def running() -> Iterator[Site]:
    """The site as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_given: object) -> None:
            pass

        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.agents.add(self.headers["User-Agent"])
            site.before(self.path)
            status, fields, body = site.pages.get(self.path, (404, {"Content-Type": "text/html"}, b"none"))
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            if "Transfer-Encoding" in fields:
                body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body, b"") if piece or not body)
                body += b"" if body.endswith(b"0\r\n\r\n") else b"0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
