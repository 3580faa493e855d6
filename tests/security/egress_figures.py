"""What `make egress-test` runs and prints: packets that leave a box, counted at the other end of its only cable.

    python -m tests.security.egress_figures

Two network namespaces, made here, with no route to anywhere else: the box in one, in the other a client that the box
serves and a counter of every packet that is no answer to that client. A planted server that phones home shows that the
counter counts; so each figure stands beside the one without rules.
"""

import datetime as dt
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.config import REPOSITORY
from appliance.health.airgap import trial
from appliance.health.airgap.tools import run as shown
from tests.simulators.errands import QUESTION, house
from tests.simulators.served import PASSWORD, ServedBox
from tests.simulators.waiting import eventually

OURS, THEIRS, PLANTED_PORT = "192.0.2.1", "192.0.2.2", 443
RULES = REPOSITORY / "systemd" / "hako.nft"
ASKED = 5
COUNTERS = """table inet count {
 counter strangers { }
 counter answers { }
 counter neighbours { }
 chain in {
  type filter hook prerouting priority 0
  iifname != "plug" accept
  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } counter name neighbours accept
  icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } counter name neighbours accept
  ct direction reply counter name answers accept
  counter name strangers
 }
}
"""
"""At the client's end. What it asked for is answered in the direction `reply`; anything else is a stranger."""
HOME = textwrap.dedent("""
    import socket
    ECHO = b"\\x08\\0\\xf7\\xff\\0\\0\\0\\0"
    def home():
        for family, kind, protocol, address in (
            (socket.AF_INET, socket.SOCK_STREAM, 0, ("192.0.2.2", 4711)),
            (socket.AF_INET, socket.SOCK_DGRAM, 0, ("198.51.100.1", 53)),
            (socket.AF_INET6, socket.SOCK_STREAM, 0, ("2001:db8::2", 4711)),
            (socket.AF_INET, socket.SOCK_RAW, 1, ("198.51.100.2", 0)),
        ):
            line = socket.socket(family, kind, protocol)
            line.setblocking(False)
            try:
                line.connect(address) if kind == socket.SOCK_STREAM else line.sendto(ECHO, address)
            except OSError:
                pass
            kept.append(line)
            del kept[:-8]
    kept = []
""")
PLANTED = HOME + textwrap.dedent(f"""
    import http.server
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            home()
            self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
        def log_message(self, *words): pass
    server = http.server.ThreadingHTTPServer(("{OURS}", {PLANTED_PORT}), Page)
    print("listening", flush=True)
    server.serve_forever()
""")
"""Serves its clients well, and phones home at each request in four ways."""
LIBRARY = HOME + textwrap.dedent("""
    import sys, threading, time
    def forever():
        while True:
            home()
            time.sleep(0.2)
    if "appliance.inference.child" in sys.orig_argv:
        threading.Thread(target=forever, daemon=True).start()
""")
"""A library of a model's process that does the same all the time; Python loads it before everything else."""
CLIENT = (
    textwrap.dedent("""
    import sys, httpx2
    url, key, times = sys.argv[1:]
    served = 0
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(base_url=url, verify=False, headers=headers, timeout=60) as box:
        for _ in range(int(times)):
            if not key:
                served += box.get("/").status_code == 200
                continue
            served += box.get("/api/v1/state").status_code == 200
            served += box.get("/v1/models").status_code == 200
            asked = {"model": "talker", "messages": [{"role": "user", "content": "[[words 3]] hi"}]}
            served += box.post("/v1/chat/completions", json=asked).status_code == 200
            asked = {"model": "kb:house", "messages": [{"role": "user", "content": "%s"}], "stream": True}
            served += box.post("/v1/chat/completions", json=asked).status_code == 200
    print(served)
""")
    % QUESTION
)


class Cable:
    """The other namespace, at the end of the only cable of this one."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "1200"])
        here = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path, a name
        assert eventually(lambda: os.readlink(f"/proc/{self._holder.pid}/ns/net") != here)  # noqa: PTH115
        self._inside = ("nsenter", "-t", str(self._holder.pid), "-n")
        for words in (
            "link set lo up",
            f"link add name cable type veth peer name plug netns {self._holder.pid}",
            f"addr add {OURS}/24 dev cable",
            "addr add 2001:db8::1/64 dev cable nodad",
            "link set cable up",
        ):
            shown(("ip", *words.split()))
        for words in (
            "link set lo up",
            f"addr add {THEIRS}/24 dev plug",
            "addr add 2001:db8::2/64 dev plug nodad",
            "link set plug up",
        ):
            self.ask(("ip", *words.split()), b"")
        shown(("ip", "route", "add", "default", "via", THEIRS))
        self.ask(("nft", "-f", "-"), COUNTERS.encode())

    def ask(self, command: tuple[str, ...], given: bytes = b"") -> bytes:
        """Something of the other end."""
        return shown((*self._inside, *command), given)

    def count(self, name: str) -> int:
        """Packets that have come so far."""
        return trial.packets(lambda command, given: self.ask(tuple(command), given), "count", name)

    def visit(self, url: str, key: str = "") -> int:
        """How many requests of a client over there were answered."""
        command = [*self._inside, sys.executable, "-W", "ignore", "-c", CLIENT, url, key, str(ASKED)]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return int(ran.stdout)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


def rules(*ports: int) -> None:
    """The box's firewall, as its unit loads it, with more ports as an operator adds them."""
    more = f"add element inet hako inbound_ports {{ {', '.join(map(str, ports))} }}\n" if ports else ""
    shown(("nft", "-f", "-"), RULES.read_bytes() + more.encode())


def no_rules() -> None:
    shown(("nft", "flush", "ruleset"))


def refused() -> int:
    return trial.packets(shown, "hako", trial.REFUSED)


class Figures:
    """Each line: what was measured, how many left, how many were refused, how many requests were answered."""

    def __init__(self, cable: Cable) -> None:
        self._cable = cable

    def measure(self, what: str, work: Callable[[], int], wanted: int, *, with_rules: bool) -> tuple[int, int]:
        """Packets that left and, with rules, that were refused while it worked and in the second after it."""
        left, stopped = self._cable.count("strangers"), refused() if with_rules else 0
        served = work()
        time.sleep(1.0)
        gone = self._cable.count("strangers") - left
        kept = refused() - stopped if with_rules else None
        told = "–" if kept is None else kept
        print(f"{what:<52} left {gone:>4}   refused {told:>4}   answered {served}/{wanted}", flush=True)
        assert served == wanted, "a client wasn't served"
        return gone, kept or 0


@contextmanager
def planted_server() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", PLANTED], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        yield
    finally:
        process.kill()
        process.wait()


def certificate(folder: Path) -> str:
    """Lines of settings for a box that listens on the cable."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, OURS)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(OURS))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "box.pem").write_bytes(made.public_bytes(pem))
    (folder / "box.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "box.key").chmod(0o600)
    return f'host = "{OURS}"\ntls_certificate = "{folder}/box.pem"\ntls_key = "{folder}/box.key"\n'


def key_of(box: ServedBox, url: str) -> str:
    """A person's API key."""
    with box.client() as client:
        client.post("/users", {"name": "nina", "display_name": "nina", "password": PASSWORD})
    with httpx2.Client(base_url=url, verify=False) as browser:
        assert browser.post("/sign-in", data={"name": "nina", "password": PASSWORD}).status_code == 303
        return str(browser.post("/api/v1/me/keys", json={"name": "test"}).json()["key"])


def planted(figures: Figures, cable: Cable) -> None:
    """A server that serves well and phones home."""
    with planted_server():
        url = f"http://{OURS}:{PLANTED_PORT}"
        gone, _ = figures.measure("planted server, no rules", lambda: cable.visit(url), ASKED, with_rules=False)
        assert gone > 0, "the counter counts nothing"
        rules()
        gone, kept = figures.measure("planted server, with the rules", lambda: cable.visit(url), ASKED, with_rules=True)
        assert (gone, kept > 0) == (0, True)
    no_rules()


def whole_box(figures: Figures, cable: Cable, folder: Path, *, library: bool) -> None:
    """The box with all its processes; with `library`, one in its model's process phones home."""
    name = "box with a model that phones home" if library else "the box as it is"
    folder.mkdir()
    with ServedBox(folder / "v", web=certificate(folder)) as box:
        url = f"https://{OURS}:{box.port}"
        house(box)
        key = key_of(box, url)

        def visit() -> int:
            return cable.visit(url, key)

        wanted = ASKED * 4
        gone, _ = figures.measure(f"{name}, no rules", visit, wanted, with_rules=False)
        assert (gone > 0) == library
        rules(box.port)
        gone, kept = figures.measure(f"{name}, with the rules", visit, wanted, with_rules=True)
        assert (gone, kept > 0) == (0, library)
    no_rules()


def main() -> int:
    """All of it, in two namespaces that are made first."""
    if os.environ.get("HAKO_EGRESS_INSIDE") != "yes":
        inside = {**os.environ, "HAKO_EGRESS_INSIDE": "yes"}
        command = ["unshare", "-rn", sys.executable, "-m", "tests.security.egress_figures"]
        return subprocess.run(command, env=inside, check=False).returncode
    cable = Cable()
    try:
        figures = Figures(cable)
        with tempfile.TemporaryDirectory(prefix="hako-") as folder:
            planted(figures, cable)
            whole_box(figures, cable, Path(folder) / "a", library=False)
            library = Path(folder) / "library"
            library.mkdir()
            (library / "sitecustomize.py").write_text(LIBRARY, "utf-8")
            os.environ["PYTHONPATH"] = f"{library}:{os.environ.get('PYTHONPATH', '')}"
            whole_box(figures, cable, Path(folder) / "b", library=True)
        print(f"answers that the other end has counted: {cable.count('answers')}; nothing left with the rules")
    finally:
        cable.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
