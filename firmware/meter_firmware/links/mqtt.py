"""The meter's link through an MQTT broker. The topics come from meter_protocol.topics (SPEC §10)."""

from meter_firmware.links.link import MAX_PAYLOAD, Link
from meter_firmware.links.mqtt_client import MqttClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Awaitable, Callable

    from meter_firmware.links.backoff import Backoff
    from meter_firmware.links.streams import ByteStream

KEEPALIVE_S = 30
TIMEOUT_MS = 10000


class MqttLink(Link):
    def __init__(
        self,
        open_stream: "Callable[[], Awaitable[ByteStream]]",
        backoff: "Backoff",
        client_id: str,
        up_topic: str,
        down_topic: str,
        username: "str | None" = None,
        password: "str | None" = None,
        clean_session: bool = True,
        keepalive_s: int = KEEPALIVE_S,
        max_payload: int = MAX_PAYLOAD,
        timeout_ms: int = TIMEOUT_MS,
        on_trouble: "Callable[[str], None] | None" = None,
    ) -> None:
        """`timeout_ms` bounds each of log-in, one write, one PUBACK; `keepalive_s` a silence unnoticed."""
        super().__init__(open_stream, backoff, on_trouble)
        self._client = MqttClient(
            client_id,
            up_topic,
            down_topic,
            username,
            password,
            clean_session,
            keepalive_s,
            max_payload,
            timeout_ms,
            self._deliver,
            self._note,
        )

    @property
    def connected(self) -> bool:
        return self._client.up

    async def send(self, frame: bytes) -> bool:
        handed_over = await self._client.publish(frame)
        if handed_over:
            self._backoff.reset()
        return handed_over

    async def _serve(self, stream: "ByteStream") -> None:
        await self._client.serve(stream)
