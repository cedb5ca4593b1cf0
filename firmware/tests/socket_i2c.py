"""On MicroPython: an I2C controller like machine.I2C whose bus is in another process, with time of its own.

One line out, one line back: `W address hex` -> `A` or `N`; `R address count` -> hex or `N`; `S us` -> `A`: the
bus's time goes on that far without anything happening. `sleep_us` is for drivers that wait.
"""

import socket

ENODEV = 19


class SocketI2c:
    def __init__(self, port):
        self._connection = socket.socket()
        self._connection.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])

    def writeto(self, address, frame):
        if self._ask(f"W {address} {frame.hex()}") == "N":
            raise OSError(ENODEV)

    def readfrom(self, address, count):
        answer = self._ask(f"R {address} {count}")
        if answer == "N":
            raise OSError(ENODEV)
        return bytes.fromhex(answer)

    def sleep_us(self, us):
        self._ask(f"S {us}")

    def _ask(self, line):
        self._connection.send(line.encode() + b"\n")
        return self._connection.readline().decode().strip()
