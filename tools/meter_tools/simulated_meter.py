"""Meters that seal real chains in memory, for tests and the benchmark: change one fact, sign, run, assert.

A meter's key follows from its name, so the same calls give the same bytes in every run (RFC 6979). Everything
is as a healthy meter would do it: an identity, a sealed parameter set, a boot, then readings of ten channels
with totals that rise and means inside their instruments' calibrated ranges. `trust_in` gives the certificates
and bindings under which all of it is accepted.
"""

import hashlib
import random
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from meter_gateway import decode
from meter_gateway.model import Fields
from meter_gateway.sealing import Sealer
from meter_gateway.signatures import P256_ORDER
from meter_gateway.traceability import Trust
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.clock import Clocks
from meter_gateway.traceability.software import Approvals
from meter_protocol import chain, cose
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z"""

INTERVAL_MS = 60_000
SAMPLES = 60
JITTER_MS = 7
SOFTWARE_ID = hashlib.sha256(b"simulated meter").digest()


class Channel(NamedTuple):
    """What one channel measures and between which values it moves, in units of 10^exponent.

    For a register the two values are its increase over an interval; `axis` is the quantity at which its
    instrument is calibrated, from 0 to `axis_most` in that quantity's own unit.
    """

    quantity: str
    exponent: int
    least: int
    most: int
    axis: str
    axis_most: int
    instrument: int

    @property
    def is_register(self) -> bool:
        return self.axis != self.quantity


CHANNELS = (
    Channel("active_energy_import", 0, 4000, 9000, "active_power", 700_000, 0),
    Channel("reactive_energy_lagging", 0, 500, 3000, "reactive_power", 700_000, 0),
    Channel("reactive_energy_leading", 0, 0, 900, "reactive_power", 700_000, 0),
    Channel("active_power", 0, 240_000, 540_000, "active_power", 700_000, 0),
    Channel("voltage", -1, 2_250, 2_350, "voltage", 500, 0),
    Channel("current", -2, 30_000, 80_000, "current", 1000, 0),
    Channel("frequency", -3, 49_900, 50_100, "frequency", 100, 0),
    Channel("volume", -2, 100, 900, "volume_flow", 1000, 1),
    Channel("volume_flow", -2, 6_000, 54_000, "volume_flow", 1000, 1),
    Channel("co2_fraction", 0, 110_000, 130_000, "co2_fraction", 200_000, 2),
)
DRIVERS = ("power", "flow", "gas")


def named_sealer(name: str, role: str) -> Sealer:
    """A key that everybody who reads this can compute: for simulations only."""
    secret = 1 + int.from_bytes(hashlib.sha512(name.encode()).digest(), "big") % (P256_ORDER - 1)
    return Sealer(ec.derive_private_key(secret, ec.SECP256R1()), role)


AUTHORITY = named_sealer("parameter authority", t.ROLE_PARAMETERS)


class SimulatedMeter:
    """One board: its key, and the chain that it is sealing. Every method that seals gives the signed bytes."""

    def __init__(self, name: str, channels: Sequence[Channel] = CHANNELS) -> None:
        self.name = name
        self.channels = channels
        self.sealer = named_sealer(name, t.ROLE_METER)
        self.boots = 0
        self.software = self.software_before = SOFTWARE_ID
        self.time_ms = START_MS
        self.totals = dict.fromkeys(self._numbers(is_register=True), 0)
        self._random = random.Random(name)  # noqa: S311 - repeatable on purpose
        self.open_epoch()

    def open_epoch(self) -> None:
        """A chain of its own, with nothing sealed yet."""
        self.epoch = self._random.randbytes(chain.EPOCH_SIZE)
        self.sequence = -1
        self.previous = chain.GENESIS
        self.context = chain.NO_CONTEXT
        self._identity_hash = b""
        self._parameters_hash: bytes | None = None

    @property
    def thumbprint(self) -> bytes:
        return self.sealer.thumbprint

    @property
    def kid(self) -> bytes:
        return self.sealer.kid

    # Sealing

    def header(self) -> Fields:
        """The common header of the next message."""
        return {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: self.epoch,
            f.SEQUENCE: self.sequence + 1,
            f.BOOT: self.boots,
            f.PREVIOUS: self.previous,
            f.CONTEXT: self.context,
            f.TIME_MS: self.time_ms,
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: 20,
        }

    def seal(self, typ: str, fields: Fields) -> bytes:
        """Sign whatever this is, right or wrong, and make it the head of the chain."""
        payload = cbor2.dumps(dict(sorted(fields.items())))
        raw = self.sealer.seal_payload(typ, payload)
        self.sequence = fields[f.SEQUENCE]
        self.previous = hashlib.sha256(decode.split(raw).to_be_signed).digest()
        return raw

    def begin(self) -> list[bytes]:
        """Identity, parameters and boot: what stands at the beginning of every chain."""
        return [self.identity(), self.parameters(), self.boot()]

    def identity(self, **changes: Any) -> bytes:
        body = {
            f.PUBLIC_KEY: self.sealer.cose_key,
            f.SERIAL: self.name,
            f.MAKER: "simulated",
            f.MODEL: "in memory",
            f.KEY_PROTECTION: f.KEY_NATIVE,
            f.SOFTWARE_ID: self.software,
            f.CERTIFICATE: None,
        }
        raw = self.seal(t.IDENTITY, self.header() | body | _by_key(changes))
        self._identity_hash = self.previous
        self._renew_context()
        return raw

    def event(self, code: int, details: Fields) -> bytes:
        return self.seal(t.EVENT, self.header() | {f.EVENT_CODE: code, f.DETAILS: dict(sorted(details.items()))})

    def boot(self, software: bytes | None = None) -> bytes:
        """`software` if it is another than before."""
        self.boots += 1
        now = software or self.software
        raw = self.event(ev.BOOT, {ev.LAST_RECEIPT: None, ev.SOFTWARE_ID: now})
        if now != self.software:
            self.software_before, self.software = self.software, now
            self._renew_context()
        return raw

    def parameters(self) -> bytes:
        sealed = AUTHORITY.seal(t.PARAMETER_SET, self.parameter_set())
        raw = self.event(ev.PARAMETERS_APPLIED, {ev.PARAMETER_SET: sealed})
        parts = cose.split(sealed)
        self._parameters_hash = chain.message_hash(parts.protected, parts.payload)
        self._renew_context()
        return raw

    def readings(self, **changes: Any) -> bytes:
        """The next interval; `changes` replace fields by their names in meter_protocol.fields."""
        self.time_ms += INTERVAL_MS
        values = {number: self._reading(number, channel) for number, channel in enumerate(self.channels, start=1)}
        body = {f.KIND: f.KIND_REGULAR, f.DURATION_MS: INTERVAL_MS, f.READINGS: values, f.JITTER_MS: JITTER_MS}
        return self.seal(t.READINGS, self.header() | body | _by_key(changes))

    def time_request(self, nonce: bytes) -> bytes:
        return self._ask(t.TIME_REQUEST, {f.NONCE: nonce})

    def image_request(self, digest: bytes, index: int) -> bytes:
        return self._ask(t.IMAGE_REQUEST, {f.DIGEST: digest, f.CHUNK_INDEX: index})

    def _ask(self, typ: str, about: Fields) -> bytes:
        """Outside the chain."""
        fields = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: self.time_ms,
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: 20,
            f.METER: self.thumbprint,
            **about,
        }
        return self.sealer.seal(typ, fields)

    # What it is made of

    def parameter_set(self) -> Fields:
        instruments = [
            {
                f.INSTRUMENT_DRIVER: driver,
                f.INSTRUMENT_BUS: "rs485",
                f.INSTRUMENT_ADDRESS: number,
                f.INSTRUMENT_SERIAL: self._instrument_serial(number),
                f.INSTRUMENT_OPTIONS: None,
            }
            for number, driver in enumerate(DRIVERS)
        ]
        return {
            f.VERSION: f.PROTOCOL_VERSION,
            f.TIME_MS: START_MS,
            f.CLOCK_STATUS: f.CLOCK_INFORMATIVE,
            f.CLOCK_UNCERTAINTY_MS: 1000,
            f.METER: self.thumbprint,
            f.SET_VERSION: 1,
            f.INTERVAL_S: INTERVAL_MS // 1000,
            f.SAMPLE_PERIOD_MS: INTERVAL_MS // SAMPLES,
            f.INSTRUMENTS: instruments,
            f.CHANNELS: [_declared(number, ch) for number, ch in enumerate(self.channels, start=1)],
            f.RECEIPT_KEYS: [],
            f.CLOCK_KEYS: [],
        }

    def certificates(self) -> list[c.Certificate]:
        return [self._certificate(number) for number in range(len(DRIVERS))]

    def bindings(self) -> list[Binding]:
        return [
            Binding(
                self.thumbprint,
                number,
                self._instrument_serial(channel.instrument),
                (self._instrument_serial(channel.instrument),),
                START_MS - INTERVAL_MS,
                None,
            )
            for number, channel in enumerate(self.channels, start=1)
        ]

    def _reading(self, number: int, channel: Channel) -> list[int]:
        value = self._random.randint(channel.least, channel.most)
        if not channel.is_register:
            return [f.STATUS_GOOD, SAMPLES, SAMPLES, value, self._random.randint(1, 100)]
        self.totals[number] += value
        return [f.STATUS_GOOD, self.totals[number]]

    def _numbers(self, is_register: bool) -> Iterable[int]:
        return [i for i, channel in enumerate(self.channels, start=1) if channel.is_register == is_register]

    def _renew_context(self) -> None:
        self.context = chain.context_digest(self._identity_hash, self._parameters_hash, self.software)

    def _instrument_serial(self, number: int) -> str:
        return f"{self.name} {DRIVERS[number]}"

    def _certificate(self, number: int) -> c.Certificate:
        """One per instrument; its identifier is the instrument's serial."""
        serial = self._instrument_serial(number)
        instrument = c.Instrument("simulated", DRIVERS[number], serial)
        return c.Certificate(
            identifier=serial,
            laboratory=c.Laboratory("simulated", None),
            calibrated_on=date(2025, 12, 1),
            issued_on=date(2025, 12, 2),
            due_on=date(2030, 12, 1),
            due_source="owner",
            results=tuple(_result(ch, instrument) for ch in self.channels if ch.instrument == number),
            replaces=(),
            previous=None,
            scan_sha256=None,
            ends=(),
        )


def _by_key(changes: dict[str, Any]) -> Fields:
    return {getattr(f, name): value for name, value in changes.items()}


def trust_in(meters: Iterable[SimulatedMeter], **changes: Any) -> Trust:
    """Everything that is to be trusted so that all these meters' readings are accepted; `changes` are arguments of
    Trust."""
    known = list(meters)
    accepting: dict[str, Any] = {
        "certificates": [certificate for meter in known for certificate in meter.certificates()],
        "bindings": [binding for meter in known for binding in meter.bindings()],
        "authorities": {AUTHORITY.kid: AUTHORITY.public_key},
        "clocks": Clocks(uncertainty_ms=1000, max_skew_ms=0, max_meter_uncertainty_ms=60_000),
        "clock_trusted": True,
        "software": Approvals({SOFTWARE_ID: True}),
    }
    return Trust(**accepting | changes)


def _declared(number: int, channel: Channel) -> Fields:
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: channel.instrument,
        f.CHANNEL_INDICATION: channel.quantity,
        f.CHANNEL_QUANTITY: BY_NAME[channel.quantity].code,
        f.CHANNEL_KIND: f.CHANNEL_REGISTER if channel.is_register else f.CHANNEL_MEAN,
        f.CHANNEL_EXPONENT: channel.exponent,
        f.CHANNEL_RATIO: 1,
        f.CHANNEL_MODULUS: None,
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: False,
    }


def _result(channel: Channel, instrument: c.Instrument) -> c.CalibrationResult:
    axis = BY_NAME[channel.axis]
    most = Decimal(channel.axis_most)
    points = tuple(
        c.Point(reference=most * tenth / 10, error=Decimal(0), expanded_uncertainty=Decimal(1), k=Decimal(2))
        for tenth in (0, 5, 10)
    )
    return c.CalibrationResult(
        instrument=instrument,
        quantity=BY_NAME[channel.quantity],
        axis=c.Axis(axis, axis.ucum, Decimal(0), most),
        error_unit="%",
        points=points,
        conditions=(),
    )
