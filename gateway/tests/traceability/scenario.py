"""A meter that seals a chain in memory, and the certificates of its instruments.

Assessment begins where verification ends, so messages carry no signature here; only parameter sets do, since
their authority is a finding. Everything is valid unless a test changes it: one fact, one test.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from meter_gateway.metrology.conformity import SIMPLE_ACCEPTANCE, DecisionRule
from meter_gateway.model import Finding, Verified
from meter_gateway.signatures import p256_sign
from meter_gateway.traceability import FINDINGS, ChainState, Trust, assess_group
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.clock import Clocks
from meter_gateway.traceability.hierarchy import NO_INSTITUTES, Rules
from meter_gateway.traceability.plausibility_file import Plausibility
from meter_gateway.traceability.software import Approvals
from meter_gateway.traceability.thresholds import Thresholds
from meter_protocol import chain, cose, keys, messages
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME

HOUR_MS = 3_600_000
INTERVAL_MS = 900_000
START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z"""

THUMBPRINT = hashlib.sha256(b"the meter").digest()
SOFTWARE = hashlib.sha256(b"software").digest()
APPROVED = Approvals({SOFTWARE: True})
OTHER_SOFTWARE = hashlib.sha256(b"other software").digest()
SERIAL = "E-7001"

ENERGY = 1
POWER = 2

CLOCKS = Clocks(uncertainty_ms=1000, max_skew_ms=0, max_meter_uncertainty_ms=60_000)


class Authority:
    """A parameter authority whose key follows from its name."""

    def __init__(self, name: str) -> None:
        secret = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1
        self.private = ec.derive_private_key(secret, ec.SECP256R1())
        self.public = self.private.public_key()
        point = self.public.public_numbers()
        self.cose_key = keys.encode_p256(point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big"))
        self.kid = keys.kid_of(keys.thumbprint(self.cose_key))

    def seal(self, fields: dict[int, Any], typ: str = t.PARAMETER_SET) -> bytes:
        payload = messages.encode(typ, fields)
        protected = cose.protected_header(cose.ES256, self.kid, typ)
        signature = p256_sign(self.private, chain.message_hash(protected, payload))
        return cose.assemble(protected, payload, signature)


AUTHORITY = Authority("parameter authority")


def channel(number: int, quantity: str, kind: int, **rest: Any) -> dict[int, Any]:
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: rest.get("instrument", 0),
        f.CHANNEL_INDICATION: quantity[:32],
        f.CHANNEL_QUANTITY: BY_NAME[quantity].code,
        f.CHANNEL_KIND: kind,
        f.CHANNEL_EXPONENT: rest.get("exponent", 0),
        f.CHANNEL_RATIO: rest.get("ratio", 1),
        f.CHANNEL_MODULUS: rest.get("modulus"),
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: rest.get("operating_point"),
        f.CHANNEL_EXTREMES: rest.get("extremes", False),
    }


def energy(**rest: Any) -> dict[int, Any]:
    return channel(ENERGY, "active_energy_import", f.CHANNEL_REGISTER, **rest)


def power(**rest: Any) -> dict[int, Any]:
    return channel(POWER, "active_power", f.CHANNEL_MEAN, **{"extremes": True, **rest})


def parameter_set(*channels: dict[int, Any], version: int = 1, serial: str | None = SERIAL) -> dict[int, Any]:
    instrument = {
        f.INSTRUMENT_DRIVER: "power",
        f.INSTRUMENT_BUS: "rs485",
        f.INSTRUMENT_ADDRESS: 1,
        f.INSTRUMENT_SERIAL: serial,
        f.INSTRUMENT_OPTIONS: None,
    }
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: START_MS - 2 * HOUR_MS,
        f.CLOCK_STATUS: f.CLOCK_INFORMATIVE,
        f.CLOCK_UNCERTAINTY_MS: 1000,
        f.METER: THUMBPRINT,
        f.SET_VERSION: version,
        f.INTERVAL_S: 900,
        f.SAMPLE_PERIOD_MS: 1000,
        f.INSTRUMENTS: [instrument],
        f.CHANNELS: list(channels) or [energy(operating_point=POWER), power()],
        f.RECEIPT_KEYS: [],
        f.CLOCK_KEYS: [],
    }


class Meter:
    """Seals the chain of one epoch: sequence, links and context as SPEC §4 says."""

    def __init__(self) -> None:
        self.epoch = bytes(8)
        self.sequence = 0
        self.previous = chain.GENESIS
        self.context = chain.NO_CONTEXT
        self.identity_hash = bytes(32)
        self.parameters_hash: bytes | None = None
        self.software = SOFTWARE
        self.boot_count = 1
        self.time_ms = START_MS - HOUR_MS
        self.status = f.CLOCK_SYNCHRONISED
        self.uncertainty_ms: int | None = 500

    def seal(self, typ: str, body: dict[int, Any]) -> Verified:
        fields = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: self.epoch,
            f.SEQUENCE: self.sequence,
            f.BOOT: self.boot_count,
            f.PREVIOUS: self.previous,
            f.CONTEXT: self.context,
            f.TIME_MS: self.time_ms,
            f.CLOCK_STATUS: self.status,
            f.CLOCK_UNCERTAINTY_MS: self.uncertainty_ms,
            **body,
        }
        protected = cose.protected_header(cose.ES256, keys.kid_of(THUMBPRINT), typ)
        digest = chain.message_hash(protected, messages.encode(typ, fields))
        self.sequence += 1
        self.previous = digest
        return Verified(b"", typ, THUMBPRINT, fields, digest)

    def identity(self, key_protection: int = f.KEY_NATIVE) -> Verified:
        sealed = self.seal(
            t.IDENTITY,
            {
                f.PUBLIC_KEY: AUTHORITY.cose_key,
                f.SERIAL: "CM-1",
                f.MAKER: "Example",
                f.MODEL: "M1",
                f.KEY_PROTECTION: key_protection,
                f.SOFTWARE_ID: SOFTWARE,
                f.CERTIFICATE: None,
            },
        )
        self.identity_hash = sealed.hash
        self._renew()
        return sealed

    def event(self, code: int, details: dict[int, Any]) -> Verified:
        return self.seal(t.EVENT, {f.EVENT_CODE: code, f.DETAILS: details})

    def boot(self, software: bytes = SOFTWARE) -> Verified:
        sealed = self.event(ev.BOOT, {ev.LAST_RECEIPT: None, ev.SOFTWARE_ID: software})
        self.software = software
        self._renew()
        return sealed

    def apply(self, raw: bytes) -> Verified:
        sealed = self.event(ev.PARAMETERS_APPLIED, {ev.PARAMETER_SET: raw})
        parts = cose.split(raw)
        self.parameters_hash = chain.message_hash(parts.protected, parts.payload)
        self._renew()
        return sealed

    def set_clock(self, new_time_ms: int) -> Verified:
        old_time_ms, self.time_ms = self.time_ms, new_time_ms
        self.status, self.uncertainty_ms = f.CLOCK_SYNCHRONISED, 500
        details = {
            ev.OLD_TIME_MS: old_time_ms,
            ev.NEW_TIME_MS: new_time_ms,
            ev.TIME_REPLY: b"reply",
            ev.DRIFT_PPB: None,
        }
        return self.event(ev.CLOCK_SET, details)

    def readings(
        self,
        readings: dict[int, list[Any]],
        duration_ms: int | None = INTERVAL_MS,
        kind: int = f.KIND_REGULAR,
        jitter_ms: int = 0,
    ) -> Verified:
        """At the end of an interval that began at the meter's present time."""
        self.time_ms += duration_ms or 0
        body = {f.KIND: kind, f.DURATION_MS: duration_ms, f.READINGS: readings, f.JITTER_MS: jitter_ms}
        return self.seal(t.READINGS, body)

    def start(self, raw: bytes | None = None, key_protection: int = f.KEY_NATIVE) -> list[Verified]:
        """What a meter seals before its first readings; these begin at START_MS."""
        applied = AUTHORITY.seal(parameter_set()) if raw is None else raw
        sealed = [self.identity(key_protection), self.apply(applied), self.boot()]
        self.time_ms = START_MS
        return sealed

    def _renew(self) -> None:
        self.context = chain.context_digest(self.identity_hash, self.parameters_hash, self.software)


def mean(value: int, low: int | None = None, high: int | None = None, status: int = 0) -> list[Any]:
    return [status, 900, 900, value, 5, value if low is None else low, value if high is None else high]


def intervals(meter: Meter, count: int, start_wh: int = 1000) -> list[Verified]:
    """Regular readings of 100 kW each: 25 kWh in a quarter of an hour."""
    return [
        meter.readings({ENERGY: [0, start_wh + 25_000 * index], POWER: mean(100_000)}) for index in range(count)
    ]


AXIS = c.Axis(BY_NAME["active_power"], "kW", Decimal("0.5"), Decimal(600))
INSTRUMENT = c.Instrument("Eastron", "SDM630", SERIAL)
CONDITIONS = (c.Condition("ambient temperature", "Cel", Decimal(19), Decimal(21)),)


def calibration_result(quantity: str, axis: c.Axis = AXIS, serial: str = SERIAL) -> c.CalibrationResult:
    points = tuple(
        c.Point(Decimal(reference), Decimal("0.1"), Decimal("0.05"), Decimal(2)) for reference in (1, 100, 600)
    )
    instrument = replace(INSTRUMENT, serial=serial)
    return c.CalibrationResult(instrument, BY_NAME[quantity], axis, "%", points, CONDITIONS)


def verification_result(quantity: str, passed: bool = True) -> c.VerificationResult:
    contribution = c.ClassContribution(Decimal("0.5"), Decimal("0.29"))
    return c.VerificationResult(
        INSTRUMENT, BY_NAME[quantity], AXIS, "iec-62053-22", "0.5S", contribution, passed, CONDITIONS
    )


def certificate(identifier: str = "CAL-1", **change: Any) -> c.Certificate:
    """In force from 2025-06-01 to 2026-05-31, for energy and power of the one instrument."""
    whole = c.Certificate(
        identifier=identifier,
        laboratory=c.Laboratory("Institute of Metrology", "CNAS L0000"),
        calibrated_on=date(2025, 6, 1),
        issued_on=date(2025, 6, 3),
        due_on=date(2026, 5, 31),
        due_source="owner",
        results=(calibration_result("active_energy_import"), calibration_result("active_power")),
        replaces=(),
        previous=None,
        scan_sha256=None,
        ends=(),
    )
    return replace(whole, **change)


def end(kind: c.EndKind, at_ms: int, serial: str | None = None) -> c.End:
    return c.End(kind, at_ms, "a reason", serial)


def bindings(*identifiers: str, channels: Iterable[int] = (ENERGY, POWER)) -> list[Binding]:
    return [
        Binding(THUMBPRINT, number, SERIAL, identifiers or ("CAL-1",), START_MS - 365 * 24 * HOUR_MS, None)
        for number in channels
    ]


def trust(
    certificates: Iterable[c.Certificate] | None = None,
    bound: Iterable[Binding] | None = None,
    authorities: Iterable[Authority] = (AUTHORITY,),
    clocks: Clocks = CLOCKS,
    clock_trusted: bool = True,
    utc_offset_minutes: int = 0,
    update_authorities: Iterable[Authority] = (),
    max_jitter_ms: int | None = None,
    rule: DecisionRule = SIMPLE_ACCEPTANCE,
    plausible: Plausibility | None = None,
    thresholds: Thresholds | None = None,
    standards: Rules = NO_INSTITUTES,
    software: Approvals = APPROVED,
) -> Trust:
    known = [certificate()] if certificates is None else list(certificates)
    return Trust(
        known,
        bindings(*(entry.identifier for entry in known)) if bound is None else bound,
        {authority.kid: authority.public for authority in authorities},
        clocks,
        clock_trusted,
        utc_offset_minutes,
        {authority.kid: authority.public for authority in update_authorities},
        max_jitter_ms,
        rule=rule,
        plausible=plausible,
        thresholds=thresholds,
        standards=standards,
        software=software,
    )


def assess(
    group: Sequence[Verified],
    trusted: Trust | None = None,
    state: ChainState | None = None,
    received_ms: int | None = None,
) -> list[tuple[Finding, ...]]:
    """Findings of every message, received when the last of them was sealed."""
    received = group[-1].fields[f.TIME_MS] if received_ms is None else received_ms
    assessed = assess_group(state or ChainState.new(THUMBPRINT), group, trusted or trust(), received)
    return [found.findings for found in assessed]


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, int | None]]:
    assert all(found.code in FINDINGS for found in findings)
    return [(found.code, found.channel) for found in findings]
