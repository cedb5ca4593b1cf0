"""One witnessed meter while it runs: a board's sampling loop over this gateway's lines, clock and ingest.

Its clock is set as a board's is, by the gateway's signed answer to a nonce, which goes into the chain: every six
hours, and whenever the gateway's own clock was stepped or is trusted otherwise than before.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meter_gateway.clock import TimeServer
from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import Fields, GatewayTime, Received, TimeRequest
from meter_gateway.traceability.authority import AuthorityKeys
from meter_gateway.traceability.parameters import is_authorised, message_hash
from meter_gateway.witness.buses import Bus
from meter_gateway.witness.chain import Place, WitnessChain
from meter_protocol import cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling.clock import MeterClock
from meter_sampling.drivers import driver_class
from meter_sampling.meter import Meter
from meter_sampling.parameters import check_content

RENEWAL_MS = 6 * 3_600_000
LOOK_S = 1.0
PAUSE_MS = 10_000
"""Between two settings of the clock: the first has taken effect by then, whatever the instruments do."""

RETRY_S = 30.0
"""Without a receipt for so long, what waits is offered again, if the inbox has taken in all that came before."""

REFUSAL_PAUSE_S = 600.0

_log = logging.getLogger(__name__)


class HostTicks:
    """Monotonic milliseconds of this host."""

    @staticmethod
    def ticks_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    async def sleep_until(self, ticks: int, wake: asyncio.Event) -> None:
        """Return at `ticks` or as soon as `wake` is set."""
        rest_ms = ticks - self.ticks_ms()
        if rest_ms > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_ms / 1000):
                    await wake.wait()


State = Literal["measures", "silent", "no_parameters", "not_enrolled", "revoked", "no_key", "failed"]
"""What becomes of a witness, in one word; `witness.state_…` of texts.toml says it in words."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a witnessed meter has of the gateway it is in."""

    inbox: Inbox
    time_server: TimeServer
    now: Callable[[], GatewayTime]
    authorities: Callable[[], AuthorityKeys]


@dataclass(slots=True)
class OpenedSet:
    raw: bytes
    fields: Fields
    hash: bytes


class WitnessedMeter:
    def __init__(
        self, name: str, peer: str, chain: WitnessChain, clock: MeterClock, gateway: Surroundings
    ) -> None:
        self.name = name
        self.peer = peer
        self.chain = chain
        self.buses: Mapping[str, Bus] = {}
        self._clock = clock
        self._gateway = gateway
        self._ticks = HostTicks()
        self._meter: Meter | None = None
        self._offered = 0
        """How many of those that wait are on their way."""

        self._progress_s = 0.0
        self._asked_ms: int | None = None
        self._refused_s: float | None = None

    @property
    def kid(self) -> bytes:
        return self.chain.sealer.kid

    @property
    def state(self) -> State:
        if self._meter is None or self._meter.parameters is None:
            return "no_parameters"
        return "silent" if self.chain.is_faulty else "measures"

    async def run(self, buses: Mapping[str, Bus]) -> None:
        """One start of the meter, until `stop`. The chain outlives it."""
        self.buses = buses
        self.chain.boot(self._ticks.ticks_ms())
        meter = self._meter = Meter(
            self.chain,
            self._clock,
            self._ticks,
            self._ticks.ticks_ms,
            self._make_driver,
            driver_class,
            self._offer,
        )
        meter.start(self._set_in_force(), self._fields_of(self.chain.previous_set()))
        self._offer()
        try:
            async with asyncio.TaskGroup() as group:
                tending = group.create_task(self._tend())
                await meter.run()
                tending.cancel()
        finally:
            self._meter = None

    def stop(self) -> None:
        """Every register is sealed as it is now, and `run` returns."""
        if self._meter is not None:
            self._meter.stop()

    # What comes down to it

    def take(self, raw: bytes) -> None:
        """A message of the gateway's, as a board gets it over its link."""
        try:
            parts = cose.split(raw)
            fields = messages.decode(parts.typ, parts.payload)
        except ProtocolError:
            return
        if fields.get(f.METER) != self.chain.sealer.thumbprint:
            return
        if parts.typ == t.RECEIPT:
            before = len(self.chain.waiting)
            if self.chain.take_receipt(raw, fields):
                self._offered = max(0, self._offered - before + len(self.chain.waiting))
                self._progress_s = time.monotonic()
                self._offer()
        elif parts.typ == t.RESEND_REQUEST:
            self._take_resend_request(Place(fields[f.EPOCH], fields[f.SEQUENCE]))
        elif parts.typ == t.PARAMETER_SET:
            self._take_set(raw)
        elif parts.typ == t.REFUSAL:
            _log.error("witness %s: this gateway refused its own message: %s", self.name, fields[f.REASON])

    def _take_resend_request(self, place: Place) -> None:
        if place.epoch == self.chain.epoch:
            waiting = self.chain.waiting
            if waiting and waiting[0].sequence <= place.sequence:
                self._offered = min(self._offered, place.sequence - waiting[0].sequence)
                self._offer()
        else:
            self.chain.say_unavailable(place, self._ticks.ticks_ms())
            self._offer()

    def _take_set(self, raw: bytes) -> None:
        meter = self._meter
        if meter is None:
            return
        try:
            opened = self._open_set(raw)
        except ProtocolError as error:
            self._say_refused(raw, error.reason)
            return
        newest = meter.newest_version
        if newest is None or opened.fields[f.SET_VERSION] > newest:
            meter.change_parameters(opened)

    def _open_set(self, raw: bytes) -> OpenedSet:
        """ProtocolError with the reason, where a board would refuse it too.

        All instruments of one witnessed meter are on one bus, so that none that is silent delays another bus.
        """
        if not is_authorised(raw, self.chain.sealer.thumbprint, self._gateway.authorities()):
            raise ProtocolError("unknown_key")
        fields = self._fields_of(raw) or {}
        drivers = check_content(fields, driver_class)
        names = [instrument[f.INSTRUMENT_BUS] for instrument in fields[f.INSTRUMENTS]]
        for name, driver in zip(names, drivers, strict=True):
            if name != names[0] or name not in self.buses or self.buses[name].KIND != driver.BUS:
                raise ProtocolError("parameters_bus")
        return OpenedSet(raw, fields, message_hash(raw) or b"")

    def _set_in_force(self) -> Fields | None:
        """None where what is in force cannot be measured by: the chain says why."""
        raw = self.chain.parameter_set
        if raw is None:
            return None
        try:
            return self._open_set(raw).fields
        except ProtocolError as error:
            self._say_refused(raw, error.reason)
            return None

    def _say_refused(self, raw: bytes, reason: str) -> None:
        """Repeated offers must not grow the chain."""
        now_s = time.monotonic()
        if self._refused_s is not None and now_s - self._refused_s < REFUSAL_PAUSE_S:
            return
        self._refused_s = now_s
        _log.warning("witness %s: parameter set refused: %s", self.name, reason)
        details = {events.REASON: reason, events.DIGEST: hashlib.sha256(raw).digest()}
        self.chain.event_if_room(events.PARAMETERS_REFUSED, details, self._ticks.ticks_ms())
        self._offer()

    @staticmethod
    def _fields_of(raw: bytes | None) -> Fields | None:
        if raw is None:
            return None
        try:
            return messages.decode(t.PARAMETER_SET, cose.split(raw).payload)
        except ProtocolError:
            return None

    def _make_driver(self, entry: dict[int, Any]) -> Any:
        driver = driver_class(entry[f.INSTRUMENT_DRIVER], entry[f.INSTRUMENT_OPTIONS])
        return driver(self.buses[entry[f.INSTRUMENT_BUS]], entry[f.INSTRUMENT_ADDRESS])

    # What goes up from it, and its clock

    def _offer(self) -> None:
        """In order: what finds no room now is offered later, and nothing before it."""
        waiting = self.chain.waiting
        while self._offered < len(waiting):
            received = Received(waiting[self._offered].raw, self.peer, self._gateway.now().time_ms)
            if not self._gateway.inbox.offer(received):
                return
            if self._offered == 0:
                self._progress_s = time.monotonic()
            self._offered += 1

    async def _tend(self) -> None:
        while True:
            self._keep_time()
            is_late = time.monotonic() - self._progress_s > RETRY_S
            if self.chain.waiting and is_late and self._gateway.inbox.is_empty:
                self._offered = 0
                self._progress_s = time.monotonic()
            self._offer()
            await asyncio.sleep(LOOK_S)

    def _keep_time(self) -> None:
        ticks, now = self._ticks.ticks_ms(), self._gateway.now()
        if self._meter is None or not self._wants_time(ticks, now):
            return
        nonce = os.urandom(16)
        self._asked_ms = ticks
        self._clock.ask(nonce, ticks)
        sealer = self.chain.sealer
        request = TimeRequest(sealer.thumbprint, sealer.kid, self.peer, nonce, now.time_ms)
        reply = self._gateway.time_server.answer(request)
        if reply is None:
            return
        fields = messages.decode(t.TIME_REPLY, cose.split(reply).payload)
        if self._clock.objection(fields) is None:
            correction = self._clock.correction(fields, self._ticks.ticks_ms())
            if correction is not None:
                self._meter.correct_clock(correction, reply)

    def _wants_time(self, ticks: int, now: GatewayTime) -> bool:
        if self._asked_ms is not None and ticks - self._asked_ms < PAUSE_MS:
            return False
        if not self._clock.is_set:
            return True
        status = self._clock.stamp(ticks)[1]
        is_old = (self._clock.age_ms(ticks) or 0) >= RENEWAL_MS
        return is_old or status != now.clock_status or self._clock.is_step(now.time_ms - ticks)
