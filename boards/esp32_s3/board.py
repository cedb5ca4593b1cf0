"""The ESP32-S3 with PSRAM as a meter: Wi-Fi to the broker, instruments on RS-485, I2C and contacts."""

import sys

import board_base
import network
import pins
from esp32 import Partition
from machine import I2C, UART, WDT, Pin, SoftI2C, unique_id

from meter_firmware.base_board import BaseBoard
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.pin_pulses import PinPulses
from meter_firmware.links import factory_link
from meter_firmware.links.console import Console
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.uart import Rs485
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import StreamLine
from meter_firmware.signer_boot import has_no_key
from meter_firmware.signers import key_file
from meter_firmware.signers.atecc608 import Atecc608Signer
from meter_firmware.signers.native import NativeSigner

ELEMENT_FITTED: bool = False
"""Whether there is an ATECC608. A meter keeps its key for life: decide before its first boot."""

ELEMENT_I2C = 0
ELEMENT_HZ = 100000
RS485_UART = 1
RS485_BAUD = 9600
RECEIVE_BYTES = 512
SENSOR_HZ = 50000
"""What an SCD30 bears."""

CLOCK_STRETCH_US = 200000
"""An SCD30 stretches the clock for 150 ms, the chip's own controller bears 105: so this bus is bit-banged."""

WATCHDOG_MS = 30000

DESCRIPTION_OFFSET = 32
DESCRIPTION_BYTES = 256
"""ESP-IDF's esp_app_desc_t, behind the headers of the image: with the SHA-256 of what was linked."""


class Esp32S3(BaseBoard):
    model = "esp32_s3"

    def __init__(self) -> None:
        rs485 = UART(RS485_UART, RS485_BAUD, tx=pins.RS485_TX, rx=pins.RS485_RX, timeout=0, rxbuf=RECEIVE_BYTES)
        sensors = SoftI2C(
            scl=Pin(pins.SENSOR_SCL), sda=Pin(pins.SENSOR_SDA), freq=SENSOR_HZ, timeout=CLOCK_STRETCH_US
        )
        contacts = [Pin(number, Pin.IN, Pin.PULL_UP) for number in (pins.PULSE0, pins.PULSE1)]
        buses = {
            "modbus0": ModbusMaster(StreamLine(Rs485(rs485, Pin(pins.RS485_ENABLE, Pin.OUT, value=0))), "rtu"),
            "i2c0": I2cBus(sensors),
            "pulse0": PinPulses(contacts),
        }
        super().__init__(board_base, buses, WDT(timeout=WATCHDOG_MS), unique_id())
        description = bytearray(DESCRIPTION_BYTES)
        image = Partition(Partition.RUNNING)  # type: ignore[arg-type]  # the stubs know of names only
        image.readblocks(0, description, DESCRIPTION_OFFSET)
        self.image_region = description

    def make_signer(self, memory: Memory) -> "Atecc608Signer | NativeSigner":
        """The key is made here, on first boot, and stays here."""
        if ELEMENT_FITTED:
            return Atecc608Signer(_element(), generate=has_no_key(memory))
        return NativeSigner(key_file.private_key(memory, self.random))

    def renew_key(self, memory: Memory) -> None:
        if ELEMENT_FITTED:
            Atecc608Signer(_element()).renew()
        super().renew_key(memory)

    def make_link(self, kid: bytes) -> MqttLink:
        return factory_link.make(self.broker(), kid, self.backoff(), station=network.WLAN(network.WLAN.IF_STA))

    def provisioning_line(self) -> Console:
        return Console(sys.stdin.buffer, sys.stdout.buffer)


def board() -> Esp32S3:
    return Esp32S3()


def _element() -> I2C:
    return I2C(ELEMENT_I2C, scl=Pin(pins.ELEMENT_SCL), sda=Pin(pins.ELEMENT_SDA), freq=ELEMENT_HZ)
