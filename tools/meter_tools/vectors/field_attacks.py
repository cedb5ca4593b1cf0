"""Payloads, verdicts and envelopes that are good CBOR and not what the schema allows: one change each."""

from collections.abc import Iterator
from typing import Any

from meter_protocol import cbor, messages
from meter_protocol import comparison as cm
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_tools.vectors.sealing import Fields, Scenario

Parts = list[tuple[bytes, int]]
Attack = tuple[str, str, bytes | Parts, str]
"""Decoder, name, bytes (or pieces and how often each is repeated) and the reason for the refusal."""


def payload_attacks(scenario: Scenario) -> Iterator[Attack]:
    good = scenario.by_name["readings"]
    identity, boot = scenario.by_name["identity"], scenario.by_name["event boot"]
    parameters, manifest = scenario.by_name["parameter-set"], scenario.by_name["update-manifest"]
    chunk, compared = scenario.by_name["image-chunk"], scenario.by_name["comparison"]
    hello, record = scenario.by_name["hello"], scenario.by_name["factory-record"]
    command, answer = scenario.by_name["factory-command, drop"], scenario.by_name["factory-answer"]

    def record_with_link(**change: Any) -> Fields:
        link = {**record.fields[fc.RECORD_LINK], **{getattr(fc, name): value for name, value in change.items()}}
        return {fc.RECORD_LINK: link}

    def readings(entry: Any) -> Fields:
        return {f.READINGS: {1: entry}}

    def parameters_with(key: int, place: int, **change: Any) -> Fields:
        entries = [dict(entry) for entry in parameters.fields[key]]
        entries[place].update({getattr(f, name): value for name, value in change.items()})
        return {key: entries}

    for name, sealed, change, reason in (
        ("version 2", good, {f.VERSION: 2}, "unknown_version"),
        ("version true", good, {f.VERSION: True}, "unknown_version"),
        ("version as text", good, {f.VERSION: "1"}, "unknown_version"),
        ("version 2 with an additional field", good, {f.VERSION: 2, 99: 0}, "unknown_version"),
        ("no version", good, {f.VERSION: ...}, "field_missing"),
        ("no sequence", good, {f.SEQUENCE: ...}, "field_missing"),
        ("an additional field", good, {14: 0}, "field_unknown"),
        ("an additional field with a negative key", good, {-1: 0}, "field_unknown"),
        ("epoch of 7 bytes", good, {f.EPOCH: bytes(7)}, "field_value"),
        ("epoch as text", good, {f.EPOCH: "00000000"}, "field_value"),
        ("sequence negative", good, {f.SEQUENCE: -1}, "field_value"),
        ("sequence true", good, {f.SEQUENCE: True}, "field_value"),
        ("sequence null", good, {f.SEQUENCE: None}, "field_value"),
        ("readings at sequence 0", good, {f.SEQUENCE: 0}, "field_value"),
        ("clock status 4", good, {f.CLOCK_STATUS: 4}, "field_value"),
        ("synchronised without uncertainty", good, {f.CLOCK_UNCERTAINTY_MS: None}, "field_value"),
        ("relative with uncertainty", good, {f.CLOCK_STATUS: f.CLOCK_RELATIVE}, "field_value"),
        ("kind 3", good, {f.KIND: 3}, "field_value"),
        ("duration negative", good, {f.DURATION_MS: -1}, "field_value"),
        ("jitter negative", good, {f.JITTER_MS: -1}, "field_value"),
        ("jitter null", good, {f.JITTER_MS: None}, "field_value"),
        ("no readings", good, {f.READINGS: {}}, "field_value"),
        ("readings as an array", good, {f.READINGS: [[0, 1]]}, "field_value"),
        ("channel 0", good, {f.READINGS: {0: [0, 1]}}, "field_value"),
        ("channel 65536", good, {f.READINGS: {65536: [0, 1]}}, "field_value"),
        ("65 channels", good, {f.READINGS: {i: [0, 1] for i in range(1, 66)}}, "field_value"),
        ("reading not an array", good, readings(5), "field_value"),
        ("reading of 1", good, readings([0]), "field_value"),
        ("reading of 6", good, readings([0, 2, 2, 1, 0, 1]), "field_value"),
        ("reading of 8", good, readings([0, 2, 2, 1, 0, 1, 1, 1]), "field_value"),
        ("status 2048", good, readings([2048, 1]), "field_value"),
        ("good but null", good, readings([0, None]), "field_value"),
        ("total negative", good, readings([0, -1]), "field_value"),
        ("total false", good, readings([0, False]), "field_value"),
        ("total as text", good, readings([0, "1"]), "field_value"),
        ("raw null", good, readings([0, 1, None]), "field_value"),
        ("not read, yet a total", good, readings([1, 1, 1, 1]), "field_value"),
        ("mean of no sample", good, readings([1, 0, 15, 3, None]), "field_value"),
        ("no mean of two samples", good, readings([0, 2, 15, None, None]), "field_value"),
        ("s of one sample", good, readings([0, 1, 15, 3, 0]), "field_value"),
        ("s negative", good, readings([0, 2, 15, 3, -1]), "field_value"),
        ("mean above the maximum", good, readings([0, 2, 2, 9, 1, 0, 8]), "field_value"),
        ("no sample, yet good", good, readings([0, 0, 15, None, None]), "field_value"),
        ("second identity in an epoch", identity, {f.SEQUENCE: 5}, "field_value"),
        ("identity with a previous hash", identity, {f.PREVIOUS: b"\1" * 32}, "field_value"),
        ("identity with a context", identity, {f.CONTEXT: b"\1" * 16}, "field_value"),
        ("identity without a key", identity, {f.PUBLIC_KEY: b"\xa0"}, "field_value"),
        ("serial empty", identity, {f.SERIAL: ""}, "field_value"),
        ("serial of 65 bytes", identity, {f.SERIAL: "é" * 32 + "x"}, "field_value"),
        ("event 0", boot, {f.EVENT_CODE: 0}, "field_value"),
        ("event 16", boot, {f.EVENT_CODE: len(ev.NAMES) + 1}, "field_value"),
        ("details null", boot, {f.DETAILS: None}, "field_value"),
        ("details empty", boot, {f.DETAILS: {}}, "field_missing"),
        ("details of another event", boot, {f.EVENT_CODE: ev.CLOCK_SET}, "field_missing"),
        ("details with more", boot, {f.DETAILS: {**boot.fields[f.DETAILS], 3: "x"}}, "field_unknown"),
        ("channel id twice", parameters, parameters_with(f.CHANNELS, 1, CHANNEL_ID=1), "field_value"),
        (
            "channel of no instrument",
            parameters,
            parameters_with(f.CHANNELS, 0, CHANNEL_INSTRUMENT=2),
            "field_value",
        ),
        ("ratio 0", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_RATIO=0), "field_value"),
        ("exponent 19", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_EXPONENT=19), "field_value"),
        ("extremes as 0", parameters, parameters_with(f.CHANNELS, 0, CHANNEL_EXTREMES=0), "field_value"),
        (
            "nine receipt keys",
            parameters,
            {f.RECEIPT_KEYS: parameters.fields[f.RECEIPT_KEYS] * 9},
            "field_value",
        ),
        ("receipt key that is none", parameters, {f.RECEIPT_KEYS: [b"\0" * 77]}, "field_value"),
        (
            "option row of 11",
            parameters,
            parameters_with(f.INSTRUMENTS, 1, INSTRUMENT_OPTIONS=[[0] * 11]),
            "field_value",
        ),
        ("sequence 0 of a manifest", manifest, {f.MANIFEST_SEQUENCE: 0}, "field_value"),
        ("a digest too few", manifest, {f.CHUNK_DIGESTS: bytes(16)}, "field_value"),
        ("a digest too many", manifest, {f.CHUNK_DIGESTS: bytes(48)}, "field_value"),
        ("image of 0", manifest, {f.IMAGE_SIZE: 0}, "field_value"),
        ("chunk size 0", manifest, {f.CHUNK_SIZE: 0}, "field_value"),
        ("class of 15 bytes", manifest, {f.CLASS_IDENTIFIER: bytes(15)}, "field_value"),
        ("chunk 128", chunk, {f.CHUNK_INDEX: 128}, "field_value"),
        ("chunk of 4097", chunk, {f.CHUNK: bytes(4097)}, "field_value"),
        ("empty chunk", chunk, {f.CHUNK: b""}, "field_value"),
        ("a comparison without its person", compared, {cm.PERSON: ...}, "field_missing"),
        ("a comparison of kind 5", compared, {cm.KIND: 5}, "field_value"),
        ("33 points", compared, {cm.POINTS: compared.fields[cm.POINTS] * 33}, "field_value"),
        ("a reference without a serial number", compared, {cm.REFERENCE: {}}, "field_value"),
        ("raw data of 4097", compared, {cm.RAW: bytes(4097)}, "field_value"),
        ("nonce of 15 bytes", hello, {fc.HELLO_NONCE: bytes(15)}, "field_value"),
        ("hello without its key", hello, {fc.HELLO_PUBLIC_KEY: b"\xa0"}, "field_value"),
        ("request of 1025", hello, {fc.HELLO_REQUEST: bytes(1025)}, "field_value"),
        ("hello without a board nonce", hello, {fc.HELLO_BOARD_NONCE: ...}, "field_missing"),
        ("record that names no authority", record, {fc.RECORD_AUTHORITY_KEYS: []}, "field_value"),
        (
            "five authorities",
            record,
            {fc.RECORD_AUTHORITY_KEYS: record.fields[fc.RECORD_AUTHORITY_KEYS] * 5},
            "field_value",
        ),
        ("authority that is no key", record, {fc.RECORD_AUTHORITY_KEYS: [b"\0" * 77]}, "field_value"),
        ("certificate of 2049", record, {fc.RECORD_CERTIFICATE: bytes(2049)}, "field_value"),
        ("record without a serial number", record, {fc.RECORD_SERIAL: None}, "field_value"),
        ("link without a host", record, record_with_link(LINK_HOST=None), "field_value"),
        ("port 65536", record, record_with_link(LINK_PORT=65536), "field_value"),
        ("ssid of 33 bytes", record, record_with_link(LINK_WIFI_SSID="é" * 16 + "x"), "field_value"),
        ("command 2", command, {fc.COMMAND: 2}, "field_value"),
        ("command true", command, {fc.COMMAND: True}, "field_value"),
        ("command without a nonce", command, {fc.COMMAND_NONCE: None}, "field_value"),
        ("answer with an empty reason", answer, {fc.ANSWER_REASON: ""}, "field_value"),
    ):
        yield sealed.typ, name, cbor.dumps(changed(sealed.fields, change)), reason
    yield "no-such-type", "unknown type", good.payload, "unknown_type"
    yield good.typ, "an array", b"\x80", "field_value"
    bomb: Parts = [(bytes.fromhex("991d00"), 1), (b"\x80", 0x1D00)]
    yield parameters.typ, "7424 empty arrays", bomb, "cbor_too_many_objects"
    yield record.typ, "a record of 7424 empty arrays", bomb, "cbor_too_many_objects"
    request: Fields = {f.VERSION: f.PROTOCOL_VERSION, fc.HELLO_NONCE: bytes(fc.NONCE_SIZE)}
    for name, change, reason in (
        ("hello request of version 2", {f.VERSION: 2}, "unknown_version"),
        ("hello request without a nonce", {fc.HELLO_NONCE: ...}, "field_missing"),
        ("hello request with a short nonce", {fc.HELLO_NONCE: bytes(15)}, "field_value"),
        ("hello request with more", {1: 0}, "field_unknown"),
        ("hello request of 40 bytes", {1: bytes(16)}, "cbor_too_large"),
    ):
        yield "hello-request", name, cbor.dumps(changed(request, change)), reason
    yield "hello-request", "an array for a hello request", b"\x80", "field_value"


def changed(fields: Fields, change: dict[int, Any]) -> Fields:
    """A copy with some fields replaced; `...` leaves one out."""
    both = {**fields, **change}
    return {key: both[key] for key in both if both[key] is not ...}


def uplink_attacks(scenario: Scenario) -> Iterator[Attack]:
    verdict = messages.decode_verdict(scenario.verdicts[1])
    attempts: list[tuple[str, Fields, str]] = [
        ("verdict of version 2", {f.VERSION: 2}, "unknown_version"),
        ("acceptance true", {f.VERDICT_ACCEPTANCE: True}, "field_value"),
        ("acceptance 2", {f.VERDICT_ACCEPTANCE: 2}, "field_value"),
        ("no findings", {f.VERDICT_FINDINGS: ...}, "field_missing"),
        ("finding without a channel", {f.VERDICT_FINDINGS: [["range"]]}, "field_value"),
        ("449 findings", {f.VERDICT_FINDINGS: [["a", None]] * 449}, "field_value"),
        ("budget of 31 bytes", {f.VERDICT_BUDGET: bytes(31)}, "field_value"),
        ("uncertainty of three parts", {f.VERDICT_UNCERTAINTY: [[1, 0, 0]]}, "field_value"),
        ("uncertainty of nine certificates", {f.VERDICT_UNCERTAINTY: [[1, *[0] * 12]]}, "field_value"),
        ("uncertainty of channel 0", {f.VERDICT_UNCERTAINTY: [[0, 0, 0, 0]]}, "field_value"),
        ("uncertainty below zero", {f.VERDICT_UNCERTAINTY: [[1, 0, -1, 0]]}, "field_value"),
        ("an additional field", {18: 0}, "field_unknown"),
    ]
    for name, change, reason in attempts:
        yield "verdict", name, cbor.dumps(changed(verdict, change)), reason
    envelope: Fields = {0: 1, 1: b"m", 2: b"v", 3: b"b", 4: 0, 5: []}
    attempts = [
        ("envelope of version 0", {f.VERSION: 0}, "unknown_version"),
        ("empty message", {f.ENVELOPE_MESSAGE: b""}, "field_value"),
        ("path of 33", {f.ENVELOPE_PATH: [bytes(32)] * 33}, "field_value"),
        ("path of 31 bytes", {f.ENVELOPE_PATH: [bytes(31)]}, "field_value"),
        ("index -1", {f.ENVELOPE_INDEX: -1}, "field_value"),
        ("no batch", {f.ENVELOPE_BATCH: ...}, "field_missing"),
    ]
    for name, change, reason in attempts:
        yield "envelope", name, cbor.dumps(changed(envelope, change)), reason
