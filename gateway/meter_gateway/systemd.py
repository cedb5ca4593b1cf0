"""sd_notify(3): the service manager learns when the gateway is ready, what it does, and that it is alive."""

import os
import socket


def notify(message: str) -> None:
    """Tell systemd, if it started us with Type=notify; elsewhere nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), address)
