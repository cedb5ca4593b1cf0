"""The MQTT link that a factory record describes (SPEC §16.2)."""

from binascii import hexlify

from meter_firmware.links.ethernet import EthernetTarget
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.tcp import TcpTarget
from meter_firmware.links.tls_settings import TlsSettings
from meter_firmware.links.wifi import WifiTarget
from meter_protocol import first_contact as fc
from meter_protocol import topics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.links.backoff import Backoff


def make(
    link: "dict[int, Any]",
    kid: bytes,
    backoff: "Backoff",
    station: "Any | None" = None,
    lan: "Any | None" = None,
) -> MqttLink:
    """`station` is the board's WLAN interface (links.wifi), `lan` its Ethernet (links.ethernet); a host brings its
    network up by itself. LinkError `tls_files` if the broker's CA is of no use.
    """
    tls = None
    if link[fc.LINK_SERVER_NAME] is not None:
        tls = TlsSettings(link[fc.LINK_CA_CERTIFICATE] or b"", link[fc.LINK_SERVER_NAME])
    broker = TcpTarget(link[fc.LINK_HOST], link[fc.LINK_PORT], tls)
    target: "TcpTarget | WifiTarget | EthernetTarget" = broker
    if station is not None:
        target = WifiTarget(station, link[fc.LINK_WIFI_SSID] or "", link[fc.LINK_WIFI_PASSWORD] or "", broker)
    if lan is not None:
        target = EthernetTarget(lan, broker)
    return MqttLink(
        target.open,
        backoff,
        "meter-" + hexlify(kid).decode(),
        topics.up(kid),
        topics.down(kid),
        link[fc.LINK_USERNAME],
        link[fc.LINK_PASSWORD],
    )
