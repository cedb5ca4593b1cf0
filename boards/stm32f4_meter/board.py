"""The meter board: three-phase front end, instruments on two RS-485 lines, sensors, contacts, secure element."""

import board_base
import pyb
import uctypes
from machine import I2C, SPI, UART, WDT, Pin, unique_id

from meter_firmware.base_board import BaseBoard
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.buses.pin_pulses import PinPulses
from meter_firmware.buses.spi import SpiBus
from meter_firmware.links.serial import SerialLink
from meter_firmware.links.uart import Rs485, Uart
from meter_firmware.memory import Memory
from meter_firmware.modbus import ModbusMaster
from meter_firmware.modbus_line import StreamLine
from meter_firmware.signer_boot import has_no_key
from meter_firmware.signers.atecc608 import Atecc608Signer
from meter_sampling.serial_bus import SerialBus

FRONT_END_SPI = 1
FRONT_END_HZ = 1000000

RS485_A_UART = 2
RS485_A_BAUD = 9600
RS485_B_UART = 3
RS485_B_BAUD = 2400
EVEN = 0
"""Line B as DL/T 645 and M-Bus have it: 2400 baud, 8 data bits, even parity."""

SERIAL_TIMEOUT_MS = 2000
LINK_UART = 6
LINK_BAUD = 115200
RECEIVE_BYTES = 512

SENSOR_I2C = 1
SENSOR_HZ = 50000
"""What an SCD30 bears."""

CLOCK_STRETCH_US = 200000
ELEMENT_I2C = 2
ELEMENT_HZ = 100000
"""An ATECC608 is woken by eight zeros at this speed."""

WATCHDOG_MS = 30000
"""Its oscillator is anything between 17 and 47 kHz: 20 s at least, more than a boot or an erased slot takes."""

IMAGE_START = 0x08000000
IMAGE_BYTES = 512 << 10


class Stm32f4Meter(BaseBoard):
    model = "stm32f4_meter"

    def __init__(self) -> None:
        self._power_good = Pin("POWER_GOOD", Pin.IN)
        front_end = SPI(FRONT_END_SPI, baudrate=FRONT_END_HZ, polarity=1, phase=1)
        contacts = [Pin(name, Pin.IN, Pin.PULL_UP) for name in ("PULSE0", "PULSE1")]
        modbus = UART(RS485_A_UART, RS485_A_BAUD, bits=8, parity=None, stop=1, timeout=0, rxbuf=RECEIVE_BYTES)
        serial = UART(RS485_B_UART, RS485_B_BAUD, bits=8, parity=EVEN, stop=1, timeout=0, rxbuf=RECEIVE_BYTES)
        buses = {
            "spi0": SpiBus(front_end, [Pin("AFE_SELECT", Pin.OUT, value=1)]),
            "modbus0": ModbusMaster(StreamLine(Rs485(modbus, Pin("RS485A_ENABLE", Pin.OUT, value=0))), "rtu"),
            "serial0": SerialBus(
                StreamLine(Rs485(serial, Pin("RS485B_ENABLE", Pin.OUT, value=0))), SERIAL_TIMEOUT_MS
            ),
            "i2c0": I2cBus(I2C(SENSOR_I2C, freq=SENSOR_HZ, timeout=CLOCK_STRETCH_US)),
            "pulse0": PinPulses(contacts, hard=True),
        }
        super().__init__(board_base, buses, WDT(timeout=WATCHDOG_MS), unique_id())
        self.image_region = uctypes.bytearray_at(IMAGE_START, IMAGE_BYTES)
        self._element = I2C(ELEMENT_I2C, freq=ELEMENT_HZ)

    def make_signer(self, memory: Memory) -> Atecc608Signer:
        """The key is made in the element, on first boot, and cannot leave it."""
        return Atecc608Signer(self._element, generate=has_no_key(memory))

    def renew_key(self, memory: Memory) -> None:
        Atecc608Signer(self._element).renew()
        super().renew_key(memory)

    def make_link(self, kid: bytes) -> SerialLink:
        link = UART(LINK_UART, LINK_BAUD, bits=8, parity=None, stop=1, timeout=0, rxbuf=4 * RECEIVE_BYTES)
        return SerialLink(Uart(link).open, self.backoff())

    def provisioning_line(self) -> Uart:
        return Uart(pyb.USB_VCP())

    def finished(self) -> bool:
        """The supply is about to fail: the running interval is sealed while its capacitor lasts.

        If the supply comes back instead, nobody feeds the watchdog, and the board starts anew.
        """
        return not self._power_good.value()

    def drained_late(self) -> bool:
        """There is no time to wait for a receipt: what is in the journal is sent after the next boot."""
        return True


def board() -> Stm32f4Meter:
    return Stm32f4Meter()
