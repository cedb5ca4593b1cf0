"""The simulated I2C and 1-Wire chips against libraries that are not ours, and against published frames.

Sensirion's own drivers, RPi.bme280 and ADS1x15-ADC drive the simulated chips as they would the real ones: what
these libraries command is executed, and what they decode is what the chips were told to measure.
"""

import contextlib
import importlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import bme280 as rpi_bme280
import pytest
import smbus2
from sensirion_driver_adapters.i2c_adapter.i2c_channel import I2cChannel
from sensirion_i2c_driver import CrcCalculator, I2cConnection
from sensirion_i2c_driver.errors import I2cNackError
from sensirion_i2c_driver.transceiver_v1 import I2cTransceiverV1
from sensirion_i2c_scd import Scd4xI2cDevice
from sensirion_i2c_scd30.device import Scd30Device
from sensirion_i2c_sdp import SdpI2cDevice

from meter_firmware import sensors
from meter_protocol.quantities import BY_NAME
from meter_sampling.instrument_error import InstrumentError
from meter_tools.simulator.chip_configuration import I2C_KINDS, ONEWIRE_KINDS, SIMULATES
from meter_tools.simulator.chip_line import Device, I2cLine, Operation, Request
from meter_tools.simulator.faults import Fault
from meter_tools.simulator.i2c_ads1115 import Ads1115
from meter_tools.simulator.i2c_bme280 import Bme280
from meter_tools.simulator.i2c_chip import I2cChip, Nack, Values
from meter_tools.simulator.i2c_sensirion import CRC_TABLE, Scd30, Scd41, Sdp810, word
from meter_tools.simulator.onewire_ds18b20 import Ds18b20, OneWireLine, crc

AIR: Values = {"co2_fraction": 439095, "temperature": 27238, "relative_humidity": 48807}


class Bench(I2cTransceiverV1):
    """One chip on a bus whose time passes only when somebody waits."""

    def __init__(self, chip: I2cChip) -> None:
        super().__init__()
        self.chip = chip
        self.now_ms = 0

    def transceive(
        self, slave_address: int, tx_data: bytes | None, rx_length: int | None, read_delay: float, timeout: float
    ) -> tuple[int, Exception | None, bytes]:
        try:
            if tx_data is not None:
                self.chip.write(tx_data, self.now_ms)
            self.now_ms += round(1000 * read_delay)
            said = b"" if rx_length is None else self.chip.read(rx_length, self.now_ms)
        except Nack:
            return self.STATUS_NACK, RuntimeError("not acknowledged"), b""
        return self.STATUS_OK, None, said


class SmbusBench:
    """The same as a Linux SMBus."""

    def __init__(self, chip: I2cChip) -> None:
        self.chip = chip
        self.now_ms = 0

    def read_i2c_block_data(self, _: int, register: int, count: int) -> list[int]:
        self.chip.write(bytes((register,)), self.now_ms)
        return list(self.chip.read(count, self.now_ms))

    def read_byte_data(self, address: int, register: int) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def read_word_data(self, address: int, register: int) -> int:
        low, high = self.read_i2c_block_data(address, register, 2)
        return high << 8 | low

    def write_i2c_block_data(self, _: int, register: int, content: list[int]) -> None:
        self.chip.write(bytes((register, *content)), self.now_ms)

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self.write_i2c_block_data(address, register, [value])
        self.now_ms += 20


def constant(values: Values) -> Callable[[int], Values]:
    return lambda _: values


def test_every_driver_on_i2c_and_one_wire_is_simulated() -> None:
    loop = [["flue", "differential_pressure", 0, 100000, -1, 0, 10000]]
    simulated = {SIMULATES.get(kind, kind) for kind in (*I2C_KINDS, *ONEWIRE_KINDS)}
    for name in simulated:
        driver = sensors.driver_class(name, loop if name == "current_loop" else None)
        bus = "onewire" if name in ONEWIRE_KINDS else "i2c"
        assert bus == driver.BUS
        assert {entry[0] for entry in driver.INDICATIONS.values()} <= set(BY_NAME)
    others = set()
    for name in set(sensors.DRIVERS) - simulated:
        with contextlib.suppress(InstrumentError):  # one that cannot be without options: none of those is here
            others.add(sensors.driver_class(name).BUS)
    assert others.isdisjoint({"i2c", "onewire"})


def test_every_word_has_sensirions_crc() -> None:
    sensirion = CrcCalculator(8, 0x31, 0xFF, 0x00)
    for value in range(0, 0x10000, 7):
        content = value.to_bytes(2, "big")
        assert word(value) == content + bytes((sensirion(content),))
    assert word(0xBEEF)[2] == 0x92
    assert word(0x0000)[2] == 0x81
    assert sorted(CRC_TABLE) == list(range(256))


def test_sensirions_driver_reads_the_scd30() -> None:
    bench = Bench(Scd30(constant(AIR), ""))
    channel = I2cChannel(I2cConnection(bench), slave_address=0x61, crc=CrcCalculator(8, 0x31, 0xFF, 0x00))
    scd30 = Scd30Device(channel)
    assert scd30.read_firmware_version() == (3, 0x42)
    scd30.set_measurement_interval(2)
    assert scd30.get_measurement_interval() == 2
    assert scd30.get_data_ready() == 0
    scd30.start_periodic_measurement(0)
    bench.now_ms += 1900
    assert scd30.get_data_ready() == 0
    bench.now_ms += 100
    assert scd30.get_data_ready() == 1
    assert [round(float(value), 3) for value in scd30.read_measurement_data()] == [439.095, 27.238, 48.807]
    assert scd30.get_data_ready() == 0


def test_the_scd30_says_the_published_frame() -> None:
    chip = Scd30(constant(AIR), "")
    chip.write(bytes.fromhex("0010000081"), 0)
    chip.write(bytes.fromhex("0300"), 5000)
    published = bytes.fromhex("43DBCB8C2E8F41D970E7FFF54243BF3A1B74")
    said = chip.read(18, 5003)
    # Singles of rounded values differ from the published ones in their last bits, if at all.
    assert [said[at] for at in (0, 1, 6, 7, 12, 13)] == [published[at] for at in (0, 1, 6, 7, 12, 13)]
    for at in range(0, 18, 3):
        assert word(published[at] << 8 | published[at + 1]) == published[at : at + 3]


def test_sensirions_driver_reads_the_scd41() -> None:
    air: Values = {"co2_fraction": 500, "temperature": 25003, "relative_humidity": 37002}
    bench = Bench(Scd41(constant(air), "F8969F073BBE"))
    scd41 = Scd4xI2cDevice(I2cConnection(bench))
    assert scd41.read_serial_number() == 0xF8969F073BBE
    assert scd41.get_automatic_self_calibration()
    scd41.set_automatic_self_calibration(False)
    assert not scd41.get_automatic_self_calibration()
    scd41.start_periodic_measurement()
    bench.now_ms += 5000
    assert scd41.get_data_ready_status()
    co2, temperature, humidity = scd41.read_measurement()
    assert (co2.co2, temperature.ticks, humidity.ticks) == (500, 0x6667, 0x5EB9)
    with pytest.raises(I2cNackError):
        scd41.read_serial_number()
    scd41.stop_periodic_measurement()
    with pytest.raises(I2cNackError):
        scd41.read_serial_number()
    bench.now_ms += 500
    assert scd41.read_serial_number() == 0xF8969F073BBE


@pytest.mark.parametrize(("scale", "product"), [(60, 0x03020A01), (240, 0x03020B01)])
def test_sensirions_driver_reads_the_sdp810(scale: int, product: int) -> None:
    flow: Values = {"differential_pressure": -123450, "temperature": 21500}
    bench = Bench(Sdp810(constant(flow), "00000A1B2C3D4E5F", scale))
    sdp = SdpI2cDevice(I2cConnection(bench))
    assert sdp.read_product_identifier() == (product, 0x00000A1B2C3D4E5F)
    sdp.start_continuous_measurement_with_diff_pressure_t_comp_and_averaging()
    bench.now_ms += 8
    pressure, temperature = sdp.read_measurement()
    assert pressure.scale_factor == scale
    assert pressure.pascal == pytest.approx(-123.45, abs=0.5 / scale)
    assert temperature.degrees_celsius == 21.5
    with pytest.raises(I2cNackError):
        sdp.read_product_identifier()


def test_another_library_reads_the_bme280() -> None:
    rng = random.Random(280)
    for _ in range(40):
        air: Values = {
            "temperature": rng.randrange(-4000, 8500),
            "absolute_pressure": rng.randrange(3000000, 11000000),
            "relative_humidity": rng.randrange(1000, 99000),
        }
        bus = SmbusBench(Bme280(constant(air), ""))
        trimming = rpi_bme280.load_calibration_params(bus, 0x76)
        read = rpi_bme280.sample(bus, 0x76, trimming)
        # Half a raw step each: 0.005 degC, 0.2 Pa and 0.01 %.
        assert read.temperature == pytest.approx((air["temperature"] or 0) / 100, abs=0.006)
        assert read.pressure == pytest.approx((air["absolute_pressure"] or 0) / 10000, abs=0.002)
        assert read.humidity == pytest.approx((air["relative_humidity"] or 0) / 1000, abs=0.02)


@pytest.fixture
def ads1x15(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, SmbusBench]]:
    """The library, which opens a bus when it is imported, and the bus that it gets."""
    volts: Values = {"input_0": 1_200_000, "input_1": 2_000_000, "input_3": -30}
    bench = SmbusBench(Ads1115(constant(volts), ""))
    monkeypatch.setattr(smbus2, "SMBus", lambda _: bench)
    monkeypatch.delitem(sys.modules, "ADS1x15", raising=False)
    library = importlib.import_module("ADS1x15")

    bench_read = bench.read_i2c_block_data

    def passing(address: int, register: int, count: int) -> list[int]:
        bench.now_ms += 3
        return bench_read(address, register, count)

    monkeypatch.setattr(bench, "read_i2c_block_data", passing)
    yield library.ADS1115(1, 0x48), bench
    sys.modules.pop("ADS1x15", None)


def test_another_library_reads_the_ads1115(ads1x15: tuple[Any, SmbusBench]) -> None:
    adc, bench = ads1x15
    assert bench.read_i2c_block_data(0x48, 1, 2) == [0x85, 0x83]
    adc.setMode(adc.MODE_SINGLE)
    adc.setDataRate(adc.DR_ADS111X_128)
    adc.setGain(adc.PGA_4_096V)
    for pin, microvolts in ((0, 1_200_000), (1, 2_000_000), (2, 0), (3, -30)):
        assert adc.toVoltage(adc.readADC(pin)) == pytest.approx(microvolts / 1e6, abs=0.000063)
    adc.setGain(adc.PGA_1_024V)
    assert adc.readADC(0) == 0x7FFF
    bench.write_i2c_block_data(0x48, 1, [0xC3, 0x83])
    assert bench.read_i2c_block_data(0x48, 1, 2) == [0x43, 0x83]
    bench.now_ms += 8
    assert bench.read_i2c_block_data(0x48, 1, 2) == [0xC3, 0x83]


@pytest.mark.parametrize(
    ("sixteenths", "code"),
    # DS18B20 data sheet, table 1.
    [
        *((2000, 0x07D0), (1360, 0x0550), (401, 0x0191), (162, 0x00A2), (8, 0x0008), (0, 0x0000)),
        *((-8, 0xFFF8), (-162, 0xFF5E), (-401, 0xFE6F), (-880, 0xFC90)),
    ],
)
def test_the_ds18b20_says_what_its_data_sheet_says(sixteenths: int, code: int) -> None:
    chip = Ds18b20(constant({"temperature": 625 * sixteenths}), "0000075A1BFF")
    assert chip.scratchpad(0)[:7] == bytes.fromhex("50054B467FFF0C")
    chip.convert(0)
    assert chip.is_converting(749)
    assert int.from_bytes(chip.scratchpad(750)[:2], "little") == code
    assert crc(chip.scratchpad(750)) == 0


def test_the_crc_of_the_maxim_application_note_27() -> None:
    assert crc(bytes.fromhex("021CB801000000")) == 0xA2


def test_a_one_wire_line_is_what_all_its_devices_let_it_be() -> None:
    devices = {name: Ds18b20(constant({"temperature": 0}), f"00000000000{name}") for name in "12"}
    faults: dict[str, Fault] = {}
    line = OneWireLine(devices, lambda: faults)
    assert line.reset(0)
    assert line.search(0) == [device.rom for device in devices.values()]
    line.reset(0)
    for byte in (0x55, *devices["1"].rom, 0xBE):
        line.write(byte, 0)
    assert bytes(line.read(0) for _ in range(9)) == devices["1"].scratchpad(0)
    line.reset(0)
    for byte in (0x55, *devices["2"].rom, 0x44):
        line.write(byte, 0)
    assert [line.read(now_ms) for now_ms in (0, 400, 749, 750, 800)] == [0, 0, 0, 0xFF, 0xFF]
    faults["1"] = faults["2"] = Fault(kind="silent")
    assert not line.reset(0)
    assert line.read(0) == 0xFF


def test_the_line_plays_faults_and_takes_the_supply_away() -> None:
    chip = Scd41(constant({}), "F8969F073BBE")
    faults: dict[str, Fault] = {}
    line = I2cLine({0x62: Device("co2", chip)}, lambda: 0, lambda: faults)
    write = Request(Operation.WRITE, 0x62, 0, bytes.fromhex("3682"))
    read = Request(Operation.READ, 0x62, 9, b"")
    chip.power_on(-1)
    line.execute(write)
    chip.EXECUTION_MS = 0
    line.execute(write)
    assert line.execute(read) == (bytes.fromhex("F896319F07C23BBE89"), 0)
    faults["co2"] = Fault(kind="bad_crc")
    line.execute(write)
    said = int.from_bytes(line.execute(read)[0], "big")
    assert (said ^ 0xF896319F07C23BBE89).bit_count() == 1
    faults["co2"] = Fault(kind="slow", delay_ms=30)
    assert line.execute(write)[1] == 30
    faults["co2"] = Fault(kind="truncated")
    assert line.execute(read)[0] == bytes.fromhex("F896319FFFFFFFFFFF")
    faults["co2"] = Fault(kind="exception")
    with pytest.raises(Nack):
        line.execute(write)
    faults.clear()
    line.execute(Request(Operation.WRITE, 0x62, 0, bytes.fromhex("21B1")))
    faults["co2"] = Fault(kind="silent")
    with pytest.raises(Nack):
        line.execute(write)
    faults.clear()
    line.execute(write)
    with pytest.raises(Nack):
        line.execute(Request(Operation.READ, 0x63, 9, b""))
