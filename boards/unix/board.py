"""The unix board: this host as a meter, for development, the demo and CI.

Its configuration is the JSON file named on the command line (README.md beside this file says every key).
Flash is a file under LittleFS, buses are TCP or a tty, the key is a software key and says so.
"""

import json
import os
import sys
from binascii import hexlify

from clocks import DrivenClock, HostClock

from meter_firmware import blockdev
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.serial import SerialLink
from meter_firmware.links.tcp import TcpTarget
from meter_firmware.links.tls_settings import TlsSettings
from meter_firmware.links.tty import Tty
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import serial_line, tcp_line
from meter_firmware.sealing import SoftwareSigner
from meter_protocol import topics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROOT = "/meter"
_BACKOFF_LIMIT_MS = 10000


class UnixBoard:
    maker = "carbonmeter"
    model = "unix"

    def __init__(self, config: "dict[str, Any]") -> None:
        self._config = config
        self.serial = config["serial"]
        self.journal_bytes = config.get("journal_bytes", 2 << 20)
        replay = config.get("replay")
        self.clock: "HostClock | DrivenClock"
        if replay is None:
            self.clock = HostClock()
        else:
            self.clock = DrivenClock(replay["clock_file"], replay["until_ms"], replay.get("pace_ms", 0))
        self._host = HostClock()
        self._ending_ms: "int | None" = None
        buses = config["buses"]
        # All of them at once: a mistake in the configuration shows at the start, not when a set names the bus.
        self._masters: "dict[str, ModbusMaster]" = {name: _make_master(buses[name]) for name in buses}

    def link_ms(self) -> int:
        return self._host.ticks_ms()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def say(self, line: str) -> None:
        print(line)

    def mount(self) -> str:
        # LittleFS needs room beside the journal's segments: a tenth and sixteen blocks at least.
        blocks = self.journal_bytes * 5 // 4 // blockdev.BLOCK_SIZE + 32
        blockdev.mount(blockdev.FileBlockDevice(self._config["flash"], blocks), _ROOT)
        return _ROOT

    def make_signer(self, memory: Memory) -> SoftwareSigner:
        """The key is made here, on first boot, and stays here."""
        private = memory.read("key")
        if private is None:
            private = os.urandom(32)
            memory.write("key", private)
        return SoftwareSigner(private)

    def authority_keys(self) -> "list[bytes]":
        return [bytes.fromhex(key) for key in self._config["authority_keys"]]

    def software_files(self) -> "list[tuple[str, str]]":
        files: "list[tuple[str, str]]" = []
        for folder in sys.path:
            for package in ("meter_protocol", "meter_firmware"):
                if folder:
                    _list_files(folder + "/" + package, package, files)
        _list_files(__file__.rpartition("/")[0] or ".", "board", files)
        return files

    def master(self, bus: str) -> ModbusMaster:
        return self._masters[bus]

    def make_link(self, kid: bytes) -> "MqttLink | SerialLink":
        config = self._config["link"]
        backoff = Backoff(_random_below, limit_ms=_BACKOFF_LIMIT_MS)
        if config["type"] == "serial":
            target = Tty(config["port"]) if "port" in config else TcpTarget(config["host"], config["tcp_port"])
            return SerialLink(target.open, backoff)
        tls = None
        if "ca_file" in config:
            tls = TlsSettings(config["ca_file"], config["server_hostname"])
        return MqttLink(
            TcpTarget(config["host"], config["port"], tls).open,
            backoff,
            "meter-" + hexlify(kid).decode(),
            topics.up(kid),
            topics.down(kid),
            config.get("username"),
            config.get("password"),
        )

    def finished(self) -> bool:
        """True once the host has asked for an orderly end, or the replay's trace is over."""
        if isinstance(self.clock, DrivenClock):
            over = self.clock.ended
        else:
            over = "stop_file" in self._config and _exists(self._config["stop_file"])
        if over and self._ending_ms is None:
            self._ending_ms = self.link_ms()
        return over

    def drained_late(self) -> bool:
        """True when an orderly end has waited long enough for the last receipt."""
        assert self._ending_ms is not None
        limit_ms: int = self._config.get("drain_s", 30) * 1000
        return self.link_ms() - self._ending_ms > limit_ms


def board() -> UnixBoard:
    """The board that the command line's configuration describes."""
    with open(sys.argv[1]) as file:
        return UnixBoard(json.load(file))


def _make_master(config: "dict[str, Any]") -> ModbusMaster:
    """A bus is a tty with RTU frames, or TCP with Modbus TCP ("tcp") or RTU frames ("rtu") on it."""
    if "port" in config:
        return ModbusMaster(serial_line(config["port"], config["baud"]), "rtu")
    return ModbusMaster(tcp_line(config["host"], config["tcp_port"]), config["framing"])


def _random_below(limit: int) -> int:
    return int.from_bytes(os.urandom(4), "big") % limit


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _list_files(folder: str, name: str, files: "list[tuple[str, str]]") -> None:
    """(name, path) of every Python file below a folder."""
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return
    for entry in entries:
        if entry[1] & 0x4000:
            if entry[0] != "__pycache__":
                _list_files(folder + "/" + entry[0], name + "/" + entry[0], files)
        elif entry[0].endswith(".py") or entry[0].endswith(".mpy"):
            files.append((name + "/" + entry[0], folder + "/" + entry[0]))
