"""Keys and messages of the vector file: one meter's first hours, then an epoch that it had to open anew."""

import uuid
from typing import Any

from meter_protocol import cbor, chain, cose, merkle, messages
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.vectors.sealing import (
    Epoch,
    Fields,
    Scenario,
    Sealed,
    TestKey,
    clock,
    named_bytes,
    sha256,
    synchronised,
)

START_MS = 1767225600000  # 2026-01-01T00:00:00Z
INTERVAL_MS = 900000
VENDOR = uuid.uuid5(uuid.NAMESPACE_DNS, "metering.example")

RFC9679_EXAMPLE = {
    "source": "RFC 9679 section 6",
    "x": "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d",
    "y": "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c",
    "thumbprint": "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec",
}

MERKLE_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)


def build() -> Scenario:
    scenario = Scenario(
        [
            TestKey("meter", t.ROLE_METER),
            TestKey("meter, ed25519", t.ROLE_METER, cose.EDDSA),
            TestKey("receipt", t.ROLE_RECEIPT),
            TestKey("clock", t.ROLE_CLOCK),
            TestKey("verdict", t.ROLE_VERDICT),
            TestKey("parameters", t.ROLE_PARAMETERS),
            TestKey("updates", t.ROLE_UPDATES),
        ]
    )
    about_meter = {f.METER: scenario.key("meter").thumbprint}
    scenario.seal("parameter-set", t.PARAMETER_SET, "parameters", parameter_set(scenario))
    request = {**clock(5_100, f.CLOCK_RELATIVE), **about_meter, f.NONCE: named_bytes("nonce", 16)}
    scenario.seal("time-request", t.TIME_REQUEST, "meter", request)
    reply = {**clock(START_MS, f.CLOCK_SYNCHRONISED, 4), **about_meter, f.NONCE: request[f.NONCE]}
    scenario.seal("time-reply", t.TIME_REPLY, "clock", reply)
    update(scenario)
    first_contact(scenario)
    epoch = first_epoch(scenario)
    gateway_answers(scenario, epoch)
    second_epoch(scenario, epoch)
    scenario.seal("comparison", t.COMPARISON, "verdict", comparison(scenario))
    other_meter = Epoch(scenario, "meter, ed25519", "of the Ed25519 meter")
    other_meter.seal("identity, ed25519", t.IDENTITY, identity(scenario.key("meter, ed25519")))
    return scenario


def identity(key: TestKey) -> Fields:
    return {
        f.PUBLIC_KEY: key.cose_key,
        f.SERIAL: "CM-000042",
        f.MAKER: "Example Metering",
        f.MODEL: "碳表 M1",
        f.KEY_PROTECTION: f.KEY_SOFTWARE,
        f.SOFTWARE_ID: named_bytes("software", 32),
        f.CERTIFICATE: None,
    }


def parameter_set(scenario: Scenario) -> Fields:
    def channel(number: int, indication: str, quantity: int, kind: int, *, exponent: int, **rest: Any) -> Fields:
        return {
            f.CHANNEL_ID: number,
            f.CHANNEL_INSTRUMENT: rest.get("instrument", 0),
            f.CHANNEL_INDICATION: indication,
            f.CHANNEL_QUANTITY: quantity,
            f.CHANNEL_KIND: kind,
            f.CHANNEL_EXPONENT: exponent,
            f.CHANNEL_RATIO: rest.get("ratio", 1),
            f.CHANNEL_MODULUS: rest.get("modulus"),
            f.CHANNEL_MAX_STEP: rest.get("max_step"),
            f.CHANNEL_OPERATING_POINT: rest.get("operating_point"),
            f.CHANNEL_EXTREMES: rest.get("extremes", False),
        }

    def instrument(driver: str, bus: str, address: int, serial: str | None, options: Any) -> Fields:
        return {
            f.INSTRUMENT_DRIVER: driver,
            f.INSTRUMENT_BUS: bus,
            f.INSTRUMENT_ADDRESS: address,
            f.INSTRUMENT_SERIAL: serial,
            f.INSTRUMENT_OPTIONS: options,
        }

    return {
        **synchronised(START_MS - 60_000),
        f.METER: scenario.key("meter").thumbprint,
        f.SET_VERSION: 1,
        f.INTERVAL_S: 900,
        f.SAMPLE_PERIOD_MS: 60_000,
        f.INSTRUMENTS: [
            instrument("power", "rs485", 1, "E-7001", None),
            instrument("map", "rs485", 2, None, [["co2", 0, 2, "int32"], ["t", 2, 1, -1]]),
        ],
        f.CHANNELS: [
            channel(1, "energy", 1, f.CHANNEL_REGISTER, exponent=0, ratio=40, modulus=10**8, operating_point=3),
            channel(2, "varh", 3, f.CHANNEL_REGISTER, exponent=0, ratio=40, max_step=600_000),
            channel(3, "power", 10, f.CHANNEL_MEAN, exponent=-1, ratio=40, extremes=True),
            channel(4, "co2", 40, f.CHANNEL_MEAN, exponent=0, instrument=1),
        ],
        f.RECEIPT_KEYS: [scenario.key("receipt").cose_key],
        f.CLOCK_KEYS: [scenario.key("clock").cose_key],
    }


def comparison(scenario: Scenario) -> Fields:
    """Active power against a portable standard, at one point."""
    raw = cs.encode_raw(
        {
            cm.RAW_VERSION: f.PROTOCOL_VERSION,
            cm.RAW_CHANNEL_EXPONENT: -1,
            cm.RAW_CHANNEL: [
                _compared(index, 101_250 + index, named_bytes(f"reading {index}", 32)) for index in (0, 1)
            ],
            cm.RAW_REFERENCE_EXPONENT: 0,
            cm.RAW_REFERENCE: [_compared(index, 10_120, None) for index in (0, 1)],
            cm.RAW_PAIRS: [
                {
                    cm.PAIR_START_MS: START_MS + index * INTERVAL_MS,
                    cm.PAIR_END_MS: START_MS + (index + 1) * INTERVAL_MS,
                    cm.PAIR_CHANNEL: 10_125_000 + 100 * index,
                    cm.PAIR_REFERENCE: 10_120_000,
                    cm.PAIR_CORRECTION: -500,
                    cm.PAIR_UNCERTAINTY: 300,
                    cm.PAIR_USE: cm.USED,
                }
                for index in (0, 1)
            ],
            cm.RAW_SETTINGS: [{cm.SETTING_NAME: "settled_within", cm.SETTING_VALUE: "0.02"}],
        }
    )
    return {
        **synchronised(START_MS + 3 * INTERVAL_MS),
        f.METER: scenario.key("meter").thumbprint,
        cm.RUN: named_bytes("run", 8),
        cm.KIND: cm.AS_FOUND,
        cm.CHANNEL: 3,
        cm.SERIAL: "E-7001",
        cm.QUANTITY: 10,
        cm.EXPONENT: -3,
        cm.START_MS: START_MS,
        cm.END_MS: START_MS + 2 * INTERVAL_MS,
        cm.REFERENCE: {
            cm.REFERENCE_KIND: cm.TYPED_IN,
            cm.REFERENCE_SERIAL: "RS-44",
            cm.REFERENCE_NAME: "便携式标准表",
            cm.REFERENCE_CERTIFICATES: [
                {cm.CERTIFICATE_ID: "NIM-2025-0077", cm.CERTIFICATE_DIGEST: named_bytes("certificate", 32)}
            ],
            cm.REFERENCE_METER: None,
            cm.REFERENCE_CHANNEL: None,
        },
        cm.CONDITIONS: [
            {
                cm.CONDITION_NAME: "ambient temperature",
                cm.CONDITION_UNIT: "Cel",
                cm.CONDITION_EXPONENT: -1,
                cm.CONDITION_MINIMUM: 215,
                cm.CONDITION_MAXIMUM: 222,
            }
        ],
        cm.DECISION: {
            cm.DECISION_METHOD: cm.NORMALISED_ERROR,
            cm.DECISION_GUARD_BAND: "simple",
            cm.DECISION_MULTIPLIER_PPM: 1_000_000,
            cm.DECISION_MAX_RATIO_PPM: 333_333,
            cm.DECISION_EN_LIMIT_PPM: 1_000_000,
            cm.DECISION_LIMIT_PPM: None,
        },
        cm.PERSON: "N. N.",
        cm.POINTS: [
            {
                cm.POINT_REFERENCE: 10_119_500,
                cm.POINT_ERROR: 5_550,
                cm.POINT_UNCERTAINTY: 8_000,
                cm.POINT_MPE: 101_195,
                cm.POINT_EN_PPM: 620_000,
                cm.POINT_COUNT: 2,
                cm.POINT_DEVIATION: 71,
                cm.POINT_OUTCOME: cm.PASSED,
            }
        ],
        cm.RELATIVE_ACCURACY: None,
        cm.OUTCOME: cm.PASSED,
        cm.REASONS: [],
        cm.RAW_DIGEST: sha256(raw),
        cm.RAW: raw,
    }


def _compared(index: int, value: int, message_hash: bytes | None) -> Fields:
    return {
        cm.READING_START_MS: START_MS + index * INTERVAL_MS,
        cm.READING_END_MS: START_MS + (index + 1) * INTERVAL_MS,
        cm.READING_VALUE: value,
        cm.READING_SPREAD: None,
        cm.READING_HASH: message_hash,
    }


def update(scenario: Scenario) -> None:
    """An image of two files in two chunks, its manifest, and the fetching of the second chunk."""
    image = b"".join(
        cbor.dumps([name, len(content)]) + content
        for name, content in (("board/board.mpy", b"M\6\0" * 9), ("meter_firmware/app.mpy", b"app" * 20))
    )
    size = (len(image) + 5) // 2
    chunks = [image[start : start + size] for start in range(0, len(image), size)]
    manifest = {
        **clock(START_MS, f.CLOCK_UNKNOWN),
        f.MANIFEST_SEQUENCE: 2,
        f.VENDOR_IDENTIFIER: VENDOR.bytes,
        f.CLASS_IDENTIFIER: uuid.uuid5(VENDOR, "碳表 M1").bytes,
        f.IMAGE_SIZE: len(image),
        f.IMAGE_DIGEST: sha256(image),
        f.CHUNK_SIZE: size,
        f.CHUNK_DIGESTS: b"".join(sha256(chunk)[:16] for chunk in chunks),
        f.DOWNGRADE_FROM: None,
        f.SOFTWARE_VERSION: "0.2.0",
    }
    scenario.seal("update-manifest", t.UPDATE_MANIFEST, "updates", manifest)
    about = {f.METER: scenario.key("meter").thumbprint, f.DIGEST: sha256(image), f.CHUNK_INDEX: 1}
    scenario.seal("image-request", t.IMAGE_REQUEST, "meter", {**synchronised(START_MS), **about})
    scenario.seal("image-chunk", t.IMAGE_CHUNK, "receipt", {**synchronised(START_MS), **about, f.CHUNK: chunks[1]})


def first_contact(scenario: Scenario) -> None:
    """A new board, its record, and its replacement. Certificates and requests are bytes like any other here."""
    meter = scenario.key("meter")
    about = {f.METER: meter.thumbprint}
    board = {
        **clock(4_000, f.CLOCK_RELATIVE),
        **about,
        fc.HELLO_NONCE: named_bytes("hello", fc.NONCE_SIZE),
        fc.HELLO_PUBLIC_KEY: meter.cose_key,
        fc.HELLO_MAKER: "Example Metering",
        fc.HELLO_MODEL: "碳表 M1",
        fc.HELLO_HARDWARE_ID: named_bytes("hardware id", 12),
        fc.HELLO_SOFTWARE_ID: named_bytes("software", 32),
        fc.HELLO_KEY_PROTECTION: f.KEY_SOFTWARE,
        fc.HELLO_BOARD_NONCE: named_bytes("board nonce", fc.NONCE_SIZE),
        fc.HELLO_REQUEST: b"request",
        fc.HELLO_RECORD: None,
        fc.HELLO_SERIAL: None,
        fc.HELLO_EPOCH: None,
        fc.HELLO_SEQUENCE: None,
        fc.HELLO_HASH: None,
        fc.HELLO_PROVISIONED_MS: None,
    }
    scenario.seal("hello", t.HELLO, "meter", board)
    made = {
        **clock(START_MS, f.CLOCK_INFORMATIVE, 1000),
        **about,
        fc.RECORD_SERIAL: "CM-000042",
        fc.RECORD_AUTHORITY_KEYS: [scenario.key("parameters").cose_key],
        fc.RECORD_UPDATE_KEYS: [scenario.key("updates").cose_key],
        fc.RECORD_CERTIFICATE: b"certificate",
        fc.RECORD_LINK: {
            fc.LINK_WIFI_SSID: "计量间",
            fc.LINK_WIFI_PASSWORD: "not a secret",
            fc.LINK_HOST: "broker.example",
            fc.LINK_PORT: 8883,
            fc.LINK_USERNAME: "meter",
            fc.LINK_PASSWORD: "nor this",
            fc.LINK_SERVER_NAME: "broker.example",
            fc.LINK_CA_CERTIFICATE: b"broker's CA",
        },
        fc.RECORD_PARAMETER_SET: sha256(scenario.by_name["parameter-set"].raw),
    }
    record = scenario.seal("factory-record", t.FACTORY_RECORD, "parameters", made)
    serial = {**made, fc.RECORD_CERTIFICATE: None, fc.RECORD_LINK: None, fc.RECORD_PARAMETER_SET: None}
    scenario.seal("factory-record, serial link", t.FACTORY_RECORD, "parameters", serial)
    answer = {
        **clock(4_500, f.CLOCK_RELATIVE),
        **about,
        fc.ANSWER_DIGEST: sha256(record.raw),
        fc.ANSWER_REASON: None,
    }
    scenario.seal("factory-answer", t.FACTORY_ANSWER, "meter", answer)
    head = {
        fc.HELLO_EPOCH: named_bytes("epoch first", chain.EPOCH_SIZE),
        fc.HELLO_SEQUENCE: 7,
        fc.HELLO_HASH: named_bytes("head", 32),
    }
    known = {
        fc.HELLO_RECORD: sha256(record.raw),
        fc.HELLO_SERIAL: "CM-000042",
        fc.HELLO_PROVISIONED_MS: START_MS,
    }
    scenario.seal("hello of a meter", t.HELLO, "meter", {**board, **known, **head})
    command = {
        **clock(START_MS, f.CLOCK_INFORMATIVE, 1000),
        **about,
        fc.COMMAND_NONCE: board[fc.HELLO_BOARD_NONCE],
        fc.COMMAND: fc.EXPORT,
        fc.COMMAND_EPOCH: None,
        fc.COMMAND_SEQUENCE: None,
        fc.COMMAND_HASH: None,
    }
    scenario.seal("factory-command, export", t.FACTORY_COMMAND, "parameters", command)
    drop = {
        **command,
        fc.COMMAND: fc.DROP,
        fc.COMMAND_EPOCH: head[fc.HELLO_EPOCH],
        fc.COMMAND_SEQUENCE: 7,
        fc.COMMAND_HASH: head[fc.HELLO_HASH],
    }
    dropped = scenario.seal("factory-command, drop", t.FACTORY_COMMAND, "parameters", drop)
    refusal = {fc.ANSWER_DIGEST: sha256(dropped.raw), fc.ANSWER_REASON: "factory_head"}
    scenario.seal("factory-answer, refusal", t.FACTORY_ANSWER, "meter", {**answer, **refusal})


def first_epoch(scenario: Scenario) -> Epoch:
    epoch = Epoch(scenario, "meter", "first")
    who = epoch.seal("identity", t.IDENTITY, identity(scenario.key("meter")))
    software_id = who.fields[f.SOFTWARE_ID]
    epoch.context = chain.context_digest(who.hash, None, software_id)
    parameters = scenario.by_name["parameter-set"]
    epoch.event(ev.PARAMETERS_APPLIED, {ev.PARAMETER_SET: parameters.raw})
    epoch.context = chain.context_digest(who.hash, parameters.hash, software_id)
    epoch.event(ev.BOOT, {ev.LAST_RECEIPT: None, ev.SOFTWARE_ID: software_id})
    epoch.clock = synchronised(START_MS + 30)
    reply = scenario.by_name["time-reply"].raw
    clock_set = {ev.OLD_TIME_MS: 5_160, ev.NEW_TIME_MS: START_MS + 30, ev.TIME_REPLY: reply, ev.DRIFT_PPB: None}
    epoch.event(ev.CLOCK_SET, clock_set)
    epoch.clock = synchronised(START_MS + INTERVAL_MS)
    epoch.readings(
        "readings",
        f.KIND_REGULAR,
        INTERVAL_MS,
        {
            1: [f.STATUS_GOOD, 4_120_360],
            2: [f.STATUS_WRAPPED, 1_017_080],
            3: [f.STATUS_GOOD, 15, 15, 164_320, 5_113, 155_200, 173_560],
            4: [f.STATUS_MISSED_SAMPLES | f.STATUS_NO_RESPONSE, 14, 15, 412, 3],
        },
        12,
    )
    for name, kind, duration_ms, readings in other_readings():
        epoch.readings(name, kind, duration_ms, readings)
    for code, details in other_events(scenario):
        epoch.event(code, details)
    return epoch


def other_readings() -> list[tuple[str, int, int | None, Fields]]:
    """Every reading shape of SPEC §5.1 and the ends of its ranges."""
    top, bottom = 2**63 - 1, -(2**63)
    unread = f.STATUS_NO_RESPONSE | f.STATUS_MISSED_SAMPLES
    return [
        (
            "readings, every shape",
            f.KIND_PARTIAL,
            431_007,
            {
                1: [unread, None, 4_120_360, 103_009],
                2: [f.STATUS_DISCONTINUITY, 1_017_080, 17],
                3: [unread, 0, 15, None, None, None, None],
                4: [f.STATUS_BAD_RESPONSE, 1, 15, -7, None],
                5: [unread, None],
                65535: [f.STATUS_GOOD, 0],
            },
        ),
        ("readings, outage", f.KIND_OUTAGE, None, {1: [f.STATUS_GAP_BEFORE, 4_130_000]}),
        (
            "readings, ends of ranges",
            f.KIND_REGULAR,
            top,
            {1: [f.STATUS_ALL, top], 23: [0, top, top, bottom, top, bottom, top], 24: [0, top, top]},
        ),
    ]


def other_events(scenario: Scenario) -> list[tuple[int, Fields]]:
    parameters, manifest = scenario.by_name["parameter-set"], scenario.by_name["update-manifest"]
    return [
        (ev.PARAMETERS_REFUSED, {ev.REASON: "parameters_not_newer", ev.DIGEST: sha256(parameters.raw)}),
        (ev.JOURNAL_OVERFLOW, {ev.LAST_RECEIPT: None, ev.TOTALS_BEFORE: {1: 4_130_000, 2: None}}),
        (
            ev.JOURNAL_RESUMED,
            {
                ev.SPAN_START_MS: START_MS,
                ev.TOTALS_BEFORE: {1: 4_130_000, 2: None},
                ev.TOTALS_AFTER: {1: 5_000_000},
            },
        ),
        (ev.SELF_TEST_FAILED, {ev.REASON: "signer"}),
        (
            ev.FIRMWARE_UPDATED,
            {
                ev.SOFTWARE_ID: manifest.fields[f.IMAGE_DIGEST],
                ev.SOFTWARE_BEFORE: named_bytes("software", 32),
                ev.MANIFEST: manifest.raw,
            },
        ),
        (ev.UPDATE_REFUSED, {ev.REASON: "update_not_newer", ev.DIGEST: sha256(manifest.raw)}),
        (
            ev.UPDATE_ROLLED_BACK,
            {ev.REASON: "update_health", ev.SOFTWARE_ID: manifest.fields[f.IMAGE_DIGEST]},
        ),
        (
            ev.REGISTER_DISCONTINUITY,
            {ev.CHANNEL: 2, ev.TOTAL_BEFORE: 1_017_080, ev.RAW_BEFORE: 25_427, ev.RAW_AFTER: 17},
        ),
        (ev.JOURNAL_QUARANTINED, {ev.SEGMENTS: ["000007", "000008"]}),
    ]


def gateway_answers(scenario: Scenario, epoch: Epoch) -> None:
    """What the gateway says about the first epoch, and the verdicts that it signs in one batch."""
    about = {**synchronised(START_MS + INTERVAL_MS + 900), f.METER: scenario.key("meter").thumbprint}
    newest = scenario.messages[-1]
    place = {f.EPOCH: epoch.id, f.SEQUENCE: newest.fields[f.SEQUENCE]}
    receipt = scenario.seal("receipt", t.RECEIPT, "receipt", {**about, **place, f.HASH: newest.hash})
    refusal = {**about, f.DIGEST: sha256(b"bytes that the gateway refused"), f.REASON: "field_unknown"}
    scenario.seal("refusal", t.REFUSAL, "receipt", refusal)
    scenario.seal("resend-request", t.RESEND_REQUEST, "receipt", {**about, f.EPOCH: epoch.id, f.SEQUENCE: 4})
    epoch.event(
        ev.MESSAGE_REFUSED,
        {
            **last_head(epoch, newest.fields[f.SEQUENCE], None),
            ev.REASON: "field_unknown",
            ev.DIGEST: sha256(b"bytes that the gateway refused"),
        },
    )
    epoch.event(
        ev.RESEND_UNAVAILABLE,
        {**last_head(epoch, 3, None), ev.FIRST_SEQUENCE: 1, ev.LAST_RECEIPT: receipt.raw},
    )
    judged = [sealed for sealed in scenario.messages if sealed.typ == t.READINGS]
    scenario.verdicts = [verdict(sealed) for sealed in (scenario.by_name["identity"], *judged)]
    levels = merkle.tree(scenario.verdicts)
    batch = {
        **synchronised(START_MS + INTERVAL_MS + 950),
        f.ROOT: merkle.root(levels),
        f.COUNT: len(levels[0]),
    }
    scenario.seal("verdict-batch", t.VERDICT_BATCH, "verdict", batch)


def verdict(sealed: Sealed) -> bytes:
    unfit = sealed.name != "readings"
    return messages.encode_verdict(
        {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: sealed.fields[f.EPOCH],
            f.SEQUENCE: sealed.fields[f.SEQUENCE],
            f.TIME_MS: START_MS + INTERVAL_MS + 800,
            f.METER: sealed.key.thumbprint,
            f.HASH: sealed.hash,
            f.VERDICT_REVISION: 0,
            f.VERDICT_SCHEME: "house",
            f.VERDICT_ACCEPTANCE: f.NOT_ACCEPTED if unfit else f.ACCEPTED,
            f.VERDICT_FINDINGS: [["key_software", None], ["range_by_mean", 3]] if unfit else [],
            f.VERDICT_CAUSE: None,
            f.VERDICT_BUDGET: None if unfit else sha256(b"budget record"),
            f.VERDICT_UNCERTAINTY: [] if unfit else [[1, 0, 0, 409, 5000], [3, 12, 7, 289, 2500, 41]],
        }
    )


def second_epoch(scenario: Scenario, lost: Epoch) -> None:
    """The head was lost: a new epoch that names the last one known."""
    epoch = Epoch(scenario, "meter", "second")
    who = epoch.seal("identity, second epoch", t.IDENTITY, identity(scenario.key("meter")))
    epoch.context = chain.context_digest(who.hash, None, who.fields[f.SOFTWARE_ID])
    head = last_head(lost, lost.sequence - 1, lost.previous)
    receipt = scenario.by_name["receipt"].raw
    epoch.event(ev.EPOCH_OPENED, {**head, ev.LAST_RECEIPT: receipt, ev.REASON: "head_unproven"})


def last_head(epoch: Epoch, sequence: int, message_hash: bytes | None) -> Fields:
    return {ev.LAST_EPOCH: epoch.id, ev.LAST_SEQUENCE: sequence, ev.LAST_HASH: message_hash}
