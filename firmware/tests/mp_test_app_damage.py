"""The whole firmware on flash that rots: it boots, says once what is lost, and goes on."""

from app_bench import METER, RECEIPTS, AppBench, answer, commissioned, fill, parameter_set
from chain_check import check_chain
from journal_chip import flip, rewrite
from meter_bench import MINUTE

from meter_firmware import app as app_module
from meter_firmware import journal as journal_module
from meter_firmware import journal_recovery
from meter_firmware.memory import Memory
from meter_firmware.signers import key_file
from meter_firmware.signers.signer import SignerError
from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t

SEGMENT = 4096


class Changed:
    """A module's value for the length of a test."""

    def __init__(self, module, name, value):
        self._place = (module, name)
        self._real = getattr(module, name)
        self._value = value

    def __enter__(self):
        setattr(*self._place, self._value)

    def __exit__(self, *_):
        setattr(*self._place, self._real)


def small_segments():
    return Changed(journal_module, "segment_bytes_for", lambda capacity: SEGMENT)


def rot(bench, number, offset):
    bench.journal.close()
    folder = "/%s/journal/segments" % bench.board.name
    rewrite(folder + "/%08x" % number, flip(offset))


def rot_value(bench, name, copies=("", "/copy")):
    for copy in copies:
        rewrite("/%s/memory%s/%s" % (bench.board.name, copy, name), flip(7))


def told(bench):
    return [details[events.SEGMENTS] for details in bench.events(events.JOURNAL_QUARANTINED)]


def goes_on(bench, minutes=2):
    readings = len(bench.readings())
    bench.run(bench.board.clock.now + minutes * MINUTE)
    assert len(bench.readings()) > readings


def check(bench):
    """All of the newest epoch hangs together, as far as it is there."""
    raws = [raw for epoch, _, raw in bench.journal.records((bench.log.epoch, 0))]
    return list(check_chain(raws))


# Segments


def test_a_damaged_segment_is_told_once_however_often_the_board_starts():
    bench = commissioned()
    rot(bench, 1, 400)
    lost = bench.log.sequence
    for _ in range(3):
        bench.boot()
        assert told(bench) == [["00000001"]]
    assert bench.journal.recovered_head_proven
    assert bench.journal.read(bench.log.epoch, lost) is not None
    goes_on(bench)
    assert told(bench) == [["00000001"]]


def test_damage_that_a_resend_meets_is_told_once():
    with small_segments():
        bench = commissioned(30)
        assert len(bench.journal._files.index) >= 2
        bench.say(bench.receipt())
        rot(bench, 1, 1800)
        bench.boot()
        assert told(bench) == [], "what is receipted is not read at boot"
        request = answer(t.RESEND_REQUEST, {f.EPOCH: bench.log.epoch, f.SEQUENCE: 0}, RECEIPTS)
        bench.run(bench.board.clock.now + 2 * MINUTE, lambda: bench.say(request))
        assert told(bench) == [["00000001"]]
        bench.boot()
        bench.run(bench.board.clock.now + 2 * MINUTE, lambda: bench.say(request))
        assert told(bench) == [["00000001"]]


def test_damage_that_the_boot_had_no_time_for_is_met_and_told():
    with small_segments(), Changed(journal_recovery, "READ_AT_BOOT_BYTES", 1):
        bench = commissioned(45)
        rot(bench, 2, 1800)
        bench.board.wire.connected = False
        bench.boot()
        assert told(bench) == []
        bench.run(bench.board.clock.now + MINUTE, *([lambda: None] * 8))
        assert told(bench) == [["00000002"]]


def test_damage_is_told_when_there_is_room():
    bench = AppBench(65536)
    bench.run(2 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    bench.board.wire.connected = False
    fill(bench)
    rot(bench, 1, 1800)
    bench.boot()
    assert told(bench) == []
    assert bench.journal.undeclared == ["00000001"]
    tried = []
    with Changed(bench.log, "event", lambda *arguments: tried.append(arguments)):
        for _ in range(20):
            bench.app._tend_journal()
    assert tried == [], "a signature in vain at every turn"
    assert bench.say(bench.receipt()) == []
    bench.board.real_ms += app_module.DAMAGE_EVENT_MS
    bench.app._tend_journal()
    bench.app._tend_journal()
    assert told(bench) == [["00000001"]]


def test_a_power_cut_before_the_mark_tells_it_twice_and_no_oftener():
    bench = commissioned()
    rot(bench, 1, 400)

    def fail(names):
        raise OSError(5)

    with Changed(journal_module.Journal, "declare", lambda self, names: fail(names)):
        try:
            bench.boot()
            raise AssertionError("the cut did not come")
        except OSError:
            pass
    for _ in range(2):
        bench.boot()
        assert told(bench) == [["00000001"], ["00000001"]]


# Small values


def test_no_value_is_lost_with_one_of_its_copies():
    for copy in ("", "/copy"):
        bench = commissioned()
        bench.say(bench.receipt())
        bench.app._delivery.close()
        epoch, receipt = bench.log.epoch, bench.log.last_receipt()
        for name in ("epoch", "parameters", "receipt"):
            rot_value(bench, name, (copy,))
        bench.boot()
        assert bench.log.epoch == epoch
        assert bench.log.last_receipt() == receipt is not None
        assert bench.app._meter.parameters[f.SET_VERSION] == 1
        goes_on(bench)
        check(bench)


def test_a_lost_epoch_value_opens_an_epoch_that_says_so():
    bench = commissioned()
    epoch, sequence = bench.log.epoch, bench.log.sequence
    rot_value(bench, "epoch")
    bench.boot()
    opened = bench.events(events.EPOCH_OPENED)[0]
    assert (opened[events.LAST_EPOCH], opened[events.LAST_SEQUENCE]) == (epoch, sequence)
    assert opened[events.REASON] == "head_unproven"
    goes_on(bench)
    check(bench)
    assert bench.boot().log.epoch != epoch
    assert len(bench.events(events.EPOCH_OPENED)) == 1


def test_a_lost_parameter_set_is_taken_from_the_chain():
    bench = commissioned()
    epoch = bench.log.epoch
    rot_value(bench, "parameters")
    bench.boot()
    assert bench.log.epoch == epoch
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    assert bench.log._memory.read("parameters") == bench.log.parameters() is not None
    goes_on(bench)
    check(bench)


def test_a_set_that_the_chain_has_not_any_more_opens_an_epoch_without_it():
    with small_segments():
        bench = commissioned(30)
        bench.say(bench.receipt())
        rot_value(bench, "parameters")
        rot(bench, 1, 900)  # the event that holds the set
        bench.boot()
        opened = bench.events(events.EPOCH_OPENED)
        assert [details[events.REASON] for details in opened] == ["parameters_lost"]
        assert bench.app._meter.parameters is None
        check(bench)
        epoch = bench.log.epoch
        bench.boot()
        assert bench.log.epoch == epoch, "once"
        bench.run(
            bench.board.clock.now + 3 * MINUTE,
            lambda: bench.say(parameter_set(1)),
            lambda: bench.say(bench.time_reply()),
        )
        assert bench.app._meter.parameters[f.SET_VERSION] == 1
        assert [typ for typ, _ in check(bench)].count(t.READINGS) >= 2


def test_a_lost_receipt_is_evidence_lost_and_no_more():
    bench = commissioned()
    bench.say(bench.receipt())
    bench.app._delivery.close()
    rot_value(bench, "receipt")
    bench.boot()
    assert bench.log.last_receipt() is None
    assert bench.events(events.BOOT)[-1][events.LAST_RECEIPT] is None
    assert bench.journal.first_unreceipted[1] == bench.log.sequence
    goes_on(bench)


def test_rot_in_what_an_applied_set_leaves_behind_changes_nothing():
    bench = commissioned()
    bench.log._memory.write("parameters.previous", parameter_set(0))
    bench.log._memory.write("parameters.pending", parameter_set(9))
    rot_value(bench, "parameters.previous")
    rot_value(bench, "parameters.pending")
    epoch = bench.log.epoch
    bench.boot()
    assert bench.log.epoch == epoch
    assert bench.app._meter.parameters[f.SET_VERSION] == 1
    goes_on(bench)


def test_a_lost_key_is_not_replaced_in_silence():
    bench = commissioned()
    memory = Memory("/%s/memory" % bench.board.name)
    key = key_file.private_key(memory, lambda size: b"\x17" * size)
    rot_value(bench, "key", ("",))
    assert key_file.private_key(memory, None) == key
    rot_value(bench, "key")
    try:
        key_file.private_key(memory, lambda size: b"\x18" * size)
        raise AssertionError("another key")
    except SignerError as error:
        assert error.reason == "key_damaged"
    assert METER.thumbprint == bench.app._sealer.thumbprint
