"""TLS from the first minute: an authority of this machine's own, and a certificate by it that is made anew in time."""

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from appliance.image.box.disks import run
from appliance.machine import kept

FOLDER: Final = Path("/etc/hako/tls")
BROUGHT: Final = Path("brought.pem")
"""As `machine.errands` leaves it, in the same folder."""
NAMES: Final = ("hako", "hako.local", "localhost")
OWNER: Final = "hako-web"
_AUTHORITY_DAYS: Final = 3650
_DAYS: Final = 397
_NETWORK_S: Final = 15.0
_ADDRESS: Final = re.compile(r"IP Address:([0-9A-Fa-f:.]+)")
_NAME: Final = re.compile(r"DNS:([a-z0-9.-]+)")
_RENEW_S: Final = 60 * 24 * 3600
_CONSTRAINTS: Final = (
    "critical,permitted;DNS:hako,permitted;DNS:local,permitted;DNS:localhost,"
    "permitted;IP:0.0.0.0/0.0.0.0,permitted;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0"
)


def main() -> int:
    """At each start, and when address, name or the operator's wish have changed."""
    name = kept.read().name
    make(FOLDER, also=(f"{name}.local",) if name else ())
    shutil.chown(FOLDER / "box.key", OWNER)
    return 0


def make(folder: Path, named: Callable[[], list[str]] | None = None, also: Sequence[str] = ()) -> None:
    """`authority.pem`, `authority.key`, `box.pem` and `box.key`.

    One that an operator has brought (`errands.BROUGHT`) is used as it is. Else a certificate stays while it is good for
    two months and for the addresses (`named`) and names (`also`) that the machine has now; the authority that people
    have taken into their browsers stays in any case. A pair that doesn't fit, after a power cut, is made anew.

    Raises:
        ImageStepError: openssl has failed.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    authority, certificate = folder / "authority.pem", folder / "box.pem"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
        fresh = Path(scratch)
        if not authority.exists():
            _authority(fresh)
            for name in ("authority.key", "authority.pem"):
                (fresh / name).rename(folder / name)
        if (folder / BROUGHT).exists():
            _take(folder / BROUGHT, fresh)
        else:
            names = (named or wait_for_addresses)()
            if _is_own(folder) and _is_good(certificate) and {*names, *also} <= set(_named(certificate)):
                return
            _leaf(folder, fresh, names, also)
        for name in ("box.key", "box.pem"):
            (fresh / name).rename(folder / name)
    os.sync()


def _take(brought: Path, out: Path) -> None:
    """The operator's own: one file with both, so they fit each other whenever the power goes."""
    both = brought.read_text("ascii")
    at = both.index("-----BEGIN", both.rindex("-----END CERTIFICATE-----"))
    (out / "box.pem").write_text(both[:at], "ascii")
    (out / "box.key").write_text(both[at:], "ascii")
    (out / "box.pem").chmod(0o644)
    (out / "box.key").chmod(0o400)


def _is_own(folder: Path) -> bool:
    """Whether key and certificate fit each other, and the machine's own authority has signed."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "box.pem", folder / "box.key")
        signed = (folder / "box.pem").read_text("ascii")
        return signed.endswith((folder / "authority.pem").read_text("ascii"))
    except (OSError, ssl.SSLError, ValueError):
        return False


def wait_for_addresses() -> list[str]:
    """Those of this machine; none if the network gives it none in time."""
    until = time.monotonic() + _NETWORK_S
    while not (found := addresses()) and time.monotonic() < until:
        time.sleep(1)
    return found


def fingerprint(certificate: Path = FOLDER / "box.pem") -> str:
    """SHA-256, in pairs of digits as browsers show it; empty where there is no certificate."""
    try:
        leaf = certificate.read_text("ascii").split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).digest().hex(":").upper()
    except (OSError, ValueError):
        return ""


def _authority(out: Path) -> None:
    more = ("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign",
            f"nameConstraints={_CONSTRAINTS}")  # fmt: skip
    subject = f"/CN=Hako {time.strftime('%Y-%m-%d')}"
    _new_key(out / "authority.key")
    words = ("openssl", "req", "-x509", "-new", "-key", out / "authority.key", "-subj", subject)
    said = [word for each in more for word in ("-addext", each)]
    run(*words, "-days", str(_AUTHORITY_DAYS), "-out", out / "authority.pem", *said)


def _leaf(folder: Path, out: Path, addresses: list[str], also: Sequence[str]) -> None:
    named = [f"DNS:{name}" for name in dict.fromkeys((*NAMES, *also))]
    names = ",".join([*named, "IP:127.0.0.1", *(f"IP:{each}" for each in addresses)])
    _new_key(out / "box.key")
    (out / "ext").write_text(
        f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n",
        "ascii",
    )
    run("openssl", "req", "-new", "-key", out / "box.key", "-subj", "/CN=hako", "-out", out / "csr")
    leaf = run("openssl", "x509", "-req", "-in", out / "csr", "-CA", folder / "authority.pem", "-CAkey",
               folder / "authority.key", "-days", str(_DAYS), "-extfile", out / "ext")  # fmt: skip
    (out / "box.pem").write_text(leaf + (folder / "authority.pem").read_text("ascii"), "ascii")
    (out / "box.pem").chmod(0o644)


def _new_key(path: Path) -> None:
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o400)


def _is_good(certificate: Path) -> bool:
    done = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-checkend", str(_RENEW_S)], capture_output=True, check=False
    )
    return done.returncode == 0


def _named(certificate: Path) -> list[str]:
    """Addresses and names that it is good for."""
    done = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [*(str(ip_address(each)) for each in _ADDRESS.findall(done.stdout)), *_NAME.findall(done.stdout)]


def addresses() -> list[str]:
    """Of this machine in its network, without the link's own."""
    words = ["ip", "-brief", "address", "show", "scope", "global"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return sorted(word.split("/")[0] for line in done.stdout.splitlines() for word in line.split()[2:] if "/" in word)


if __name__ == "__main__":
    sys.exit(main())
