"""A small MQTT 3.1.1 client: publishes and one subscription, both at QoS 1, under asyncio.

`serve` works one connection off after the other; `publish` is called from other tasks meanwhile. Nothing is
stored here: what was not acknowledged returns False, and the caller sends it again as a new PUBLISH (so DUP
is never set and the session is clean unless told otherwise). A PUBACK that comes after its publish was given
up is ignored; packet identifiers come round again only after 65,535 others.

A peer that is there but says nothing is found out three ways: PINGREQ without any packet in return, a write
that cannot go on, and publishes that nobody acknowledges. Buffers are allocated once.
"""

import asyncio

from meter_firmware.links import LinkError, mqtt_packets
from meter_firmware.links.mqtt_packets import Connack, Pingresp, Puback, Publish, Suback
from meter_firmware.links.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from meter_firmware.links.streams import ByteStream

    Packet = Connack | Publish | Puback | Suback | Pingresp

MAX_IN_FLIGHT = 4
MAX_SILENT_PUBLISHES = 3
"""Publishes in a row without a PUBACK after which the connection is given up, although pings are answered."""

LOGIN_REFUSALS = (4, 5)
"""§3.2.2.3: bad user name or password, not authorised."""


class _Flight:
    """One PUBLISH on its way. Packet identifier 0 means that the place is free."""

    def __init__(self) -> None:
        self.packet_id = 0
        self.acknowledged = False
        self.landed = asyncio.Event()

    def land(self, acknowledged: bool) -> None:
        self.acknowledged = acknowledged
        self.landed.set()


class MqttClient:
    def __init__(
        self,
        client_id: str,
        up_topic: str,
        down_topic: str,
        username: "str | None",
        password: "str | None",
        clean_session: bool,
        keepalive_s: int,
        max_payload: int,
        timeout_ms: int,
        deliver: "Callable[[bytes], None]",
        note: "Callable[[str], None]",
    ) -> None:
        """`deliver` takes each payload before it is acknowledged, `note` what does not end a session."""
        self._connect_packet = mqtt_packets.connect(
            client_id.encode(),
            None if username is None else username.encode(),
            None if password is None else password.encode(),
            clean_session,
            keepalive_s,
        )
        self._clean_session = clean_session
        self._keepalive_ms = keepalive_s * 1000
        self._up_topic = up_topic.encode()
        self._down_topic = down_topic.encode()
        self._max_payload = max_payload
        self._timeout_ms = timeout_ms
        self._deliver = deliver
        self._note = note
        longest_topic = max(len(self._up_topic), len(self._down_topic))
        size = max_payload + longest_topic + mqtt_packets.LARGEST_OVERHEAD
        self._parser = mqtt_packets.Parser(size)
        self._out = bytearray(size)
        self._out_view = memoryview(self._out)
        self._flights = [_Flight() for _ in range(MAX_IN_FLIGHT)]
        self._write_lock = asyncio.Lock()
        self._last_packet_id = 0
        self._stream: "ByteStream | None" = None
        self._session = Session()
        self._peer_is_alive = False
        self._silent_publishes = 0
        self.up = False

    async def serve(self, stream: "ByteStream") -> None:
        """Log in, subscribe, and keep the session until it ends; always raises why."""
        self._stream = stream
        self._session = Session()
        self._parser.reset()
        self._silent_publishes = 0
        try:
            await asyncio.wait_for_ms(self._join(), self._timeout_ms)
            self.up = True
            await self._session.run([self._read_loop(), self._keepalive_loop()])
        except asyncio.TimeoutError:
            raise LinkError("mqtt_no_answer")
        except asyncio.CancelledError:
            stream.write_now(mqtt_packets.DISCONNECT_PACKET)
            raise
        finally:
            self.up = False
            self._stream = None
            for flight in self._flights:
                flight.land(False)

    async def publish(self, payload: bytes) -> bool:
        """True when the broker acknowledged it; False in bounded time on any trouble."""
        if len(payload) > self._max_payload:
            raise LinkError("frame_too_large")
        flight = self._free_flight()
        if not self.up or flight is None:
            return False
        session = self._session
        flight.packet_id = self._next_packet_id()
        flight.acknowledged = False
        flight.landed.clear()
        try:
            await self._write_publish(flight.packet_id, payload)
            await asyncio.wait_for_ms(flight.landed.wait(), self._timeout_ms)
            self._silent_publishes = 0
            return flight.acknowledged
        except asyncio.TimeoutError:
            self._silent_publishes += 1
            if self._silent_publishes >= MAX_SILENT_PUBLISHES:
                session.end(LinkError("mqtt_puback_timeout"))
            return False
        except asyncio.CancelledError:
            session.end(LinkError("send_cancelled"))
            raise
        except (LinkError, OSError) as error:
            # Half a packet may be out: nothing sensible can follow it on this connection.
            session.end(error)
            return False
        finally:
            flight.packet_id = 0

    # One session

    async def _join(self) -> None:
        await self._write(self._connect_packet)
        answer = await self._receive()
        if not isinstance(answer, Connack):  # MQTT-3.2.0-1
            raise LinkError("mqtt_out_of_turn")
        if answer.return_code in LOGIN_REFUSALS:
            raise LinkError("mqtt_login_refused")
        if answer.return_code:
            raise LinkError("mqtt_refused")
        if answer.session_present and self._clean_session:  # MQTT-3.2.2-1
            raise LinkError("mqtt_flags")
        packet_id = self._next_packet_id()
        await self._write(mqtt_packets.subscribe(packet_id, self._down_topic))
        # What matches may come before the SUBACK (§3.8.4).
        answer = await self._receive()
        while not isinstance(answer, Suback):
            await self._take(answer)
            answer = await self._receive()
        if answer.packet_id != packet_id:
            raise LinkError("mqtt_packet_id")
        if answer.return_code == mqtt_packets.SUBACK_FAILURE:
            raise LinkError("mqtt_subscribe_refused")

    async def _read_loop(self) -> None:
        while True:
            packet = await self._receive()
            self._peer_is_alive = True
            await self._take(packet)

    async def _keepalive_loop(self) -> None:
        """A PINGREQ at least every ¾ of what CONNECT announced; any packet in return is a sign of life."""
        while True:
            await asyncio.sleep_ms(self._keepalive_ms // 2)
            self._peer_is_alive = False
            await self._write(mqtt_packets.PINGREQ_PACKET)
            await asyncio.sleep_ms(self._keepalive_ms // 4)
            if not self._peer_is_alive:
                raise LinkError("mqtt_ping_timeout")

    async def _receive(self) -> "Packet":
        while True:
            packet = self._parser.next_packet()
            if packet is not None:
                return packet
            self._parser.advance(await self._open_stream().read_into(self._parser.space()))

    async def _take(self, packet: "Packet") -> None:
        if isinstance(packet, Publish):
            self._take_publish(packet)
            if packet.packet_id is not None:
                await self._write(mqtt_packets.puback(packet.packet_id))
        elif isinstance(packet, Puback):
            for flight in self._flights:
                if flight.packet_id == packet.packet_id:
                    flight.land(True)
        elif not isinstance(packet, Pingresp):
            raise LinkError("mqtt_out_of_turn")

    def _take_publish(self, packet: Publish) -> None:
        """What is of no use is acknowledged all the same, or the broker would keep a place for it."""
        if packet.topic != self._down_topic:
            self._note("inbound_topic")
        elif packet.payload is None:
            self._note("inbound_too_large")
        else:
            self._deliver(packet.payload)

    async def _write(self, packet: bytes) -> None:
        stream = self._open_stream()
        async with self._write_lock:
            await stream.write_all(packet, self._timeout_ms)

    async def _write_publish(self, packet_id: int, payload: bytes) -> None:
        stream = self._open_stream()
        async with self._write_lock:
            length = mqtt_packets.put_publish(self._out, self._up_topic, packet_id, payload)
            await stream.write_all(self._out_view[:length], self._timeout_ms)

    def _open_stream(self) -> "ByteStream":
        if self._stream is None:
            raise LinkError("stream_closed")
        return self._stream

    def _free_flight(self) -> "_Flight | None":
        for flight in self._flights:
            if flight.packet_id == 0:
                return flight
        return None

    def _next_packet_id(self) -> int:
        self._last_packet_id = self._last_packet_id % 0xFFFF + 1
        return self._last_packet_id
