"""The keywords of chips.robot: sensors and inputs of a NUCLEO-F429ZI in Renode, and what is sealed of them.

`hil_tests/chips/on_board/chip_meter.py` runs on the board and says on its console what it sealed. That is verified
with the key that it said first, which stands for the label.
"""

import re
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

from hil_tests.chips.nucleo import Nucleo
from hil_tests.keywords import artefacts
from hil_tests.keywords.verification import Message, open_message, text_of
from meter_protocol import fields as f

CHANNELS = (
    *(f"{sensor} {name}" for sensor in ("SCD30", "SCD41") for name in ("CO2", "temperature", "humidity")),
    *(f"BME280 {name}" for name in ("pressure", "temperature", "humidity")),
)
"""In the order of the program's; numbered from 1."""

OLDEST_VALUE_MS = 6500
"""The slowest sensor measures every 5 s, and what it said last is what it indicates."""

PATIENCE_S = 240
LOOK_S = 0.2

GET_IMAGE = (
    "no MicroPython for the NUCLEO-F429ZI: take its .hex from https://micropython.org/download/NUCLEO_F429ZI, and "
    "set NUCLEO_IMAGE, robot's variable or the environment's, to its path"
)


@library(scope="SUITE", listener="SELF", auto_keywords=False)
class Chips:
    def __init__(self, image: str) -> None:
        self._image = image
        self._changed_ms = 0

    @cached_property
    def _folder(self) -> Path:
        output = Path(BuiltIn().get_variable_value("${OUTPUT DIR}")).resolve()
        return artefacts.fresh_folder(output, Path(BuiltIn().get_variable_value("${SUITE SOURCE}")))

    @cached_property
    def _nucleo(self) -> Nucleo:
        return Nucleo(self._folder, Path(self._image).resolve())

    def _end_suite(self, data: Any, result: Any) -> None:
        """Robot calls this when the suite is over, however it went."""
        if "_nucleo" in vars(self):
            self._nucleo.cut_power()
        # A board without a chain: its messages are on its console.
        artefacts.write(self._folder, None, result, artefacts.Run("renode", 0, 0))

    @keyword
    def power_on_nucleo(self) -> None:
        """The suite is skipped where there is no image."""
        if not self._image or not Path(self._image).is_file():
            BuiltIn().skip(GET_IMAGE)
        self._nucleo.power_on()

    @keyword
    def set_chip(self, chip: str, quantity: str, value: str) -> None:
        """On the bus, by its name in nucleo_f429zi.repl and in the units of its model."""
        self._change(f"i2c1.{chip} {quantity} {value}")

    @keyword
    def set_analogue_input(self, channel: int, count: int) -> None:
        """Of 12 bits."""
        self._change(f"adc SetInput {channel} {count}")

    def _change(self, command: str) -> None:
        self._nucleo.do(command)
        self._changed_ms = self._nucleo.time_ms()

    @keyword
    def wait_for_sealed_readings(self) -> dict[str, dict[str, Any]]:
        """By channel, of an interval in which every sensor had measured after the last change."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._nucleo.check()
            for message in self._messages():
                began_ms = message.fields[f.TIME_MS] - message.fields[f.DURATION_MS]
                if began_ms >= self._changed_ms + OLDEST_VALUE_MS:
                    return _by_channel(message)
            time.sleep(LOOK_S)
        raise AssertionError(
            f"nothing sealed in {PATIENCE_S} s; the board said:\n{self._nucleo.console()[-1000:]}"
        )

    @keyword
    def mean_should_be(self, readings: dict[str, dict[str, Any]], channel: str, mean: int) -> None:
        """To the last digit, without scatter, every sample there and good."""
        said = {name: text_of(value) for name, value in readings[channel].items()}
        expected = {"status": "0", "n": "2", "expected": "2", "mean": str(mean), "s": "0"}
        if said != expected:
            raise AssertionError(f"{channel}: sealed was {said}, expected {expected}")

    @keyword
    def analogue_inputs_should_read(self, *counts: int) -> None:
        """As machine.ADC gives them, in 16 bits, after the last change."""
        last = re.findall(r"^adc ([\d ]+)\r?$", self._nucleo.console(), re.MULTILINE)[-1]
        if [int(count) for count in last.split()] != list(counts):
            raise AssertionError(f"the inputs read {last}, expected {counts}")

    def _messages(self) -> list[Message]:
        said = self._nucleo.console()
        key = re.search(r"^key ([0-9a-f]+)\r?\n", said, re.MULTILINE)
        sealed = re.findall(r"^sealed ([0-9a-f]+)\r?\n", said, re.MULTILINE)
        return [] if key is None else [open_message(bytes.fromhex(m), bytes.fromhex(key[1])) for m in sealed]


def _by_channel(message: Message) -> dict[str, dict[str, Any]]:
    names = ("status", "n", "expected", "mean", "s")
    readings: dict[int, list[Any]] = message.fields[f.READINGS]
    return {CHANNELS[number - 1]: dict(zip(names, said, strict=False)) for number, said in readings.items()}
