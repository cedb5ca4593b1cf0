"""What signing and one interval cost on the emulated core, for `make bench-board`: frozen in the place of main.py.

Prints lines "name instructions bytes"; the bytes are what was taken from the heap, and 0 where it was swept
meanwhile. The emulator runs with -icount shift=0, so that a microsecond of its time is a thousand instructions.
The last line is "done".
"""

import gc
import time

import chip

from meter_firmware import blockdev, native_module, p256
from meter_firmware.chain_log import ChainLog
from meter_firmware.clock import MeterClock
from meter_firmware.journal import Journal
from meter_firmware.memory import Memory
from meter_firmware.metering import MeanChannel, RegisterChannel
from meter_firmware.sealing import Sealer
from meter_firmware.signers.native import NativeSigner
from meter_protocol import chain, messages
from meter_protocol import fields as f
from meter_protocol import types as t

INSTRUCTIONS_PER_US = 1000
PRIVATE = b"a key of 32 bytes, known to all."
DIGEST = b"and a digest of the same size..."
FLASH_FILE = "flash.bin"
NOON = 1700000000000

REGISTERS, MEANS, SAMPLES = 3, 7, 15
INTERVALS = 20
"""Averaged: LittleFS's work differs from one append to the next."""

JOURNAL_BYTES = 1 << 20


class Cost:
    """What some calls took together. The heap is not swept meanwhile, so that all of it still shows.

    Unless they `sweep`, because the heap would not hold it.
    """

    def __init__(self, sweep=False):
        self.instructions = 0
        self.heap_bytes = 0
        self._sweep = sweep

    def of(self, call, *arguments):
        gc.collect()
        if not self._sweep:
            gc.disable()
        heap, start = gc.mem_alloc(), time.ticks_us()
        result = call(*arguments)
        self.instructions += time.ticks_diff(time.ticks_us(), start) * INSTRUCTIONS_PER_US
        if not self._sweep:
            self.heap_bytes += gc.mem_alloc() - heap
            gc.enable()
        return result

    def tell(self, name, calls=1):
        print(name, self.instructions // calls, self.heap_bytes // calls)


def measured(name, call, *arguments):
    cost = Cost(sweep=name.startswith("python"))
    result = cost.of(call, *arguments)
    cost.tell(name)
    return result


def nothing(a=None, b=None, c=None):
    pass


def signing():
    native = native_module.module
    measured("empty", nothing)
    public = measured("native_public_key", native.public_key, PRIVATE)
    signature = measured("native_sign", native.sign, PRIVATE, DIGEST)
    measured("native_sign_seam", NativeSigner(PRIVATE).sign, DIGEST)
    measured("native_verify", native.verify, public, DIGEST, signature)
    # The first use makes a table.
    measured("python_public_key_first", p256.public_key, PRIVATE)
    same = measured("python_public_key", p256.public_key, PRIVATE) == public
    same = measured("python_sign", p256.sign, PRIVATE, DIGEST) == signature and same
    if not measured("python_verify", p256.verify, public, DIGEST, signature) or not same:
        raise ValueError("the two signers differ")


def closed(channels):
    return {number: channels[number].close() for number in channels}


def interval():
    """One interval of 10 channels from closing it to the flash, as Meter goes it, step by step."""
    blockdev.mount(chip.Flash(FLASH_FILE, blockdev.BLOCK_SIZE), "/meter")
    clock = MeterClock()
    clock.take((NOON, f.CLOCK_SYNCHRONISED, 5), 0)
    sealer = Sealer(NativeSigner(PRIVATE))
    journal = Journal("/meter/journal", JOURNAL_BYTES)
    log = ChainLog(journal, Memory("/meter/memory"), sealer, clock)
    identity = {
        f.PUBLIC_KEY: sealer.cose_key,
        f.SERIAL: "B1",
        f.MAKER: "carbonmeter",
        f.MODEL: "bench",
        f.KEY_PROTECTION: sealer.protection,
        f.SOFTWARE_ID: DIGEST,
        f.CERTIFICATE: None,
    }
    log.open(identity, bytes, 0)
    channels = {number: RegisterChannel(1, None, None) for number in range(1, REGISTERS + 1)}
    channels.update({number: MeanChannel(1, False) for number in range(REGISTERS + 1, REGISTERS + MEANS + 1)})

    close, encode, digest, sign, append, whole = [Cost() for _ in range(6)]
    for turn in range(INTERVALS):
        sampled(channels, turn)
        body = {f.KIND: f.KIND_REGULAR, f.DURATION_MS: 900000, f.JITTER_MS: 3}
        body[f.READINGS] = close.of(closed, channels)
        whole.of(log.append, t.READINGS, body, 900000 * turn + 1)
        # Its parts once more, on the message that was just made: they leave no trace in the chain.
        fields = dict(body)
        fields.update(header(log, clock))
        payload = encode.of(messages.encode, t.READINGS, fields)
        hashed = digest.of(chain.message_hash, b"\xa0" * 24, payload)
        signature = sign.of(sealer._signer.sign, hashed)
        journal_only(append, journal, log, payload + signature)
    close.tell("interval_close", INTERVALS)
    encode.tell("interval_encode", INTERVALS)
    digest.tell("interval_hash", INTERVALS)
    sign.tell("interval_sign", INTERVALS)
    append.tell("interval_append", INTERVALS)
    whole.tell("interval_log_append", INTERVALS)


def header(log, clock):
    time_ms, status, uncertainty_ms = clock.stamp(0)
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.EPOCH: log.epoch,
        f.SEQUENCE: log.sequence,
        f.BOOT: log.boot,
        f.PREVIOUS: DIGEST,
        f.CONTEXT: DIGEST[:16],
        f.TIME_MS: time_ms,
        f.CLOCK_STATUS: status,
        f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
    }


def journal_only(cost, journal, log, raw):
    """A record of the same size behind the chain's own; the next message of the chain has the place after it."""
    log.sequence += 1
    cost.of(journal.append, log.epoch, log.sequence, raw, False)


def sampled(channels, turn):
    for sample in range(SAMPLES):
        for number in channels:
            value = 100000 + 900 * turn + 60 * sample + number
            if number <= REGISTERS:
                channels[number].add(value, 60000 * sample)
            else:
                channels[number].add(value)


signing()
interval()
print("done")
