"""Runs the image for containers with podman, in a network without a way out, as its first owner does.

`python -m tests.lifecycle.container ARCHIVE`, as root, with podman, crun, iproute2 and util-linux of Debian. Nothing is
fetched, and all that podman keeps lies in a folder of the test's own. What is measured is printed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from appliance import __version__
from appliance.errors import ContainerTestError
from appliance.image import customise, oci
from appliance.image.visitor import Visitor
from appliance.machine import jail

PASSPHRASE = "lanterns along the canal"
IMAGE = f"localhost/{oci.NAME}:{__version__}"
NAME, VOLUME = "hako-under-test", "hako-data"
RUNTIME_FILTER = Path("/usr/share/containers/seccomp.json")
"""Of Debian's containers-common: what podman lets a container call."""
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
"""Podman would raise its own, which not every machine's root may."""
START_S, STOP_S = 600.0, 60.0
INSIDE = "HAKO_TEST_INSIDE"


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def demand(holds: bool, step: str, detail: object = "") -> None:
    if not holds:
        raise ContainerTestError(str(detail)[-3000:], step=step)


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{name}: {time.monotonic() - began:.1f} s")


class Podman:
    """With a folder of its own for everything; containers see the test's own network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._words = ["podman", "--root", str(folder / "root"), "--runroot", str(folder / "run"),
                       "--tmpdir", str(folder / "tmp"), "--volumepath", str(folder / "volumes"),
                       "--cgroup-manager", "cgroupfs", "--runtime", "crun"]  # fmt: skip

    def __call__(self, *words: str, may_fail: bool = False) -> str:
        done = subprocess.run([*self._words, *words], capture_output=True, text=True, timeout=START_S, check=False)
        said = done.stdout + done.stderr
        demand(may_fail or done.returncode == 0, f"podman {words[0]}", said)
        return said

    def run(self, *words: str, seccomp: str = "", more: Sequence[str] = ()) -> str:
        """As the manual says: nothing may be written but the data, no rights at all."""
        filtered = ("--security-opt", f"seccomp={seccomp}") if seccomp else ()
        return self(
            "run", "--network", "host", "--cgroups", "disabled", *LIMITS, "--read-only", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", *filtered, *more, *words, may_fail="--rm" in more,
        )  # fmt: skip


def strict(folder: Path) -> Path:
    """What podman allows, but for user namespaces: as Docker's filter has it."""
    said = json.loads(RUNTIME_FILTER.read_text("utf-8"))
    for rule in said["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != "unshare"]
    (folder / "strict.json").write_text(json.dumps(said), "utf-8")
    return folder / "strict.json"


def sandbox(podman: Podman, narrow: Path) -> None:
    """Which layers hold under which filter of system calls."""
    found = {}
    for name, seccomp in (("podman's own", ""), ("without user namespaces", str(narrow)), ("none", "unconfined")):
        words = ("--rm", "--entrypoint", f"/{customise.BASE}/bin/python")
        said = podman.run(IMAGE, "-I", "-m", "appliance.machine.jail", seccomp=seccomp, more=words)
        found[name] = said.split()
        say(f"sandbox, filter {name}: {' '.join(found[name])}")
    demand(found["podman's own"] == list(jail.LAYERS), "sandbox", found)
    demand(set(jail.LAYERS) - set(found["without user namespaces"]) == {"namespaces"}, "sandbox", found)


def started(podman: Podman, *, again: bool) -> Visitor:
    began = time.monotonic()
    if again:
        podman("start", NAME)
    else:
        words = ("--detach", "--name", NAME, "--volume", f"{VOLUME}:/{customise.DATA}")
        podman.run(IMAGE, seccomp=str(strict(podman.folder)), more=words)
    visitor = Visitor(f"https://127.0.0.1:{oci.PORT}")
    visitor.wait(START_S)
    say(f"{'started again' if again else 'the first start'} to the first page: {time.monotonic() - began:.1f} s")
    return visitor


def expect(podman: Podman, pattern: str, step_: str) -> re.Match[str]:
    """What the container's log says, once it does."""
    until = time.monotonic() + START_S
    while True:
        log = podman("logs", NAME)
        if found := re.search(pattern, log):
            return found
        demand(time.monotonic() < until, step_, log)
        time.sleep(0.5)


def closed(podman: Podman) -> None:
    """What a container may not do: it has no rights, and can write nowhere but to its data."""
    (process,) = json.loads(podman("inspect", NAME))
    status = Path(f"/proc/{process['State']['Pid']}/status").read_text("ascii")
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    account = str(customise.ACCOUNT)
    demand(said["Uid"].split() == [account] * 4 and said["Gid"].split() == [account] * 4, "account", status)
    demand(int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0 and said["NoNewPrivs"] == "1", "rights", status)
    for path in ("/etc/x", "/opt/hako/x", "/usr/x"):
        refused = podman("exec", NAME, "sh", "-c", f": > {path}", may_fail=True)
        demand("Read-only" in refused or "denied" in refused, "read-only", refused)
    say(f"account {account}, no rights, no new ones; nothing but the data can be written to")


def memory(podman: Podman) -> None:
    (found,) = json.loads(podman("inspect", NAME))
    first = psutil.Process(found["State"]["Pid"])
    every = [first, *first.children(recursive=True)]
    total = sum(each.memory_full_info().pss for each in every)
    say(f"memory: {total / 1e6:.0f} MB in {len(every)} processes")


def stopped(podman: Podman) -> None:
    with step("SIGTERM to the end"):
        podman("stop", "--time", str(int(STOP_S)), NAME)
    (found,) = json.loads(podman("inspect", NAME))
    demand(found["State"]["ExitCode"] == 0, "end", found["State"])


def life(podman: Podman) -> None:
    visitor = started(podman, again=False)
    code = expect(podman, r"set-up code: ([0-9A-Z]{4}-[0-9A-Z]{4})", "set-up code")[1]
    expect(podman, r"sandbox.*namespaces.*HK-IMG-017", "sandbox is weaker, and says so")
    closed(podman)
    fresh = podman("exec", NAME, "hako", "setup-code")
    code = (re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", fresh) or [code])[0]
    with step("first set-up over the pages"):
        visitor.set_up(code, PASSPHRASE)
        visitor.sign_in()
    demand("already" in podman("exec", NAME, "hako", "setup-code"), "a second set-up code")
    with step("a document"):
        base = visitor.bring(START_S)
    with step("a question and its cited answer"):
        visitor.ask(base)
    reported(visitor)
    memory(podman)
    alive = (f"/{customise.BASE}/bin/python", "-I", "-m", "appliance.image.box.alive")
    podman("exec", NAME, *alive)
    stopped(podman)
    visitor.close()
    visitor = started(podman, again=True)
    expect(podman, r"(?s)vault is sealed.*vault is sealed|vault is sealed", "sealed after the start")
    visitor.unlock(PASSPHRASE)
    visitor.sign_in()
    with step("the same question after the second start"):
        visitor.ask(base)
    stopped(podman)
    visitor.close()


def reported(visitor: Visitor) -> None:
    """The proof of the gap is honest about what a container can't see; what it hasn't isn't an alarm."""
    seen = visitor.asks("GET", "/airgap")
    parts = {part["name"]: part for part in seen["parts"]}
    for name in ("firewall", "units"):
        demand(parts[name]["state"] == "unknown" and "host" in json.dumps(parts[name]), "air gap", parts[name])
    say(f"the report says {seen['verdict']}; firewall and units are the host's")
    checks = {each["name"]: each["state"] for each in visitor.asks("GET", "/health")["checks"]}
    host = ("smart", "ups", "units", "boot", "usb", "secureboot")
    demand(all(checks[name] == "unknown" for name in host), "health of the machine", checks)
    say(f"health: {checks}")


def main(words: Sequence[str]) -> int:
    archive = Path(words[0]).absolute()
    if INSIDE not in os.environ:
        command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.lifecycle.container", str(archive)]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})
    # A card with a cable to nowhere: there is an address to be reached at, and no way out.
    for link in ("link set lo up", "link add card type veth peer name cable", "address add 192.0.2.1/24 dev card",
                 "link set card up", "link set cable up"):  # fmt: skip
        subprocess.run(["ip", *link.split()], check=True)
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():  # crun knows version 2 alone
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)
    say(f"{archive.name}: {archive.stat().st_size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="hako-oci-") as folder:
        podman = Podman(Path(folder))
        try:
            with step("loaded"):
                podman("load", "--input", str(archive))
            size = int(podman("image", "inspect", "--format", "{{.Size}}", IMAGE))
            say(f"unpacked: {size / 1e6:.0f} MB")
            sandbox(podman, strict(podman.folder))
            life(podman)
        except ContainerTestError as error:
            say(f"✗ {error.code} {error.params['step']}\n{error.detail}\n{podman('logs', NAME, may_fail=True)[-4000:]}")
            return 1
        finally:
            podman("rm", "--force", "--time", "1", NAME, may_fail=True)
            podman("rmi", "--all", "--force", may_fail=True)
            podman("volume", "rm", "--all", "--force", may_fail=True)
            subprocess.run(["umount", "--quiet", f"{folder}/root/overlay"], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
