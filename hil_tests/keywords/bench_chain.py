"""What the meter has sealed: waiting for it, and what must hold of it."""

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api.deco import keyword

from hil_tests.keywords import artefacts, judgements
from hil_tests.keywords.bench_parts import PATIENCE, BenchParts
from hil_tests.keywords.verification import Message, text_of
from meter_tools.demo.world import CARBONMETER


class ChainKeywords(BenchParts):
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
    def newest_messages(self, count: int) -> list[Message]:
        """The last so many that came for the first time."""
        return self._gateway.chain.messages[-count:]

    def _sealed(self, name: str) -> list[Message]:
        return [message for message in self._gateway.chain.messages if message.name == name]

    @keyword
    def newest_sealed_message(self, name: str) -> Message:
        found = self._sealed(name)
        if not found:
            raise AssertionError(f"nothing that came is called {name}")
        return found[-1]

    @keyword
    def count_of_sealed_messages(self, name: str) -> int:
        return len(self._sealed(name))

    @keyword
    def wait_for_count_of_sealed_messages(self, name: str, count: int, timeout: timedelta = PATIENCE) -> None:
        self._wait(lambda: len(self._sealed(name)) >= count or None, f"{count} of {name}", timeout)

    @keyword
    def boots_are_counted_anew(self) -> None:
        """After boots that were not the suite's doing."""
        self._power_ons = self.newest_sealed_message("boot").named["boot"]

    @keyword
    def sealed_messages_should_number(self, name: str, count: int, **fields: str) -> None:
        """Of those whose fields have these values."""
        found = [str(message) for message in self._sealed(name) if _agrees(message.named, fields)]
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
        return self._site.readings_by_name(found.fields)

    def _is_wanted(self, message: Message, kind: str, clock: str) -> bool:
        named = message.named
        if (named["kind"], named["clock_status"]) != (kind, clock):
            return False
        if kind != "regular":
            return True
        if self._site.is_disturbed_by_host(named["readings"], self._instruments.faulty):
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
                    reading = self._site.readings_by_name(message.fields).get("energy", {})
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

    @keyword
    def verify_command_should_show(self, *words: str) -> None:
        """`carbonmeter verify` says each of them, of all that came and with the label's thumbprint."""
        file = self._folder / artefacts.MESSAGES
        file.write_bytes(b"".join(message.raw for message in self._gateway.chain.messages))
        thumbprint = self._gateway.chain.thumbprint.hex()
        command: list[str | Path] = [CARBONMETER, "--lang", "en", "verify", file, "--thumbprint", thumbprint]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        missing = [found for found in words if found not in done.stdout]
        if done.returncode or missing:
            raise AssertionError(f"carbonmeter verify does not say {missing}:\n{done.stdout}{done.stderr}")

    def _came(self) -> list[Message]:
        """Since the last power-on or Link Goes Up."""
        return self._gateway.arrivals[self._arrivals_mark :]

    def _came_first(self) -> list[Message]:
        """Of these each message once, where it came for the first time."""
        return list({message.sequence: message for message in reversed(self._came())}.values())[::-1]

    @keyword
    def messages_should_come_again(self, expected: Sequence[Message], timeout: timedelta = PATIENCE) -> None:
        """Since the last power-on or Link Goes Up, one after the other in this order and byte for byte."""
        wanted = [message.raw for message in expected]

        def look() -> bool | None:
            again = [message.raw for message in self._came() if message.raw in wanted]
            starts = range(len(again) - len(wanted) + 1)
            return any(again[start : start + len(wanted)] == wanted for start in starts) or None

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
            lambda: self._came_first() if len(self._came_first()) >= at_least else None,
            f"backfill of {at_least}",
            timeout,
        )
        numbers = [message.sequence for message in came]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise AssertionError(f"the backfill came in the order {numbers}")

    @keyword
    def intervals_should_join(self) -> None:
        """Since the last power-on or Link Goes Up: each interval that came begins where the one before ended."""
        judgements.intervals_join(self._came_first())

    @keyword
    def no_interval_should_contain_the_step(self, clock_set: Message, timeout: timedelta = PATIENCE) -> None:
        """Where the next interval has come too."""
        after = clock_set.sequence + 1
        self._wait(
            lambda: any(message.name == "readings" for message in self._gateway.chain.messages[after:]) or None,
            f"interval after {clock_set}",
            timeout,
        )
        judgements.step_between_intervals(self._gateway.chain.messages, clock_set)

    @keyword
    def clock_should_have_gained(self, clock_set: Message, gain: timedelta) -> None:
        """Since it was set before, as far as both settings were certain and the bench halts it for no longer."""
        judgements.clock_gained(self._gateway.chain.messages, clock_set, round(gain.total_seconds() * 1000))

    @keyword
    def totals_should_never_decrease(self) -> None:
        judgements.totals_rise(self._gateway.chain.messages)

    @keyword
    def no_total_should_exceed(self, total: int) -> None:
        """Of the first channel."""
        judgements.totals_stay_within(self._gateway.chain.messages, total)


def _agrees(named: dict[str, Any], expected: dict[str, str]) -> bool:
    return all(name in named and text_of(named[name]) == value for name, value in expected.items())
