"""The computer's part of a support kit: hardware, units, log. Collected by the health process, which may see them."""

import contextlib
import json
import re
import socket
from typing import Final

from appliance.config import Settings
from appliance.health.host import Host
from appliance.health.kit import loglines
from appliance.health.kit.redact import Json, plain

ASK: Final = b"kit\n"
"""What is said on the health process's socket for this part; nothing at all means: look at the machine."""
_WITHIN_S: Final = 30.0
_LONGEST: Final = 8 << 20
_DISK: Final = re.compile(r"(sd[a-z]+|vd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
_BLOCK: Final = 512
_UNIT: Final = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus")


def collected(settings: Settings, host: Host) -> Json:
    """Of this machine, now."""
    return {"hardware": hardware(host), "units": units(host), "log": loglines.read(settings, host)}


def ask(settings: Settings) -> Json | None:
    """Have the health process collect it; None where it doesn't answer."""
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_WITHIN_S)
        connection.connect(str(settings.health_socket))
        connection.sendall(ASK)
        content = b""
        while (piece := connection.recv(1 << 16)) and len(content) < _LONGEST:
            content += piece
        found = json.loads(content)
        return found if isinstance(found, dict) else None
    return None


def hardware(host: Host) -> Json:
    """What the machine is made of, without serial numbers and addresses of its network."""
    cpu = host.read("/proc/cpuinfo") or ""
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB$", host.read("/proc/meminfo") or "", re.MULTILINE))
    system = dict(re.findall(r'^(ID|VERSION_ID)="?([\w.-]+)"?$', host.read("/etc/os-release") or "", re.MULTILINE))
    return {
        "maker": {
            name: plain(host.read(f"/sys/class/dmi/id/{name}"))
            for name in ("sys_vendor", "product_name", "board_name", "bios_vendor", "bios_version", "bios_date")
        },
        "cpu": {
            "name": plain(next(iter(re.findall(r"^model name\s*: (.*)$", cpu, re.MULTILINE)), "")),
            "cores": len(re.findall(r"^processor\s*:", cpu, re.MULTILINE)),
            "flags": sorted(
                set(next(iter(re.findall(r"^(?:flags|Features)\s*: (.*)$", cpu, re.MULTILINE)), "").split())
            ),
        },
        "memory_mb": int(memory.get("MemTotal", 0)) // 1024,
        "swap_mb": int(memory.get("SwapTotal", 0)) // 1024,
        "kernel": plain(host.read("/proc/sys/kernel/osrelease")),
        "system": system,
        "disks": [
            {
                "name": path.name,
                "model": plain(host.read(f"{path}/device/model")),
                "size_gb": round((host.number(f"{path}/size") or 0) * _BLOCK / 1e9),
                "turns": host.number(f"{path}/queue/rotational") == 1,
            }
            for path in host.glob("/sys/block/*")
            if _DISK.fullmatch(path.name)
        ],
        "graphics": [
            {name: plain(host.read(f"{path}/device/{name}")) for name in ("vendor", "device")}
            for path in host.glob("/sys/class/drm/card[0-9]")
        ],
    }


def units(host: Host) -> list[Json]:
    """How systemd has the box's own units; none where it doesn't run."""
    told = host.run(("systemctl", "show", "hako*", f"--property={','.join(_UNIT)}")) or ""
    found = [dict(re.findall(r"^(\w+)=([\w@.:-]*)$", block, re.MULTILINE)) for block in told.split("\n\n")]
    own = [unit for unit in found if unit.get("Id", "").startswith("hako")]
    return sorted(own, key=lambda unit: unit["Id"])
