"""How this gateway connects to an MQTT broker, for its listeners and its uplink alike."""

import asyncio
import socket
import ssl
from typing import Any

import aiomqtt

from meter_gateway.config import MqttListener, UplinkMqtt

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30


def client(
    section: MqttListener | UplinkMqtt,
    queue_type: type[asyncio.Queue[aiomqtt.Message]] | None = None,
    inflight: int = 20,
) -> aiomqtt.Client:
    """A client for one connection; the session is clean, because what matters is kept at both ends."""
    password = section.password_file.read_text().rstrip("\r\n") if section.password_file else None
    options: dict[str, Any] = {}
    if section.tls:
        options["tls_context"] = ssl.create_default_context(cafile=section.ca_file)
    connection = aiomqtt.Client(
        section.host,
        section.port,
        username=section.username,
        password=password,
        queue_type=queue_type,
        timeout=CONNECT_TIMEOUT_S,
        keepalive=KEEPALIVE_S,
        max_inflight_messages=inflight,
        # A receipt must not wait for the acknowledgement of what was sent before it (Nagle, RFC 896).
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        **options,
    )
    connection.pending_calls_threshold = 1 << 16  # below that aiomqtt logs a warning for every call in the window
    return connection


def address(section: MqttListener | UplinkMqtt) -> str:
    return f"{section.host}:{section.port}"
