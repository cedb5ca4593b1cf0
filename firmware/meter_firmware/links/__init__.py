"""The meter's ways to its gateway. Whatever happens on them, the meter goes on measuring.

    link             what every way has in common: reconnect for ever, deliver, hand over
    mqtt             a broker, over TCP or TLS
    serial           a serial line, or the TCP stream that stands in for one
    tcp, tty, wifi, ethernet, uart   how a byte stream is opened

A frame on any of them is a CBOR sequence (RFC 8742) of whole signed messages. A link promises that a frame
was handed over, never that the gateway has it: only a signed receipt says that.
"""

from meter_firmware import FirmwareError

REASONS = (
    # tcp.py, tls_settings.py, streams.py, tty.py
    "name_unresolved",
    "connect_refused",
    "connect_timeout",
    "tls_files",
    "tls_certificate_refused",
    "tls_failed",
    "peer_closed",
    "peer_lost",
    "stream_closed",
    "write_stalled",
    # wifi.py
    "wifi_not_found",
    "wifi_key_refused",
    "wifi_refused",
    "wifi_busy",
    "wifi_timeout",
    # ethernet.py
    "ethernet_no_cable",
    "ethernet_failed",
    "ethernet_no_address",
    # mqtt_packets.py
    "mqtt_length",
    "mqtt_packet_type",
    "mqtt_flags",
    "mqtt_packet_id",
    "mqtt_topic",
    "mqtt_too_large",
    "mqtt_return_code",
    # mqtt_client.py
    "mqtt_out_of_turn",
    "mqtt_no_answer",
    "mqtt_refused",
    "mqtt_login_refused",
    "mqtt_subscribe_refused",
    "mqtt_ping_timeout",
    "mqtt_puback_timeout",
    "send_cancelled",
    # these three do not end a session
    "inbound_too_large",
    "inbound_topic",
    "receive_failed",
    # link.py
    "frame_too_large",
    "out_of_memory",
    "internal_fault",
)


class LinkError(FirmwareError):
    """Why a link is down or a byte refused; `reason` is one of `REASONS`."""
