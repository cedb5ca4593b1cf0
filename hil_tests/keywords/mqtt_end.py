"""The gateway's end of a meter's MQTT link, with the face of link_end.LinkEnd: a subscriber at a broker."""

from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from meter_protocol import topics

AT_LEAST_ONCE = 1


class MqttEnd:
    """`receive` is called with each payload, in the subscriber's thread. The first meter on the broker is ours."""

    def __init__(self, receive: Callable[[bytes], None], host: str, port: int) -> None:
        self._receive = receive
        self._down: str | None = None
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe(topics.UP_FILTER, AT_LEAST_ONCE)
        self._client.connect(host, port)
        self._client.loop_start()

    def send(self, payload: bytes) -> bool:
        """False if no meter has spoken yet."""
        if self._down is None:
            return False
        self._client.publish(self._down, payload, AT_LEAST_ONCE)
        return True

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        _, kid = message.topic.removesuffix("/up").rsplit("/", 1)
        self._down = topics.down(bytes.fromhex(kid))
        self._receive(bytes(message.payload))
