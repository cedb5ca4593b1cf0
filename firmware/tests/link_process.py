"""Runs on MicroPython: one link as a meter would use it, beside a sampling loop whose delays are measured.

Its first line of input is a JSON object, because MicroPython takes no argument of more than 255 bytes. The
process hands over `frames` frames, each as often as it takes, waits until as many have come back as `expect`
says, and writes one JSON object per line: what was handed over, each trouble, and a summary at the end.
test_links_*.py play the other side.
"""

import asyncio
import gc
import json
import os
import random
import struct
import sys
import time

from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.serial import SerialLink
from meter_firmware.links.tcp import TcpTarget
from meter_firmware.links.tls_settings import TlsSettings
from meter_firmware.links.tty import Tty

SAMPLING_MS = 5
HEAP_WARM_UP = 200
SESSIONS_WARM_UP = 5


def say(**event):
    print(json.dumps(event))


def frame(index, size):
    """The index and a pattern with every byte value in it."""
    head = struct.pack(">I", index)
    return head + bytes([(index + i) & 0xFF for i in range(size - len(head))])


class Process:
    def __init__(self, config):
        self.config = config
        self.size = config.get("size", 340)
        self.gap_ms = 0
        self.failures = 0
        self.troubles = 0
        self.corrupt = 0
        self.echoed = bytearray(config["frames"])
        self.heap_growth = None
        backoff = Backoff(random.randrange, base_ms=50, limit_ms=config.get("longest_delay_ms", 400))
        self.link = self.make_link(backoff)
        self.link.receive = self.receive

    def make_link(self, backoff):
        config = self.config
        settings = config.get("settings", {})
        if "tty" in config:
            return SerialLink(Tty(config["tty"]).open, backoff, on_trouble=self.trouble, **settings)
        tls = TlsSettings(**config["tls"]) if "tls" in config else None
        target = TcpTarget(config["host"], config["port"], tls)
        if "up" not in config:
            return SerialLink(target.open, backoff, on_trouble=self.trouble, **settings)
        return MqttLink(
            target.open, backoff, "meter", config["up"], config["down"], on_trouble=self.trouble, **settings
        )

    def trouble(self, reason):
        self.troubles += 1
        say(trouble=reason, fault=repr(self.link.last_fault))

    def receive(self, payload):
        index = struct.unpack(">I", payload)[0] if len(payload) >= 4 else len(self.echoed)
        if index >= len(self.echoed) or payload != frame(index, self.size):
            self.corrupt += 1
        else:
            self.echoed[index] = 1

    async def sample(self):
        """A gap is what the loop waited for, but for a processor: a busy machine is no fault of the link's."""
        before, queued_before = time.ticks_ms(), queued_ms()
        while True:
            await asyncio.sleep_ms(SAMPLING_MS)
            now, queued = time.ticks_ms(), queued_ms()
            waited = time.ticks_diff(now, before) - SAMPLING_MS
            self.gap_ms = max(self.gap_ms, waited - (queued - queued_before))
            before, queued_before = now, queued

    async def hand_over(self):
        """Whether it did; it ends early after so many troubles as `give_up_after` says."""
        most_troubles = self.config.get("give_up_after", 1 << 30)
        interval_ms = self.config.get("interval_ms", 0)
        for index in range(self.config["frames"]):
            if index == HEAP_WARM_UP:
                heap_before = heap()
            payload = frame(index, self.size)
            while not (self.link.connected and await self.link.send(payload)):
                if self.troubles >= most_troubles:
                    return False
                self.failures += self.link.connected
                await asyncio.sleep_ms(10)
            if not self.config.get("quiet"):
                say(handed_over=index)
            if interval_ms:
                await asyncio.sleep_ms(interval_ms)
        if self.config["frames"] > HEAP_WARM_UP:
            self.heap_growth = heap() - heap_before
        return True

    async def reconnect(self, sessions):
        """End the session and begin another, so many times; what the heap grew by after the first few."""
        before = 0
        for session in range(sessions):
            running = asyncio.create_task(self.link.run())
            while not self.link.connected:
                await asyncio.sleep_ms(1)
            running.cancel()
            while self.link.connected:
                await asyncio.sleep_ms(1)
            if session == SESSIONS_WARM_UP:
                before = heap()
        self.heap_growth = heap() - before

    async def collect(self):
        while sum(self.echoed) < self.config.get("expect", 0):
            await asyncio.sleep_ms(20)

    async def run(self):
        sampling = asyncio.create_task(self.sample())
        await self.reconnect(self.config.get("sessions", 0))
        running = asyncio.create_task(self.link.run())
        started = time.ticks_ms()
        try:
            complete = await asyncio.wait_for_ms(self.hand_over(), self.config["run_ms"])
            await asyncio.wait_for_ms(self.collect(), self.config["run_ms"])
        except asyncio.TimeoutError:  # noqa: UP041  MicroPython has no builtin of that name
            complete = False
        elapsed_ms = time.ticks_diff(time.ticks_ms(), started)
        say(
            complete=complete,
            connected=self.link.connected,
            still_running=not running.done(),
            echoed=sum(self.echoed),
            corrupt=self.corrupt,
            failures=self.failures,
            gap_ms=self.gap_ms,
            heap_growth=self.heap_growth,
            elapsed_ms=elapsed_ms,
            descriptors=len(os.listdir("/dev/fd")),  # noqa: PTH208  MicroPython has no pathlib
        )
        for task in (running, sampling):
            task.cancel()
        await asyncio.sleep_ms(20)


def queued_ms():
    """How long this process was ready to run and had no processor (Linux, sched-stats: the second number)."""
    try:
        with open("/proc/self/schedstat") as file:  # noqa: PTH123  MicroPython has no pathlib
            return int(file.read().split()[1]) // 1_000_000
    except OSError:
        return 0


def heap():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


asyncio.run(Process(json.loads(sys.stdin.readline())).run())
