"""The measuring path of the firmware on MicroPython's own image of the NUCLEO-F429ZI: sensors to sealed readings.

It runs on the board, from its filesystem, and is all of the firmware that finds room there: the shipping drivers,
bus, channels and sealing, with the software signer, without journal, link and parameters. (The whole takes more
than 160 KB of heap where it is not frozen; this image has 94 KB.) What it seals it says on the console, as
hexadecimal:

    key <COSE_Key>
    sealed <message>                  readings of one interval, of each row of CHANNELS one, numbered from 1
    adc <counts of 16 bits>           of the pins of ANALOGUE
"""

import asyncio
import gc
import os
from binascii import hexlify

from machine import ADC, I2C, Pin

from meter_firmware import monotonic
from meter_firmware.buses.i2c import I2cBus
from meter_firmware.sensors import bme280, scd30, scd41
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import cbor, chain, cose, keys
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling.instrument import Instrument
from meter_sampling.metering import MeanChannel

I2C_NUMBER = 1
I2C_HZ = 50000
"""What an SCD30 bears."""

STRETCH_US = 200000

INSTRUMENTS = ((scd30, 0x61), (scd41, 0x62), (bme280, 0x76))
CHANNELS = (
    (0, "co2_fraction"),
    (0, "temperature"),
    (0, "relative_humidity"),
    (1, "co2_fraction"),
    (1, "temperature"),
    (1, "relative_humidity"),
    (2, "absolute_pressure"),
    (2, "temperature"),
    (2, "relative_humidity"),
)
ANALOGUE = ("A3", "C0")
"""Inputs 3 and 10 of the converter."""

SAMPLES = 2
SAMPLE_MS = 1500


async def measure(instruments: "list[Instrument]") -> "tuple[list[MeanChannel], int]":
    """(channels with SAMPLES samples each, milliseconds that it took)."""
    channels = [MeanChannel(1, True) for _ in CHANNELS]
    began_ms = monotonic.now_ms()
    for _ in range(SAMPLES):
        await asyncio.sleep_ms(SAMPLE_MS)
        for instrument in instruments:
            await instrument.read(monotonic.now_ms())
        for place, (number, name) in enumerate(CHANNELS):
            value, status = instruments[number].indication(name)
            if value is None:
                channels[place].miss(status)
            else:
                channels[place].add(value)
    return channels, monotonic.now_ms() - began_ms


async def run() -> None:
    gc.collect()
    print("heap", gc.mem_free())
    signer = SoftwareSigner(os.urandom(32))
    cose_key = keys.encode_p256(signer.public_key())
    say("key", cose_key)
    protected = cose.protected_header(cose.ES256, keys.kid_of(keys.thumbprint(cose_key)), t.READINGS)
    bus = I2cBus(I2C(I2C_NUMBER, freq=I2C_HZ, timeout=STRETCH_US))
    instruments = [Instrument(kind.define(None)(bus, address), None) for kind, address in INSTRUMENTS]
    inputs = [ADC(getattr(Pin.cpu, name)) for name in ANALOGUE]
    epoch, previous, sequence = os.urandom(8), bytes(32), 0
    while True:
        gc.collect()
        sequence += 1
        channels, took_ms = await measure(instruments)
        fields = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: monotonic.now_ms(),
            f.CLOCK_STATUS: f.CLOCK_RELATIVE,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.EPOCH: epoch,
            f.SEQUENCE: sequence,
            f.BOOT: 1,
            f.PREVIOUS: previous,
            f.CONTEXT: bytes(16),
            f.KIND: f.KIND_REGULAR,
            f.DURATION_MS: took_ms,
            f.READINGS: {place + 1: channel.close() for place, channel in enumerate(channels)},
            f.JITTER_MS: 0,
        }
        payload = cbor.dumps(fields)
        previous = chain.message_hash(protected, payload)
        print("adc", *(converter.read_u16() for converter in inputs))
        say("sealed", cose.assemble(protected, payload, signer.sign(previous)))


def say(what: str, content: bytes) -> None:
    """In parts: the heap has no room for a long string."""
    print(what, end=" ")
    for start in range(0, len(content), 32):
        print(hexlify(content[start : start + 32]).decode(), end="")
    print()


asyncio.run(run())
