"""A line for tests of buses: what arrives when follows a script on a virtual clock, not the machine.

The script answers each request with (delay in ms, bytes) pieces, or with "lost": the connection breaks.
"""

import asyncio
import errno


class ScriptedLine:
    def __init__(self, script, refusals=0):
        self.now = 1000
        self.script = script
        self.refusals = refusals
        self.is_open = False
        self.written = []
        self.connections = 0
        self.attempts = 0
        self.arriving = []
        self.held = False

    def ticks_ms(self):
        return self.now

    async def reconnect(self):
        self.attempts += 1
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ECONNREFUSED)
        self.is_open = True
        self.connections += 1

    async def write(self, frame):
        self.written.append(frame)
        answer = self.script.pop(0) if self.script else []
        if answer == "lost":
            raise OSError(errno.ECONNRESET)
        for delay_ms, data in answer:
            self.arriving.append((self.now + delay_ms, data))

    async def read_some(self, timeout_ms):
        await asyncio.sleep_ms(0)
        while self.held:
            await asyncio.sleep_ms(0)
        if self.arriving and self.arriving[0][0] <= self.now + timeout_ms:
            due, data = self.arriving.pop(0)
            self.now = max(self.now, due)
            return data
        self.now += timeout_ms
        return b""

    def drain(self):
        self.arriving = [piece for piece in self.arriving if piece[0] > self.now]

    def close(self):
        self.is_open = False
        self.arriving = []
