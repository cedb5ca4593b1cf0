"""The firmware's wiring: `run(board)` is all that the loader calls. Only this file and boards do I/O.

A board has: `maker`, `model` and `hardware_id`, what its chips say or None; `factory`, its FactoryRecord, or
None: then it waits for one on `provisioning_line()`, whose `open()` gives a byte stream as links.uart's does, or
which is None; `clock` with `ticks_ms()`, `sleep_until(ticks, wake)` and `holds`; `link_ms()`, monotonic
milliseconds that no replay accelerates; `random(n)`; `mount()` -> root of its file system; `journal_bytes`;
`make_signer(memory)`, and `renew_key(memory)`, after which it makes one with another key; `software_files()` ->
[(name, path)]; `bus(name)`, whose KIND is one of drivers' BUSES, or KeyError if there is none; `make_link(kid)`;
`finished()`, and after it `drained_late()`; `say(line)` on the console; `feed_watchdog()`; `update_site`, an
UpdateSite or None where there are no updates; `image_region`, the board's image in its flash, bytes-like, or
None. The files of `software_files()` are the frozen golden copy's, where that is not in the region.

If the flash fails, or something here is wrong, `run` raises: a board starts anew then, and its boot recovers.
"""

import asyncio
import gc

from meter_firmware import factory, parameters, sealing, sensors, signer_boot, software
from meter_firmware.chain_log import ChainLog
from meter_firmware.delivery import Delivery
from meter_firmware.inbox import Inbox
from meter_firmware.journal import Journal
from meter_firmware.line_when_used import LineWhenUsed
from meter_firmware.memory import Memory
from meter_firmware.refusals import Refusals
from meter_firmware.signers.signer import SignerError
from meter_firmware.software import GOLDEN
from meter_firmware.update_when_asked import UpdateWhenAsked
from meter_firmware.watchdog import Watchdog
from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling.clock import MeterClock
from meter_sampling.meter import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.first_contact import FirstContact
    from meter_firmware.update_services import UpdateServices

TIME_RETRY_MS = 2000
TIME_LOOK_MS = 50
TIME_RENEWAL_MS = 6 * 3600000
"""A quartz within 50 ppm is out by a second then: little against any interval."""

TIME_HOLD_MS = 500
RESERVE_BYTES = 16384
"""Of the journal: the largest parameter set can replace a gateway that is lost although the journal is full."""

DAMAGE_EVENT_MS = 60000
"""Damaged segments are told together, and while the journal is full it is not tried oftener."""

MAX_SEGMENTS_TOLD = 64

RESTART_DRAIN_MS = 30000
"""Before it tries new software, a meter waits so long for the receipts of what it has sealed."""


def run(board: "Any", running: str = GOLDEN) -> bool:
    """`running` is the slot that the loader chose. True if the board is to start anew, into new software."""
    if board.factory is None:
        # Imported where it is needed: a meter has the heap for something else.
        from meter_firmware.provisioning_line import wait_for_record

        return asyncio.run(wait_for_record(board))
    if running != GOLDEN:
        # Code that comes out of a slot takes heap: loaded among what comes later it would leave it in pieces.
        from meter_firmware import update, update_services  # noqa: F401
    app = App(board, running)
    asyncio.run(app.run())
    return app.restart_wanted


class App:
    def __init__(self, board: "Any", running: str = GOLDEN) -> None:
        # A heap that is swept only when it is full scatters what lives long: after signing there was room for
        # no buffer of 8 KiB in a heap of which half was free.
        gc.collect()
        gc.threshold(gc.mem_free() // 4)
        self._board = board
        root = board.mount()
        memory = Memory(root + "/memory")
        sealer = signer_boot.open_sealer(board, memory)
        self._memory = memory
        self._sealer = sealer
        self._clock = MeterClock()
        journal = Journal(root + "/journal", board.journal_bytes, reserve_bytes=RESERVE_BYTES)
        self._log = ChainLog(journal, memory, sealer, self._clock)
        self._link = board.make_link(sealer.kid)
        self._delivery = Delivery(self._log, self._link, board.link_ms)
        self._meter = Meter(
            self._log,
            self._clock,
            board.clock,
            board.link_ms,
            self._make_driver,
            sensors.driver_class,
            self._delivery.notify,
        )
        consumers: "dict[str, Callable[[bytes], None]]" = {
            t.RECEIPT: self._take_receipt,
            t.REFUSAL: self._take_refusal,
            t.RESEND_REQUEST: self._take_resend_request,
            t.TIME_REPLY: self._take_time_reply,
            t.PARAMETER_SET: self._take_parameters,
        }
        self._update = UpdateWhenAsked(board, root + "/update", running, self._make_update_services)
        consumers[t.UPDATE_MANIFEST] = self._update.take_manifest
        consumers[t.IMAGE_CHUNK] = self._update.take_chunk
        self._inbox = Inbox(consumers, board.link_ms, board.say)
        self._link.receive = self._inbox.receive
        self._watchdog = Watchdog()
        self._refusals = Refusals(self._log, events.PARAMETERS_REFUSED, board.link_ms)
        self._damage_tried_ms: "int | None" = None
        self._asked_ms = 0
        self._maker_line: "LineWhenUsed | None" = None
        board.clock.holds = self._awaits_time
        self._boot()

    def _boot(self) -> None:
        board, log = self._board, self._log
        files = self._update.files()
        software_id = software.software_id(board.software_files() if files is None else files, board.image_region)
        identity = {
            f.PUBLIC_KEY: self._sealer.cose_key,
            f.SERIAL: board.factory.serial,
            f.MAKER: board.maker,
            f.MODEL: board.model,
            f.KEY_PROTECTION: self._sealer.protection,
            f.SOFTWARE_ID: software_id,
            f.CERTIFICATE: board.factory.certificate,
        }
        now = board.clock.ticks_ms()
        # Before anything is added to the chain: what it ends with may be an event that was not yet noted.
        self._update.begin(software_id)
        log.open(identity, board.random, now)
        self._say_damage()
        failure = signer_boot.noted_failure(self._memory)
        if failure is not None and log.event_if_room(events.SELF_TEST_FAILED, {events.REASON: failure}, now):
            signer_boot.forget_failure(self._memory)
        stored = log.parameters()
        current = None
        if stored is not None:
            try:
                current = self._open_set(stored, None).fields
            except ProtocolError as error:
                self._say_refused(stored, error.reason)
        self._meter.start(current, log.previous_parameters())
        self._apply_first_set(current)
        opener = board.provisioning_line()
        if opener is not None:
            self._maker_line = LineWhenUsed(opener, lambda: self._make_contact(software_id))
        board.say("meter " + board.factory.serial + " thumbprint " + self._sealer.thumbprint.hex())

    def _make_contact(self, software_id: bytes) -> "FirstContact":
        from meter_firmware.first_contact import FirstContact

        return FirstContact(self._board, self._memory, self._sealer, software_id, self._seal_about_us, self._log)

    def _make_update_services(self) -> "UpdateServices":
        from meter_firmware.update_services import UpdateServices

        def receipt_keys() -> "list[bytes]":
            return self._keys(f.RECEIPT_KEYS)

        return UpdateServices(
            self._board, self._link, self._log, self._delivery, self._seal_about_us, receipt_keys
        )

    async def run(self) -> None:
        try:
            await self._run()
        except SignerError as error:
            signer_boot.note_failure(self._board, self._memory, error)
            raise

    async def _run(self) -> None:
        # What lives as long as the meter is made in a swept heap, or it lies scattered in what the boot left.
        gc.collect()
        asyncio.get_event_loop().set_exception_handler(_leave_to_turns)
        tasks = [
            asyncio.create_task(self._link.run()),
            asyncio.create_task(self._delivery.run()),
            asyncio.create_task(self._keep_time()),
            asyncio.create_task(self._update.run()),
        ]
        metering = asyncio.create_task(self._meter.run())
        line = None
        if self._maker_line is not None:
            line = asyncio.create_task(self._maker_line.run())
            tasks.append(line)
        while not self._board.finished() and not self.restart_wanted:
            await _one_turn(tasks + [metering])
            self._tend_watchdog()
            self._tend_journal()
        if line is not None and self.is_given_up:
            await self._end_as_meter(tasks + [metering], line)
            return
        self._meter.stop()
        await metering
        stopped_ms = self._board.link_ms()
        while not self._delivery.drained and not self._drained_late(stopped_ms):
            await _one_turn(tasks)
            self._tend_watchdog()
        self._delivery.close()
        for task in tasks:
            task.cancel()
        self._board.say(self.summary())

    async def _end_as_meter(self, tasks: "list[asyncio.Task[None]]", line: "asyncio.Task[None]") -> None:
        """Seal and send no more, and let the line hand over its answer."""
        for task in tasks:
            if task is not line:
                task.cancel()
        await line
        self._board.say("given up")

    @property
    def restart_wanted(self) -> bool:
        return self.is_given_up or self._update.restart_wanted

    @property
    def is_given_up(self) -> bool:
        """The maker has taken its record back: what is sealed from here on is nobody's."""
        return self._maker_line is not None and self._maker_line.restart_wanted

    def _tend_watchdog(self) -> None:
        late_ms = self._meter.late_ms(self._board.clock.ticks_ms())
        may_deliver = self._link.connected and not self._delivery.drained
        if self._watchdog.is_healthy(late_ms, may_deliver, self._delivery.sent, self._board.link_ms()):
            self._board.feed_watchdog()

    def _drained_late(self, stopped_ms: int) -> bool:
        late: bool
        if self.restart_wanted:
            late = self._board.link_ms() - stopped_ms > RESTART_DRAIN_MS
        else:
            late = self._board.drained_late()
        return late

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
            self._board.bus(entry[f.INSTRUMENT_BUS]),
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
        request = self._seal_about_us(t.TIME_REQUEST, {f.NONCE: nonce})
        # The signature took its time; the round trip begins when the bytes leave.
        self._clock.ask(nonce, self._board.clock.ticks_ms())
        self._asked_ms = self._board.link_ms()
        await self._link.send(request)

    def _seal_about_us(self, typ: str, body: "dict[int, Any]") -> bytes:
        """A message that stands alone, outside of the chain."""
        return self._sealer.seal_about_us(typ, body, self._clock.stamp(self._board.clock.ticks_ms()))

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
        keys, thumbprint = self._board.factory.authority_keys, self._sealer.thumbprint
        return parameters.open_set(raw, keys, thumbprint, newest_version, self._kind_of_bus)

    def _kind_of_bus(self, name: str) -> "str | None":
        return parameters.kind_of_bus(self._board, name)

    def _apply_first_set(self, current: "dict[int, Any] | None") -> None:
        """The maker's default set, once: forgotten when a set is in force, or if this software refuses it."""
        raw = factory.first_set(self._memory)
        if raw is None:
            return
        try:
            if current is None:
                self._meter.change_parameters(self._open_set(raw, None))
                return
        except ProtocolError as error:
            self._say_refused(raw, error.reason)
        factory.forget_first_set(self._memory)

    def _say_refused(self, raw: bytes, reason: str) -> None:
        self._refusals.say(raw, reason, self._board.clock.ticks_ms())
        self._delivery.notify()

    # The journal

    def _tend_journal(self) -> None:
        """Read on where the boot stopped; damage that is met there or at any other read belongs in the chain."""
        self._log.journal.inspect()
        self._say_damage()

    def _say_damage(self) -> None:
        """Once: the journal marks what was told. A power cut just between the two tells it again."""
        found = self._log.journal.undeclared[:MAX_SEGMENTS_TOLD]
        now_ms = self._board.link_ms()
        if not found or (self._damage_tried_ms is not None and now_ms - self._damage_tried_ms < DAMAGE_EVENT_MS):
            return
        self._damage_tried_ms = now_ms
        details = {events.SEGMENTS: found}
        if self._log.event_if_room(events.JOURNAL_QUARANTINED, details, self._board.clock.ticks_ms()):
            self._log.journal.declare(found)
            self._delivery.notify()


def _leave_to_turns(_loop: "Any", _context: "dict[str, Any]") -> None:
    """`_one_turn` raises what ended a task; asyncio's handler wants a sys.stderr, which not every port has."""


async def _one_turn(tasks: "list[asyncio.Task[None]]") -> None:
    """A little while; if one of the tasks has ended, what ended it."""
    for task in tasks:
        if task.done():
            await task
    await asyncio.sleep_ms(20)
