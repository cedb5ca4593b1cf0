"""The keywords of the suites, neutral to what runs the firmware: a Robot Framework library, one bench per suite.

A keyword that waits ends at once, and fails the case, when the meter's side sends anything that is not an
authentic message in its place in the chain, or when the firmware ends by itself. `Wait For Readings` gives
readings of which every sample was taken after the last thing that the suite has changed.
"""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

from hil_tests.keywords import artefacts, channels, forgeries, judgements
from hil_tests.keywords.gateway import Found, Gateway, now_ms
from hil_tests.keywords.instruments import InstrumentBus
from hil_tests.keywords.verification import Message, text_of
from hil_tests.platforms import Board, Wiring, make_board
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulator import Fault

SERIAL = "HIL-0001"
PATIENCE = timedelta(seconds=20)


@library(scope="SUITE", listener="SELF", auto_keywords=False)
class Bench:
    def __init__(self, platform: str, seed: int) -> None:
        self._platform = platform
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._changed_ms = 0
        self._read_up_to = 0
        self._arrivals_mark = 0
        self._passed_over = 0
        self._set_version = 0
        self._power_ons = 0

    # The bench is built as its parts are first used: only then does robot know its output folder.

    @cached_property
    def _folder(self) -> Path:
        variables = BuiltIn()
        output = Path(variables.get_variable_value("${OUTPUT DIR}"))
        return artefacts.fresh_folder(output, Path(variables.get_variable_value("${SUITE SOURCE}")))

    @cached_property
    def _gateway(self) -> Gateway:
        return Gateway()

    @cached_property
    def _instruments(self) -> InstrumentBus:
        instruments = InstrumentBus(channels.INSTRUMENTS)
        instruments.show(channels.ENERGY_METER, "active_energy_import", [1000])
        instruments.show(channels.CO2_SENSOR, "co2_fraction", [421])
        return instruments

    @cached_property
    def _board(self) -> Board:
        authority_keys = (self._gateway.authority.cose_key,)
        wiring = Wiring(SERIAL, authority_keys, self._gateway.link.port, self._instruments.port)
        return make_board(self._platform, self._folder, wiring)

    def _end_suite(self, data: Any, result: Any) -> None:
        """Robot calls this when the suite is over, however it went."""
        if "_board" not in vars(self):
            return
        self._board.cut_power()
        self._gateway.link.close()
        self._instruments.close()
        artefacts.write(self._folder, self._gateway, result, self._platform, self._seed, self._passed_over)

    def _wait(self, look: Callable[[], Found | None], what: str, timeout: timedelta) -> Found:
        return self._gateway.wait_for(look, timeout.total_seconds(), what, self._board.check)

    def _note_change(self) -> None:
        self._changed_ms = now_ms()

    @keyword
    def key_protection_of_board(self) -> str:
        return self._board.key_protection

    # Power and console

    @keyword
    def power_on_meter(self) -> None:
        self._note_change()
        self._arrivals_mark = len(self._gateway.arrivals)
        self._power_ons += 1
        self._board.power_on()

    @keyword
    def cut_power(self) -> None:
        self._board.cut_power()

    @keyword
    def random_moment(self, within: timedelta) -> timedelta:
        """The next of the moments that robot's variable SEED stands for."""
        return within * self._random.random()

    @keyword
    def console_should_show(self, text: str, timeout: timedelta = PATIENCE) -> None:
        """Since the last power-on."""
        self._wait(lambda: text in self._board.console() or None, f"{text!r} on the console", timeout)

    @keyword
    def console_should_show_the_label(self) -> None:
        """Serial number and the thumbprint of the very key with which this meter signs."""
        self.console_should_show(f"meter {SERIAL} thumbprint {self._gateway.chain.thumbprint.hex()}")

    # Instruments

    @keyword
    def set_instrument_value(self, instrument: str, indication: str, *values: int) -> None:
        """In the register's own units. Of several values each reading of the instrument gets the next."""
        self._instruments.show(instrument, indication, values)
        self._note_change()

    @keyword
    def instrument_is_silent(self, instrument: str) -> None:
        """As one that is unplugged."""
        self._fail(instrument, Fault(kind="silent"))

    @keyword
    def instrument_talks_nonsense(self, instrument: str) -> None:
        self._fail(instrument, Fault(kind="nonsense"))

    @keyword
    def instrument_is_well(self, instrument: str) -> None:
        self._fail(instrument, None)

    def _fail(self, instrument: str, fault: Fault | None) -> None:
        self._instruments.fail(instrument, fault)
        self._note_change()

    @keyword
    def wait_for_requests(self, instrument: str, count: int, timeout: timedelta = PATIENCE) -> None:
        """Until the meter has asked the instrument so many times more; works while its link is down."""
        self._instruments.wait_for_requests(instrument, count, timeout.total_seconds())

    # Link and gateway

    @keyword
    def link_goes_down(self) -> None:
        self._gateway.link.unplug()

    @keyword
    def link_goes_up(self) -> None:
        self._arrivals_mark = len(self._gateway.arrivals)
        self._gateway.link.plug_in()

    @keyword
    def gateway_withholds_receipts(self) -> None:
        self._gateway.sends_receipts = False

    @keyword
    def gateway_sends_receipts(self) -> None:
        self._gateway.sends_receipts = True

    @keyword
    def gateway_withholds_time(self) -> None:
        self._gateway.tells_time = False

    @keyword
    def gateway_tells_time(self) -> None:
        self._gateway.tells_time = True
        self._note_change()

    @keyword
    def send_receipt(self) -> None:
        """For everything that has come."""
        self._gateway.send(self._gateway.receipt())

    @keyword
    def send_forged_receipt(self, forgery: str) -> None:
        """One that is wrong in one thing; `keywords/forgeries.py` lists them."""
        self._gateway.send(forgeries.receipt(self._gateway, forgery))

    @keyword
    def send_parameters(
        self, interval: timedelta, sample_period: timedelta, signed_by: str = "the authority", version: int = 0
    ) -> str:
        """For the bench's instruments, with the next version unless one is given; its bytes in hexadecimal."""
        if not version:
            self._set_version = version = self._set_version + 1
        fields = self._gateway.about_meter() | {
            f.SET_VERSION: version,
            f.INTERVAL_S: int(interval.total_seconds()),
            f.SAMPLE_PERIOD_MS: round(sample_period.total_seconds() * 1000),
            f.INSTRUMENTS: channels.instruments(),
            f.CHANNELS: channels.channels(),
            f.RECEIPT_KEYS: [self._gateway.receipt_key.cose_key],
            f.CLOCK_KEYS: [self._gateway.clock_key.cose_key],
        }
        raw = forgeries.signed(self._gateway, t.PARAMETER_SET, fields, signed_by)
        self._gateway.send(raw)
        self._note_change()
        return raw.hex()

    @keyword
    def repeat_time_reply(self) -> None:
        """The last one, byte for byte."""
        self._gateway.send(self._gateway.time_replies[-1])

    @keyword
    def send_unasked_time_reply(self, ahead: timedelta) -> None:
        """Signed by the gateway's clock, but answering no challenge of the meter's."""
        time_ms = now_ms() + round(ahead.total_seconds() * 1000)
        self._gateway.send(self._gateway.time_reply(random.randbytes(16), time_ms))  # noqa: S311

    @keyword
    def wait_for_time_requests(self, count: int, timeout: timedelta = PATIENCE) -> None:
        wanted = self._gateway.time_requests + count
        self._wait(lambda: self._gateway.time_requests >= wanted or None, f"{count} time requests", timeout)

    # Sealed messages

    @keyword
    def wait_for_sealed_message(self, name: str, timeout: timedelta = PATIENCE, **fields: str) -> Message:
        """identity, readings or an event's name; the first of the chain whose fields have these values."""

        def look() -> Message | None:
            for message in self._gateway.chain.messages:
                if message.name == name and _agrees(message.named, fields):
                    return message
            return None

        wanted = " ".join([name, *(f"{key}={value}" for key, value in fields.items())])
        return self._wait(look, wanted, timeout)

    @keyword
    def wait_for_boot(self) -> Message:
        """The boot event of the last power-on: the meter counts as many boots as there were power-ons."""
        return self.wait_for_sealed_message("boot", boot=str(self._power_ons))

    @keyword
    def wait_for_sealed_messages(self, count: int, timeout: timedelta = PATIENCE) -> list[Message]:
        """The next so many, of any kind."""
        chain, start = self._gateway.chain.messages, len(self._gateway.chain.messages)
        return self._wait(
            lambda: chain[start : start + count] if len(chain) >= start + count else None,
            f"{count} messages more",
            timeout,
        )

    @keyword
    def sealed_messages_should_number(self, name: str, count: int) -> None:
        found = [str(message) for message in self._gateway.chain.messages if message.name == name]
        if len(found) != count:
            raise AssertionError(f"expected {count} of {name}, got {len(found)}: {', '.join(found)}")

    @keyword
    def wait_for_readings(
        self, kind: str = "regular", clock: str = "synchronised", timeout: timedelta = PATIENCE
    ) -> dict[str, dict[str, Any]]:
        """Channel name -> its reading, of the next readings message of that kind and clock status."""

        def look() -> Message | None:
            while self._read_up_to < len(self._gateway.chain.messages):
                message = self._gateway.chain.messages[self._read_up_to]
                self._read_up_to += 1
                if message.name == "readings" and self._is_wanted(message, kind, clock):
                    return message
            return None

        found = self._wait(look, f"{kind} readings, clock {clock}", timeout)
        return channels.readings_by_name(found.fields)

    def _is_wanted(self, message: Message, kind: str, clock: str) -> bool:
        named = message.named
        if (named["kind"], named["clock_status"]) != (kind, clock):
            return False
        if kind != "regular":
            return True
        if channels.is_disturbed_by_host(named["readings"], self._instruments.faulty):
            self._passed_over += 1
            return False
        if clock == "relative":
            return True
        began_ms: int = named["time_ms"] - named["duration_ms"] - named["clock_uncertainty_ms"]
        return began_ms >= self._changed_ms

    @keyword
    def wait_for_energy_total(self, total: int, timeout: timedelta = PATIENCE) -> dict[str, Any]:
        """The reading that was the first to state it."""

        def look() -> dict[str, Any] | None:
            for message in self._gateway.chain.messages:
                reading: dict[str, Any] = {}
                if message.name == "readings":
                    reading = channels.readings_by_name(message.fields).get("energy", {})
                if reading.get("total") == total:
                    return reading
            return None

        return self._wait(look, f"energy total {total}", timeout)

    @keyword
    def reading_should_be(self, reading: dict[str, Any], **expected: str) -> None:
        """Equal in every part: what is not named here must not be there."""
        said = {name: text_of(value) for name, value in reading.items()}
        if said != expected:
            raise AssertionError(f"sealed was {said}, expected {expected}")

    # Judgements over what has come

    @keyword
    def chain_should_be_unbroken(self) -> None:
        """Every message that came was authentic and in its place, and the firmware runs."""
        self._gateway.check()
        self._board.check()

    def _came(self) -> list[Message]:
        """Since the last power-on or Link Goes Up."""
        return self._gateway.arrivals[self._arrivals_mark :]

    @keyword
    def messages_should_come_again(self, expected: Sequence[Message], timeout: timedelta = PATIENCE) -> None:
        """Since the last power-on or Link Goes Up, in this order and byte for byte."""
        wanted = [message.raw for message in expected]

        def look() -> bool | None:
            again = [message.raw for message in self._came() if message.raw in wanted]
            return again[: len(wanted)] == wanted or None

        self._wait(look, f"repetition of {', '.join(map(str, expected))}", timeout)

    @keyword
    def messages_should_not_come_again(self, expected: Sequence[Message]) -> None:
        """Since the last power-on or Link Goes Up, by the time that something new has come."""
        self.wait_for_sealed_messages(1)
        again = [str(message) for message in expected if message in self._came()]
        if again:
            raise AssertionError(f"came again: {', '.join(again)}")

    @keyword
    def backfill_should_be_in_order(self, at_least: int, timeout: timedelta = PATIENCE) -> None:
        """Since the last power-on or Link Goes Up: so many messages or more, each numbered one higher."""
        came = self._wait(
            lambda: self._came() if len(self._came()) >= at_least else None, f"backfill of {at_least}", timeout
        )
        numbers = [message.sequence for message in came]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise AssertionError(f"the backfill came in the order {numbers}")

    @keyword
    def intervals_should_join(self) -> None:
        """Since the last power-on or Link Goes Up: each interval that came begins where the one before ended."""
        judgements.intervals_join(self._came())

    @keyword
    def no_interval_should_contain_the_step(self, clock_set: Message) -> None:
        judgements.step_between_intervals(self._gateway.chain.messages, clock_set)

    @keyword
    def totals_should_never_decrease(self) -> None:
        judgements.totals_rise(self._gateway.chain.messages)


def _agrees(named: dict[str, Any], expected: dict[str, str]) -> bool:
    return all(name in named and text_of(named[name]) == value for name, value in expected.items())
