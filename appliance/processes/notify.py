"""Tell whoever started this process that it is ready: systemd's datagram protocol, which `hako serve` speaks too."""

import os
import socket


def ready() -> None:
    """Send READY=1 to NOTIFY_SOCKET; nothing if nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(b"READY=1")
