"""The whole firmware's life for the power cuts: parameters, receipts, a full journal, an update, boots.

The instrument's register says at any time what the total has to be.
"""

from app_bench import METER_KEY, parameter_set
from chain_check import ChainCheck
from cut_bench import BLOCK, BLOCKS, UPDATE, CutBench
from flash_record import Recorder
from meter_bench import MINUTE, NOON, check_times
from power_cuts import Recording

from meter_firmware import p256, software, verification
from meter_firmware.software import GOLDEN
from meter_protocol import chain, cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t

GOLDEN_ID = software.software_id([])
METER_POINT = p256.public_key(METER_KEY)
_MAX_BOOTS = 4


class AppScenario:
    def __init__(self):
        # The chain as it stands after so many messages of the recording.
        self._states = []

    def record(self):
        recording = Recording(Recorder(BLOCKS, BLOCK))
        with CutBench(recording.flash, recording, receipts=False) as bench:
            for minute, behind in ((4, 3), (9, 0), (14, 3), (18, 2)):
                bench.at(minute * MINUTE, lambda behind=behind: bench.give_receipt(behind))
            bench.at(16 * MINUTE, lambda: bench.say(parameter_set(2, period_ms=20000)))
            bench.boot().go_on(24)
        # The gateway is gone, the journal fills, and the board starts anew while it is full.
        with CutBench(recording.flash, recording, receipts=False) as bench:
            bench.at(9 * MINUTE, lambda: bench.say(parameter_set(3, period_ms=60000)))
            bench.boot().go_on(28)
            assert bench.event_names()[-1] == "journal_overflow"
        with CutBench(recording.flash, recording, receipts=False) as bench:
            bench.at(2 * MINUTE, lambda: bench.give_receipt(0))
            bench.boot().go_on(5)
            assert "journal_resumed" in bench.event_names()
            assert next(bench.journal.records())[1] > 0, "no segment was given up"
        with CutBench(recording.flash, recording) as bench:
            bench.at(2 * MINUTE, bench.offer)
            bench.boot().go_on(4)
            assert bench.app.restart_wanted
        with CutBench(recording.flash, recording) as bench:
            bench.boot().go_on(4)
            assert bench.event_names().count("firmware_updated") == 1
        self._states = [ChainCheck()]
        for _, _, raw in recording.records:
            state = self._states[-1].copy()
            state.take(raw)
            self._states.append(state)
        self._check_new(recording, 0)
        return recording

    def live(self, device, promises):
        with CutBench(device, promises) as bench:
            bench.boot().go_on(2)

    def check(self, chip, promises):
        epoch = promises.others.get("epoch")
        for number in range(_MAX_BOOTS):
            with CutBench(chip, promises) as bench:
                bench.boot()
                if number == 0:
                    assert epoch is None or not bench.board.keys_drawn, "the key was lost"
                    _check_state(bench, promises.records[: bench.journal.believed])
                _check_software(bench, promises.records)
                bench.go_on(2)
                if not bench.app.restart_wanted and bench.slots.trial is None:
                    break
        is_offered = promises.others.get("offered", False)
        assert (bench.running != GOLDEN) == is_offered, "the update does not come to its end"
        found = self._check_new(promises, promises.others["base"])
        assert epoch in (None, promises.records[-1][0]), "a power cut opened an epoch"
        _check_epoch(promises.records)
        assert [code for code, _ in _events(promises.records)].count(events.FIRMWARE_UPDATED) == is_offered
        regular = [fields for typ, fields in found if typ == t.READINGS and fields[f.KIND] == f.KIND_REGULAR]
        assert regular, "it does not go on"

    def _check_new(self, promises, base):
        """Chain, signatures and totals of what was sealed after the recording; the decoded messages."""
        state = self._states[base].copy()
        found = []
        for _, _, raw in promises.records[base:]:
            found.append(state.take(raw))
            assert _is_signed(raw)
        check_times(found)
        for typ, fields in found:
            if typ == t.READINGS and fields[f.CLOCK_STATUS] == f.CLOCK_SYNCHRONISED:
                # One register that is never reset: whatever happened, the total is what it shows.
                shown = 1000 + (fields[f.TIME_MS] - NOON) // 60
                assert fields[f.READINGS][1][1] == shown, "a register behind or ahead"
        return found


def _check_state(bench, records):
    """What a boot took up is what the newest records say, and no file besides."""
    version = total = None
    for _, _, raw in reversed(records):
        sign1 = cose.split(raw)
        if sign1.typ == t.IDENTITY or (version is not None and total is not None):
            break
        fields = messages.decode(sign1.typ, sign1.payload)
        if sign1.typ == t.READINGS and total is None and 1 in fields[f.READINGS]:
            total = fields[f.READINGS][1][1]
        elif sign1.typ == t.EVENT and fields[f.EVENT_CODE] == events.PARAMETERS_APPLIED and version is None:
            applied = cose.split(fields[f.DETAILS][events.PARAMETER_SET])
            version = messages.decode(t.PARAMETER_SET, applied.payload)[f.SET_VERSION]
    meter = bench.app._meter
    assert (None if meter.parameters is None else meter.parameters[f.SET_VERSION]) == version
    assert (meter._channels[1].total if meter._channels else None) == total


def _check_software(bench, records):
    """What has proven its health is run, and the boot event names what runs."""
    if events.FIRMWARE_UPDATED in [code for code, _ in _events(records)]:
        assert bench.running != GOLDEN
    for code, details in _events(records[bench.journal.believed :]):
        if code == events.BOOT:
            assert details[events.SOFTWARE_ID] == (GOLDEN_ID if bench.running == GOLDEN else UPDATE.digest)


def _check_epoch(records):
    """The newest epoch, if there was one before it, begins by naming where that one ended."""
    begin = [record[0] for record in records].index(records[-1][0])
    if begin > 0:
        opened = cose.split(records[begin + 1][2])
        fields = messages.decode(opened.typ, opened.payload)
        assert fields[f.EVENT_CODE] == events.EPOCH_OPENED
        details = fields[f.DETAILS]
        assert (details[events.LAST_EPOCH], details[events.LAST_SEQUENCE]) == records[begin - 1][:2]


def _events(records):
    """Code and details of the events among them."""
    found = []
    for _, _, raw in records:
        sign1 = cose.split(raw)
        if sign1.typ == t.EVENT:
            fields = messages.decode(t.EVENT, sign1.payload)
            found.append((fields[f.EVENT_CODE], fields[f.DETAILS]))
    return found


def _is_signed(raw):
    sign1 = cose.split(raw)
    digest = chain.message_hash(sign1.protected, sign1.payload)
    return verification.verify(METER_POINT, digest, sign1.signature)
