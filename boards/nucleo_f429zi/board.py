"""The Nucleo-F429ZI as a meter: Ethernet to the broker, instruments on RS-485, I2C and contacts."""

import board_base
import network
import uctypes
from machine import I2C, UART, WDT, Pin, unique_id

from meter_firmware.base_board import BaseBoard
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.pin_pulses import PinPulses
from meter_firmware.links import factory_link
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.uart import Rs485, Uart
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import StreamLine
from meter_firmware.signers import key_file
from meter_firmware.signers.native import NativeSigner

RS485_UART = 2
RS485_BAUD = 9600
CONSOLE_UART = 3
SENSOR_I2C = 1
SENSOR_HZ = 50000
"""What an SCD30 bears."""

CLOCK_STRETCH_US = 200000
RECEIVE_BYTES = 512

WATCHDOG_MS = 30000
"""Its oscillator is anything between 17 and 47 kHz: 20 s at least, more than a boot or an erased slot takes."""

IMAGE_START = 0x08000000
IMAGE_BYTES = 1 << 20


class NucleoF429zi(BaseBoard):
    model = "nucleo_f429zi"

    def __init__(self) -> None:
        contacts = [Pin(name, Pin.IN, Pin.PULL_UP) for name in ("PULSE0", "PULSE1")]
        rs485 = UART(RS485_UART, RS485_BAUD, bits=8, parity=None, stop=1, timeout=0, rxbuf=RECEIVE_BYTES)
        buses = {
            "modbus0": ModbusMaster(StreamLine(Rs485(rs485, Pin("RS485_ENABLE", Pin.OUT, value=0))), "rtu"),
            "i2c0": I2cBus(I2C(SENSOR_I2C, freq=SENSOR_HZ, timeout=CLOCK_STRETCH_US)),
            "pulse0": PinPulses(contacts, hard=True),
        }
        super().__init__(board_base, buses, WDT(timeout=WATCHDOG_MS), unique_id())
        self.image_region = uctypes.bytearray_at(IMAGE_START, IMAGE_BYTES)

    def make_signer(self, memory: Memory) -> NativeSigner:
        """The key is made here, on first boot, and stays here."""
        return NativeSigner(key_file.private_key(memory, self.random))

    def make_link(self, kid: bytes) -> MqttLink:
        return factory_link.make(self.broker(), kid, self.backoff(), lan=network.LAN())

    def provisioning_line(self) -> Uart:
        """The ST-LINK's serial port."""
        return Uart(UART(CONSOLE_UART))


def board() -> NucleoF429zi:
    return NucleoF429zi()
