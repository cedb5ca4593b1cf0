"""The load generator of the broker's turn: many meters behind one MQTT connection (paho), as a process of its own.

Each meter publishes its backlog (QoS 1) and keeps a window of bytes open, as the firmware does: it goes on when
the gateway's signed receipt has come. `python -m … PORT FILE…` ends when everything is receipted, and prints how
many messages that were and in how many seconds.
"""

import json
import sys
import threading
import time
from collections import deque
from pathlib import Path

import cbor2
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from meter_gateway import decode
from meter_protocol import cose, topics
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.bench.load import publishes

WINDOW_BYTES = 16384
"""meter_firmware.delivery.WINDOW_BYTES"""


class Backlog:
    """What one meter has to send: payloads with the sequence of their last message."""

    def __init__(self, kid: bytes) -> None:
        self.topic = topics.up(kid)
        self.waiting: deque[tuple[bytes, int]] = deque()
        self.under_way: deque[tuple[int, int]] = deque()
        self.messages = 0

    def add(self, payload: bytes) -> None:
        parts, _ = decode.split_sequence(payload)
        last = cbor2.loads(parts[-1].payload)[f.SEQUENCE]
        self.waiting.append((payload, last))
        self.messages = last + 1

    def send(self, client: mqtt.Client) -> None:
        """As much as the window takes."""
        room = WINDOW_BYTES - sum(size for _, size in self.under_way)
        while self.waiting and len(self.waiting[0][0]) <= room:
            payload, last = self.waiting.popleft()
            self.under_way.append((last, len(payload)))
            room -= len(payload)
            client.publish(self.topic, payload, qos=1)

    def receipt(self, sequence: int) -> None:
        while self.under_way and self.under_way[0][0] <= sequence:
            self.under_way.popleft()

    @property
    def is_done(self) -> bool:
        return not self.waiting and not self.under_way


def main(port: int, paths: list[Path]) -> None:
    backlogs: dict[str, Backlog] = {}
    for path in paths:
        for kid, payload in publishes(path):
            backlogs.setdefault(topics.down(kid), Backlog(kid)).add(payload)
    done = threading.Event()
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        backlog = backlogs[message.topic]
        parts = cose.split(bytes(message.payload))
        if parts.typ == t.RECEIPT:
            backlog.receipt(cbor2.loads(parts.payload)[f.SEQUENCE])
            backlog.send(client)
            if backlog.is_done and all(other.is_done for other in backlogs.values()):
                done.set()

    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    client.max_inflight_messages_set(65535)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe([(topic, 1) for topic in backlogs])
    subscribed.wait()
    started_s = time.perf_counter()
    for backlog in backlogs.values():
        backlog.send(client)
    done.wait()
    elapsed_s = time.perf_counter() - started_s
    client.disconnect()
    client.loop_stop()
    print(json.dumps({"messages": sum(b.messages for b in backlogs.values()), "seconds": elapsed_s}))


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
