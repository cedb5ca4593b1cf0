"""The chain on a real journal on LittleFS: boots, epochs, parameters, and what a power cut may leave behind."""

import os

import vfs

from meter_firmware import blockdev
from meter_firmware.chain_log import ChainLog
from meter_firmware.journal import Journal
from meter_firmware.memory import Memory
from meter_firmware.sealing import SealedMessage, Sealer
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import chain, cose, events, keys, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.clock import MeterClock
from meter_sampling.journal_error import JournalError

SIGNER = SoftwareSigner(b"\x11" * 32)
SOFTWARE = b"\x01" * 32
_counter = [0]


class Flash:
    """A fresh file system; `boot()` is a power cycle on it."""

    def __init__(self):
        _counter[0] += 1
        self.path = "flash%d.bin" % _counter[0]
        self.mounted = None

    def boot(self, software=SOFTWARE, cut=None):
        """`cut` is how many messages this boot seals before the power fails."""
        if self.mounted:
            vfs.umount(self.mounted)
        self.mounted = "/%s" % self.path[:-4]
        blockdev.mount(blockdev.FileBlockDevice(self.path, 128), self.mounted)
        memory = Memory(self.mounted + "/memory")
        sealer = Sealer(SIGNER)
        journal = Journal(self.mounted + "/journal", 131072)
        if cut is not None:
            journal.append = _first(cut, journal.append)
        log = ChainLog(journal, memory, sealer, MeterClock())
        identity = {
            f.PUBLIC_KEY: sealer.cose_key,
            f.SERIAL: "T1",
            f.MAKER: "test",
            f.MODEL: "test",
            f.KEY_PROTECTION: f.KEY_SOFTWARE,
            f.SOFTWARE_ID: software,
            f.CERTIFICATE: None,
        }
        log.open(identity, os.urandom, 0)
        return log, memory


def _first(count, append):
    done = []

    def append_or_fail(*arguments):
        if len(done) == count:
            raise JournalError("journal_io")
        append(*arguments)
        done.append(1)

    return append_or_fail


def _boot_that_is_cut(flash, cut):
    try:
        flash.boot(SOFTWARE, cut)
    except JournalError:
        return True
    return False


def _everything(log):
    opened = []
    for _, _, raw in log.journal.records():
        sign1 = cose.split(raw)
        fields = messages.decode(sign1.typ, sign1.payload)
        opened.append((sign1.typ, fields, chain.message_hash(sign1.protected, sign1.payload)))
    return opened


def _check_chain(opened):
    previous, sequence, epoch = chain.GENESIS, -1, None
    for _, fields, digest in opened:
        if fields[f.EPOCH] != epoch:
            previous, sequence, epoch = chain.GENESIS, -1, fields[f.EPOCH]
        assert fields[f.SEQUENCE] == sequence + 1
        assert fields[f.PREVIOUS] == previous
        previous, sequence = digest, sequence + 1


def _codes(opened):
    return [fields[f.EVENT_CODE] for typ, fields, _ in opened if typ == t.EVENT]


def _readings(total):
    return _body(f.KIND_REGULAR, 1000, {1: [0, total]})


def _body(kind, duration_ms, readings):
    return {f.KIND: kind, f.DURATION_MS: duration_ms, f.READINGS: readings, f.JITTER_MS: 0}


def _parameter_set(version):
    authority = Sealer(SoftwareSigner(b"\x22" * 32))
    fields = {
        f.VERSION: 1,
        f.TIME_MS: 0,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.METER: Sealer(SIGNER).thumbprint,
        f.SET_VERSION: version,
        f.INTERVAL_S: 900,
        f.SAMPLE_PERIOD_MS: 60000,
        f.INSTRUMENTS: [],
        f.CHANNELS: [],
        f.RECEIPT_KEYS: [keys.encode_p256(SIGNER.public_key())],
        f.CLOCK_KEYS: [],
    }
    raw, digest = authority.seal(t.PARAMETER_SET, fields)
    return SealedMessage(raw, fields, digest)


def test_first_boot_opens_an_epoch_with_its_identity():
    log, _ = Flash().boot()
    opened = _everything(log)
    assert [typ for typ, _, _ in opened] == [t.IDENTITY, t.EVENT]
    assert opened[0][1][f.CONTEXT] == chain.NO_CONTEXT
    assert opened[1][1][f.CONTEXT] == chain.context_digest(opened[0][2], None, SOFTWARE)
    assert opened[1][1][f.BOOT] == 1
    _check_chain(opened)


def test_the_chain_goes_on_over_boots():
    flash = Flash()
    log, _ = flash.boot()
    log.append(t.READINGS, _readings(5), 10)
    log, _ = flash.boot()
    log.append(t.READINGS, _readings(6), 10)
    opened = _everything(log)
    _check_chain(opened)
    assert _codes(opened) == [events.BOOT, events.BOOT]
    assert [fields[f.BOOT] for _, fields, _ in opened] == [0, 1, 1, 2, 2]
    assert len({fields[f.EPOCH] for _, fields, _ in opened}) == 1


def test_new_software_is_said_and_is_in_the_context():
    flash = Flash()
    flash.boot()
    log, _ = flash.boot(b"\x02" * 32)
    opened = _everything(log)
    boot = opened[-1][1]
    assert boot[f.DETAILS][events.SOFTWARE_ID] == b"\x02" * 32
    # The boot event itself still carries the context before it; what follows carries the new one.
    assert boot[f.CONTEXT] == chain.context_digest(opened[0][2], None, SOFTWARE)
    log.append(t.READINGS, _readings(5), 10)
    after = _everything(log)[-1][1]
    assert after[f.CONTEXT] == chain.context_digest(opened[0][2], None, b"\x02" * 32)


def test_applied_parameters_are_in_the_chain_and_in_the_context():
    log, memory = Flash().boot()
    parameter_set = _parameter_set(1)
    log.apply_parameters(parameter_set, 5)
    log.append(t.READINGS, _readings(5), 10)
    opened = _everything(log)
    assert opened[-2][1][f.DETAILS] == {events.PARAMETER_SET: parameter_set.raw}
    identity_hash = opened[0][2]
    assert opened[-2][1][f.CONTEXT] == chain.context_digest(identity_hash, None, SOFTWARE)
    assert opened[-1][1][f.CONTEXT] == chain.context_digest(identity_hash, parameter_set.hash, SOFTWARE)
    assert memory.read("parameters") == parameter_set.raw


def test_a_set_whose_event_was_cut_off_is_not_in_force():
    flash = Flash()
    log, memory = flash.boot()
    memory.write("parameters.pending", _parameter_set(1).raw)
    log, memory = flash.boot()
    assert log.parameters() is None
    assert memory.read("parameters.pending") is None


def test_a_set_whose_event_is_the_head_is_in_force():
    flash = Flash()
    log, memory = flash.boot()
    parameter_set = _parameter_set(1)
    memory.write("parameters.pending", parameter_set.raw)
    log.event(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: parameter_set.raw}, 0)
    log, memory = flash.boot()
    assert log.parameters() == parameter_set.raw
    opened = _everything(log)
    assert opened[-1][1][f.CONTEXT] == chain.context_digest(opened[0][2], parameter_set.hash, SOFTWARE)


def test_a_lost_epoch_file_opens_a_new_epoch_that_names_the_old_head():
    flash = Flash()
    log, memory = flash.boot()
    log.apply_parameters(_parameter_set(1), 5)
    log.append(t.READINGS, _readings(5), 10)
    old_epoch, old_sequence = log.epoch, log.sequence
    memory.remove("epoch")
    log, _ = flash.boot()
    assert log.epoch != old_epoch
    opened = [entry for entry in _everything(log) if entry[1][f.EPOCH] == log.epoch]
    assert _codes(opened) == [events.EPOCH_OPENED, events.PARAMETERS_APPLIED, events.BOOT]
    details = opened[1][1][f.DETAILS]
    assert (details[events.LAST_EPOCH], details[events.LAST_SEQUENCE]) == (old_epoch, old_sequence)
    assert details[events.LAST_HASH] is not None
    _check_chain(_everything(log))


def test_registers_are_found_in_the_newest_readings():
    flash = Flash()
    log, memory = flash.boot()
    log.append(t.READINGS, _body(0, 1, {1: [0, 5], 2: [0, 50]}), 10)
    log.append(t.READINGS, _body(f.KIND_OUTAGE, None, {2: [16, 60]}), 20)
    assert log.last_sealed().readings == {1: [0, 5], 2: [16, 60]}
    log, memory = flash.boot()
    assert log.last_sealed().readings == {1: [0, 5], 2: [16, 60]}
    memory.remove("epoch")
    log, memory = flash.boot()
    assert log.last_sealed().readings == {1: [0, 5], 2: [16, 60]}


def test_a_boot_that_is_cut_inside_the_opening_of_an_epoch_leaves_nothing_unsaid():
    for cut in range(5):
        flash = Flash()
        log, memory = flash.boot()
        parameter_set = _parameter_set(1)
        log.apply_parameters(parameter_set, 5)
        old = (log.epoch, log.sequence)
        memory.remove("epoch")
        assert _boot_that_is_cut(flash, cut) == (cut < 4)
        log, memory = flash.boot()
        opened = [entry for entry in _everything(log) if entry[1][f.EPOCH] == log.epoch]
        boots = 1 if cut < 4 else 2
        assert _codes(opened) == [events.EPOCH_OPENED, events.PARAMETERS_APPLIED] + [events.BOOT] * boots, cut
        details = opened[1][1][f.DETAILS]
        assert (details[events.LAST_EPOCH], details[events.LAST_SEQUENCE]) == old
        _check_chain(_everything(log))
        # Every message carries the context that the ones before it make.
        before = chain.context_digest(opened[0][2], None, SOFTWARE)
        after = chain.context_digest(opened[0][2], parameter_set.hash, SOFTWARE)
        assert [entry[1][f.CONTEXT] for entry in opened[1:]] == [before, before] + [after] * boots


def test_new_software_that_was_cut_off_right_after_its_boot_event_is_remembered():
    flash = Flash()
    flash.boot()
    other = b"\x02" * 32
    write = Memory.write

    def write_or_fail(self, name, value):
        if name == "epoch":
            raise OSError(5)
        write(self, name, value)

    Memory.write = write_or_fail
    try:
        flash.boot(other)
        raise AssertionError("not written")
    except OSError:
        pass
    finally:
        Memory.write = write
    for _ in range(3):
        log, _ = flash.boot(other)
        log.append(t.READINGS, _readings(5), 10)
    opened = _everything(log)
    first = chain.context_digest(opened[0][2], None, SOFTWARE)
    then = chain.context_digest(opened[0][2], None, other)
    assert [entry[1][f.CONTEXT] for entry in opened[1:]] == [first, first] + [then] * 6


def test_a_damaged_epoch_file_is_a_lost_head():
    flash = Flash()
    log, memory = flash.boot()
    epoch = log.epoch
    for damaged in (b"", b"\xff" * 20, b"\x83\x01\x02\x03", b"\x01"):
        memory.write("epoch", damaged)
        log, memory = flash.boot()
        assert log.epoch != epoch
        epoch = log.epoch
    _check_chain(_everything(log))


def test_why_an_epoch_was_opened_outlives_a_cut_between_its_first_two_messages():
    for cut in range(3):
        flash = Flash()
        _, memory = flash.boot()
        # No event of the chain holds this set.
        memory.write("parameters", b"\xff")
        _boot_that_is_cut(flash, cut)
        log, _ = flash.boot()
        opened = [
            fields[f.DETAILS]
            for _, fields, _ in _everything(log)
            if fields.get(f.EVENT_CODE) == events.EPOCH_OPENED
        ]
        assert [details[events.REASON] for details in opened] == ["parameters_lost"], cut
