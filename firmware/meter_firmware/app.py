"""The firmware's wiring: `run(board)` is all that a board's main.py calls. Only this file and boards do I/O.

A board has: `maker`, `model`, `serial`; `clock` with `ticks_ms()`, `sleep_until(ticks, wake)` and `holds`;
`link_ms()`, monotonic milliseconds that no replay accelerates; `random(n)`; `mount()` -> root of its file
system; `journal_bytes`; `make_signer(memory)`; `software_files()` -> [(name, path)]; `authority_keys()` ->
COSE_Keys; `master(bus)` -> ModbusMaster, or KeyError if it has no such bus; `make_link(kid)`; `finished()`, and
after it `drained_late()`; `say(line)` on the console.

If the flash fails, or something here is wrong, `run` raises: a board starts anew then, and its boot recovers.
"""

import asyncio
import hashlib

from meter_firmware import parameters, sealing, sensors, software
from meter_firmware.chain_log import ChainLog
from meter_firmware.clock import MeterClock
from meter_firmware.delivery import Delivery
from meter_firmware.inbox import Inbox
from meter_firmware.journal import Journal, JournalError
from meter_firmware.memory import Memory
from meter_firmware.meter import Meter
from meter_protocol import cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIME_RETRY_MS = 2000
TIME_LOOK_MS = 50
TIME_RENEWAL_MS = 6 * 3600000
"""A quartz within 50 ppm is out by a second then: little against any interval."""

TIME_HOLD_MS = 500
RESERVE_BYTES = 16384
"""Of the journal: the largest parameter set can replace a gateway that is lost although the journal is full."""

REFUSAL_EVENT_MS = 600000
"""Refused parameter sets become events at most this often: forged ones must not fill the journal."""


def run(board: "Any") -> None:
    asyncio.run(App(board).run())


class App:
    def __init__(self, board: "Any") -> None:
        self._board = board
        root = board.mount()
        memory = Memory(root + "/memory")
        sealer = sealing.Sealer(board.make_signer(memory))
        self._sealer = sealer
        self._clock = MeterClock()
        journal = Journal(root + "/journal", board.journal_bytes, reserve_bytes=RESERVE_BYTES)
        self._log = ChainLog(journal, memory, sealer, self._clock)
        self._link = board.make_link(sealer.kid)
        self._delivery = Delivery(self._log, self._link, board.link_ms)
        self._meter = Meter(
            self._log, self._clock, board.clock, board.link_ms, self._make_driver, self._delivery.notify
        )
        self._inbox = Inbox(
            {
                t.RECEIPT: self._take_receipt,
                t.REFUSAL: self._take_refusal,
                t.RESEND_REQUEST: self._take_resend_request,
                t.TIME_REPLY: self._take_time_reply,
                t.PARAMETER_SET: self._take_parameters,
            }
        )
        self._link.receive = self._inbox.receive
        self._refusal_said_ms: "int | None" = None
        self._asked_ms = 0
        board.clock.holds = self._awaits_time
        self._boot(journal)

    def _boot(self, journal: "Journal") -> None:
        board, log = self._board, self._log
        identity = {
            f.PUBLIC_KEY: self._sealer.cose_key,
            f.SERIAL: board.serial,
            f.MAKER: board.maker,
            f.MODEL: board.model,
            f.KEY_PROTECTION: self._sealer.protection,
            f.SOFTWARE_ID: software.software_id(board.software_files()),
            f.CERTIFICATE: None,
        }
        now = board.clock.ticks_ms()
        log.open(identity, board.random, now)
        if journal.quarantined:
            self._note(events.JOURNAL_QUARANTINED, {events.SEGMENTS: journal.quarantined[:64]}, now)
        if not self._sealer.self_test():
            self._note(events.SELF_TEST_FAILED, {events.REASON: "signer"}, now)
        stored, replaced = log.parameters(), log.previous_parameters()
        current = None
        if stored is not None:
            try:
                current = self._open_set(stored, None).fields
            except ProtocolError as error:
                self._say_refused(stored, error.reason)
        # It was verified when it came, and nothing is measured by it any more.
        before = None if replaced is None else messages.decode(t.PARAMETER_SET, cose.split(replaced).payload)
        self._meter.start(current, before)
        board.say("meter " + board.serial + " thumbprint " + self._sealer.thumbprint.hex())

    async def run(self) -> None:
        tasks = [
            asyncio.create_task(self._link.run()),
            asyncio.create_task(self._delivery.run()),
            asyncio.create_task(self._keep_time()),
        ]
        metering = asyncio.create_task(self._meter.run())
        while not self._board.finished():
            await _one_turn(tasks + [metering])
        self._meter.stop()
        await metering
        while not self._delivery.drained and not self._board.drained_late():
            await _one_turn(tasks)
        self._delivery.close()
        for task in tasks:
            task.cancel()
        self._board.say(self.summary())

    def summary(self) -> str:
        refused = " ".join([reason + "=" + str(n) for reason, n in sorted(self._inbox.refused.items())])
        return "sealed %d sent %d resent %d drained %s epoch %s sequence %d refused %s" % (
            self._log.sealed,
            self._delivery.sent,
            self._delivery.resent,
            "yes" if self._delivery.drained else "no",
            self._log.epoch.hex(),
            self._log.sequence,
            refused or "none",
        )

    def _make_driver(self, entry: "dict[int, Any]") -> "Any":
        return sensors.make(
            entry[f.INSTRUMENT_DRIVER],
            self._board.master(entry[f.INSTRUMENT_BUS]),
            entry[f.INSTRUMENT_ADDRESS],
            entry[f.INSTRUMENT_OPTIONS],
        )

    # Time

    async def _keep_time(self) -> None:
        """Challenge the gateway until it has set the clock, and again as the clock drifts."""
        while True:
            if self._meter.parameters is not None and self._link.connected and self._wants_time():
                await self._ask_time()
                await self._wait_for_answer()
            await asyncio.sleep_ms(TIME_LOOK_MS)

    async def _wait_for_answer(self) -> None:
        for _ in range(TIME_RETRY_MS // TIME_LOOK_MS):
            if not self._wants_time():
                return
            await asyncio.sleep_ms(TIME_LOOK_MS)

    def _wants_time(self) -> bool:
        age_ms = self._clock.age_ms(self._board.clock.ticks_ms())
        return age_ms is None or age_ms >= TIME_RENEWAL_MS

    async def _ask_time(self) -> None:
        nonce = self._board.random(16)
        time_ms, status, uncertainty_ms = self._clock.stamp(self._board.clock.ticks_ms())
        request, _ = self._sealer.seal(
            t.TIME_REQUEST,
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.TIME_MS: time_ms,
                f.CLOCK_STATUS: status,
                f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
                f.METER: self._sealer.thumbprint,
                f.NONCE: nonce,
            },
        )
        # The signature took its time; the round trip begins when the bytes leave.
        self._clock.ask(nonce, self._board.clock.ticks_ms())
        self._asked_ms = self._board.link_ms()
        await self._link.send(request)

    def _awaits_time(self) -> bool:
        """Whether the answer to a challenge may come in any moment: a replay then holds its clock."""
        if self._clock.pending_nonce is None:
            return False
        waited_ms: int = self._board.link_ms() - self._asked_ms
        return waited_ms < TIME_HOLD_MS

    def _take_time_reply(self, raw: bytes) -> None:
        received = self._board.clock.ticks_ms()

        def objection(fields: "dict[int, Any]") -> "str | None":
            if fields[f.METER] != self._sealer.thumbprint:
                return "not_for_us"
            return self._clock.objection(fields)

        reply = sealing.open_sealed(raw, t.TIME_REPLY, self._keys(f.CLOCK_KEYS), objection)
        correction = self._clock.correction(reply.fields, received)
        if correction is None:
            raise ProtocolError("time_reply_late")
        self._meter.correct_clock(correction, raw)

    # Receipts and requests

    def _take_receipt(self, raw: bytes) -> None:
        self._delivery.take_receipt(raw, self._keys(f.RECEIPT_KEYS))

    def _take_refusal(self, raw: bytes) -> None:
        self._delivery.take_refusal(raw, self._keys(f.RECEIPT_KEYS), self._board.clock.ticks_ms())

    def _take_resend_request(self, raw: bytes) -> None:
        self._delivery.take_resend_request(raw, self._keys(f.RECEIPT_KEYS), self._board.clock.ticks_ms())

    def _keys(self, role: int) -> "list[bytes]":
        """Gateway keys are trusted only from the sealed parameters."""
        in_force = self._meter.parameters
        return [] if in_force is None else in_force[role]

    # Parameters

    def _take_parameters(self, raw: bytes) -> None:
        try:
            opened = self._open_set(raw, self._meter.newest_version)
        except ProtocolError as error:
            # The gateway repeats a set until it sees it applied: the one in force again is no event.
            if error.reason not in ("parameters_not_newer", "not_for_us"):
                self._say_refused(raw, error.reason)
            raise
        self._meter.change_parameters(opened)
        self._delivery.hurry()

    def _open_set(self, raw: bytes, newest_version: "int | None") -> sealing.SealedMessage:
        keys, thumbprint = self._board.authority_keys(), self._sealer.thumbprint
        opened = parameters.open_set(raw, keys, thumbprint, newest_version)
        for instrument in opened.fields[f.INSTRUMENTS]:
            try:
                self._board.master(instrument[f.INSTRUMENT_BUS])
            except KeyError:
                raise ProtocolError("parameters_bus")
        return opened

    def _say_refused(self, raw: bytes, reason: str) -> None:
        now_ms = self._board.link_ms()
        if self._refusal_said_ms is not None and now_ms - self._refusal_said_ms < REFUSAL_EVENT_MS:
            return
        self._refusal_said_ms = now_ms
        details = {events.REASON: reason, events.DIGEST: hashlib.sha256(raw).digest()}
        self._note(events.PARAMETERS_REFUSED, details, self._board.clock.ticks_ms())
        self._delivery.notify()

    def _note(self, code: int, details: "dict[int, Any]", now: int) -> None:
        """An event that is not worth the reserve of a full journal."""
        try:
            self._log.event(code, details, now, False)
        except JournalError as error:
            if error.reason != "journal_full":
                raise


async def _one_turn(tasks: "list[asyncio.Task[None]]") -> None:
    """A little while; if one of the tasks has ended, what ended it."""
    for task in tasks:
        if task.done():
            await task
    await asyncio.sleep_ms(20)
