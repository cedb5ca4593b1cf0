"""The line to the gateway, and what the gateway and the authority say on it."""

import random
from datetime import timedelta

from robot.api.deco import keyword

from hil_tests.keywords import forgeries
from hil_tests.keywords.bench_parts import PATIENCE, BenchParts
from meter_protocol import fields as f
from meter_protocol import types as t


class LinkKeywords(BenchParts):
    _set_version = 0

    @keyword
    def link_goes_down(self) -> None:
        self._gateway.link.unplug()

    @keyword
    def link_goes_up(self) -> None:
        """Up at both ends: an emulator's serial port looks once a second whether somebody is there again."""
        self._arrivals_mark = len(self._gateway.arrivals)
        self._gateway.link.plug_in()
        self._wait(lambda: self._gateway.link.is_connected or None, "meter at the other end of the line", PATIENCE)

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
    def send_resend_request(self, sequence: int) -> None:
        """What the meter sends from now on is what comes again."""
        self._arrivals_mark = len(self._gateway.arrivals)
        self._gateway.send(self._gateway.resend_request(sequence))

    @keyword
    def send_forged_resend_request(self, forgery: str, sequence: int) -> None:
        """From there on, but wrong in one thing; `keywords/forgeries.py` lists them."""
        self._arrivals_mark = len(self._gateway.arrivals)
        self._gateway.send(forgeries.resend_request(self._gateway, forgery, sequence))

    @keyword
    def gateway_gets_new_receipt_key(self) -> None:
        """As one that takes another's place; the meter knows of it by the next parameters."""
        self._gateway.renew_receipt_key()

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
            f.INSTRUMENTS: self._site.instrument_entries(),
            f.CHANNELS: self._site.channel_entries(),
            f.RECEIPT_KEYS: [self._gateway.receipt_key.cose_key],
            f.CLOCK_KEYS: [self._gateway.clock_key.cose_key],
        }
        raw = forgeries.signed(self._gateway, t.PARAMETER_SET, fields, signed_by)
        if signed_by == "the authority":
            self._interval_ms, self._sample_period_ms = fields[f.INTERVAL_S] * 1000, fields[f.SAMPLE_PERIOD_MS]
            self._expect_sample_at_once()
        self._last_parameters = raw
        self._gateway.send(raw)
        self._note_change()
        return raw.hex()

    @keyword
    def repeat_parameters(self) -> None:
        """The last ones that were sent, byte for byte."""
        self._gateway.send(self._last_parameters)

    @keyword
    def repeat_time_reply(self) -> None:
        """The last one, byte for byte."""
        self._gateway.send(self._gateway.time_replies[-1])

    @keyword
    def send_unasked_time_reply(self, ahead: timedelta) -> None:
        """Signed by the gateway's clock, but answering no challenge of the meter's."""
        time_ms = self._clock.gateway_ms() + round(ahead.total_seconds() * 1000)
        self._gateway.send(self._gateway.time_reply(random.randbytes(16), time_ms))  # noqa: S311

    @keyword
    def wait_for_time_requests(self, count: int, timeout: timedelta = PATIENCE) -> None:
        wanted = self._gateway.time_requests + count
        self._wait(lambda: self._gateway.time_requests >= wanted or None, f"{count} time requests", timeout)
