"""The unix board: this host as a meter, for development, the demo and CI.

Its configuration is the JSON file named on the command line (README.md beside this file says every key).
Flash is a file under LittleFS, buses are TCP or a tty, the key is a software key unless the file says otherwise.
"""

import os
import sys
from binascii import hexlify

import board_base
from clocks import Ahead, DrivenClock
from remote_buses import RemoteI2c, RemoteOneWire, Wire
from remote_pulses import RemotePulses, remote_pulses
from remote_spi import remote_spi

from meter_firmware import monotonic
from meter_firmware.board_clock import BoardClock
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.onewire import OneWireBus
from meter_firmware.buses.spi import SpiBus
from meter_firmware.links import factory_link
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.serial import SerialLink
from meter_firmware.links.tcp import TcpTarget
from meter_firmware.links.tls_settings import TlsSettings
from meter_firmware.links.tty import Tty
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import serial_line, tcp_line
from meter_firmware.signer_boot import has_no_key
from meter_firmware.signers import key_file
from meter_firmware.signers.atecc608 import Atecc608Signer
from meter_firmware.signers.native import NativeSigner
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import topics
from meter_sampling.serial_bus import SerialBus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Bus = ModbusMaster | SerialBus | I2cBus | OneWireBus | SpiBus | RemotePulses

_BACKOFF_LIMIT_MS = 10000
_FEED_MS = 1000

MODBUS_TIMEOUT_MS = 500
SERIAL_TIMEOUT_MS = 2000
"""A DL/T 645 meter may think for half a second; the longest M-Bus frame takes 1.2 s at 2400 baud."""


class UnixBoard:
    maker = "carbonmeter"
    model = "unix"
    image_region = None
    hardware_id = None

    def __init__(self, config: "dict[str, Any]") -> None:
        self._config = config
        self.factory = board_base.factory()
        self.journal_bytes = board_base.journal_bytes()
        self.update_site = board_base.update_site()
        self.link_ms = monotonic.now_ms
        """Monotonic milliseconds that no replay accelerates."""
        replay = config.get("replay")
        self.clock: "BoardClock | DrivenClock"
        if "ahead_file" in config:
            ahead = Ahead(config["ahead_file"])
            self.clock, self.link_ms = ahead.clock(), ahead.now_ms
        elif replay is None:
            self.clock = BoardClock()
        else:
            self.clock = DrivenClock(replay["clock_file"], replay["until_ms"], replay.get("pace_ms", 0))
        self._ending_ms: "int | None" = None
        self._feed_due_ms = 0
        buses = config["buses"]
        # All of them at once: a mistake in the configuration shows at the start, not when a set names the bus.
        self._buses: "dict[str, Bus]" = {name: _make_bus(buses[name]) for name in buses}

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def say(self, line: str) -> None:
        print(line)

    def mount(self) -> str:
        return board_base.mount()

    def make_signer(self, memory: Memory) -> "Atecc608Signer | NativeSigner | SoftwareSigner":
        """The key is made here, on first boot, and stays here."""
        signer = self._config.get("signer", "software")
        if isinstance(signer, dict):
            i2c = RemoteI2c(Wire(signer["host"], signer["tcp_port"]))
            return Atecc608Signer(i2c, generate=has_no_key(memory))
        if signer not in ("software", "native"):
            raise ValueError("signer")
        private = key_file.private_key(memory, self.random)
        return NativeSigner(private) if signer == "native" else SoftwareSigner(private)

    def renew_key(self, memory: Memory) -> None:
        signer = self._config.get("signer", "software")
        if isinstance(signer, dict):
            Atecc608Signer(RemoteI2c(Wire(signer["host"], signer["tcp_port"]))).renew()
        key_file.forget(memory)

    def provisioning_line(self) -> "Tty | TcpTarget | None":
        config = self._config.get("provisioning")
        return None if config is None else _line(config)

    def software_files(self) -> "list[tuple[str, str]]":
        """The golden copy: this checkout, as the interpreter finds it."""
        files: "list[tuple[str, str]]" = []
        for folder in sys.path:
            for package in ("meter_protocol", "meter_sampling", "meter_firmware", "meter_loader"):
                if folder:
                    _list_files(folder + "/" + package, package, files)
        _list_files(__file__.rpartition("/")[0] or ".", "board", files)
        return files

    def bus(self, name: str) -> "Bus":
        return self._buses[name]

    def make_link(self, kid: bytes) -> "MqttLink | SerialLink":
        backoff = Backoff(_random_below, limit_ms=_BACKOFF_LIMIT_MS)
        if "link" not in self._config:
            assert self.factory is not None
            if self.factory.link is None:
                raise ValueError("neither the configuration nor the factory record says where the gateway is")
            return factory_link.make(self.factory.link, kid, backoff)
        config = self._config["link"]
        if config["type"] == "serial":
            return SerialLink(_line(config).open, backoff)
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

    def feed_watchdog(self) -> None:
        """A host has no watchdog of its own: whoever supervises the process looks at this file's time."""
        path = self._config.get("watchdog_file")
        if path is not None and self.link_ms() >= self._feed_due_ms:
            self._feed_due_ms = self.link_ms() + _FEED_MS
            with open(path, "wb") as file:
                file.write(b"fed")

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
    return UnixBoard(board_base.config())


def _make_bus(config: "dict[str, Any]") -> "Bus":
    """A bus is a line, a tty or TCP, and what is spoken on it: Modbus, or whatever its instruments' drivers say.

    Modbus on a tty is RTU; on TCP its framing is named, "tcp" or "rtu". I2C, 1-Wire, SPI and contacts end in a
    socket.
    """
    if config.get("kind") == "i2c":
        return I2cBus(RemoteI2c(Wire(config["host"], config["tcp_port"])))
    if config.get("kind") == "onewire":
        return OneWireBus(RemoteOneWire(Wire(config["host"], config["tcp_port"])))
    if config.get("kind") == "spi":
        return remote_spi(config)
    if config.get("kind") == "pulse":
        return remote_pulses(config)
    if "port" in config:
        line = serial_line(config["port"], config["baud"], config.get("parity", "none"))
    else:
        line = tcp_line(config["host"], config["tcp_port"])
    if config.get("kind", "modbus") == "serial":
        return SerialBus(line, config.get("timeout_ms", SERIAL_TIMEOUT_MS))
    framing = "rtu" if "port" in config else config["framing"]
    return ModbusMaster(line, framing, config.get("timeout_ms", MODBUS_TIMEOUT_MS))


def _line(config: "dict[str, Any]") -> "Tty | TcpTarget":
    return Tty(config["port"]) if "port" in config else TcpTarget(config["host"], config["tcp_port"])


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
