"""The text of protocol/vectors/v1.json, and of SPEC.md with its worked example."""

import json
from pathlib import Path
from typing import Any

from meter_protocol import chain, framing, merkle, messages, topics
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.vectors import attacks
from meter_tools.vectors.annotated import annotated_message
from meter_tools.vectors.scenario import MERKLE_LEAVES, RFC9679_EXAMPLE, build
from meter_tools.vectors.sealing import Scenario, Sealed, TestKey

PROTOCOL = Path(__file__).parents[3] / "protocol"
VECTORS = PROTOCOL / "vectors" / "v1.json"
SPEC = PROTOCOL / "SPEC.md"
EXAMPLE = "readings"
EXAMPLE_START = "<!-- worked example: written by python -m meter_tools.vectors -->\n"
EXAMPLE_END = "<!-- end of the worked example -->\n"

ABOUT = (
    "carbonmeter protocol v1, test vectors (SPEC.md). Byte strings are hexadecimal. In `fields` keys of a "
    "map are decimal strings, a byte string is 'h:' and hexadecimal, a text string is 't:' and the text. The "
    "bytes of `refused` are a list of [hexadecimal, times to repeat]. Private keys are for tests only."
)


def as_json(value: Any) -> Any:
    """A CBOR value in the notation that ABOUT describes."""
    if isinstance(value, bytes):
        return "h:" + value.hex()
    if isinstance(value, str):
        return "t:" + value
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(value[key]) for key in sorted(value)}
    return value


def key_vector(key: TestKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role,
        "alg": key.alg,
        "private": key.private.hex(),
        "cose_key": key.cose_key.hex(),
        "thumbprint": key.thumbprint.hex(),
        "kid": key.kid.hex(),
    }


def message_vector(sealed: Sealed) -> dict[str, Any]:
    return {
        "name": sealed.name,
        "typ": sealed.typ,
        "key": sealed.key.name,
        "fields": as_json(sealed.fields),
        "payload": sealed.payload.hex(),
        "hash": sealed.hash.hex(),
        "message": sealed.raw.hex(),
    }


def merkle_vectors() -> dict[str, Any]:
    """The leaves that Certificate Transparency's own tests use, with the root of each prefix of them."""
    leaves = [bytes.fromhex(leaf) for leaf in MERKLE_LEAVES]
    trees = []
    for count in range(1, len(leaves) + 1):
        levels = merkle.tree(leaves[:count])
        paths = [[node.hex() for node in merkle.path(levels, index)] for index in range(count)]
        trees.append({"count": count, "root": merkle.root(levels).hex(), "paths": paths})
    return {"leaves": [leaf.hex() for leaf in leaves], "trees": trees}


def frame_vectors() -> list[dict[str, str]]:
    payloads = {
        "empty": b"",
        "one zero": b"\x00",
        "no zero": b"carbon",
        "zeros around": b"\x00carbon\x00",
        "254 bytes, CRC included": bytes(range(1, 251)),
        "255 bytes, CRC included": bytes(range(1, 252)),
        "long run": b"\x11" * 600,
    }
    return [
        {"name": name, "payload": payload.hex(), "frame": framing.frame(payload).hex()}
        for name, payload in payloads.items()
    ]


def stream_vectors() -> list[dict[str, Any]]:
    one, two = framing.frame(b"first"), framing.frame(b"second\x00")
    flipped = bytearray(one)
    flipped[3] ^= 1
    oversize = framing.frame(b"\x22" * 65)
    streams: list[tuple[str, bytes, list[bytes], int]] = [
        ("two frames", one + two, [b"first", b"second\x00"], 0),
        ("a shared delimiter", one + two[1:], [b"first", b"second\x00"], 0),
        ("joined in the middle of a frame", one[4:] + two, [b"second\x00"], 1),
        ("noise between", one + b"\x81noise\x07" + two, [b"first", b"second\x00"], 1),
        ("noise with zeros", b"\x00\x01\x00\x02\x00" + one, [b"first"], 2),
        ("a bit flipped", bytes(flipped) + two, [b"second\x00"], 1),
        ("a byte lost", one[:4] + one[5:] + two, [b"second\x00"], 1),
        ("a delimiter lost", one[:-1] + two[1:] + one, [b"first"], 1),
        ("the same frame twice", one + one, [b"first", b"first"], 0),
        ("larger than a receiver of 64 bytes takes", oversize + one, [b"first"], 1),
        ("the last frame is not complete", one + two[:-1], [b"first"], 0),
    ]
    return [
        {
            "name": name,
            "stream": stream.hex(),
            "max_payload": 64,
            "payloads": [payload.hex() for payload in payloads],
            "discarded": discarded,
        }
        for name, stream, payloads, discarded in streams
    ]


def context_vectors(scenario: Scenario) -> list[dict[str, Any]]:
    identity = scenario.by_name["identity"]
    software_id = identity.fields[f.SOFTWARE_ID]
    parameters = scenario.by_name["parameter-set"]
    return [
        {
            "identity_hash": identity.hash.hex(),
            "parameters_hash": None if parameters_hash is None else parameters_hash.hex(),
            "software_id": software_id.hex(),
            "context": chain.context_digest(identity.hash, parameters_hash, software_id).hex(),
        }
        for parameters_hash in (None, parameters.hash)
    ]


def uplink_vectors(scenario: Scenario) -> dict[str, Any]:
    levels = merkle.tree(scenario.verdicts)
    envelope = {
        f.VERSION: f.PROTOCOL_VERSION,
        f.ENVELOPE_MESSAGE: scenario.by_name[EXAMPLE].raw,
        f.ENVELOPE_VERDICT: scenario.verdicts[1],
        f.ENVELOPE_BATCH: scenario.by_name["verdict-batch"].raw,
        f.ENVELOPE_INDEX: 1,
        f.ENVELOPE_PATH: merkle.path(levels, 1),
    }
    return {
        "verdicts": [
            {"fields": as_json(messages.decode_verdict(verdict)), "bytes": verdict.hex()}
            for verdict in scenario.verdicts
        ],
        "envelope": {"fields": as_json(envelope), "bytes": messages.encode_envelope(envelope).hex()},
    }


def vectors() -> dict[str, Any]:
    scenario = build()
    return {
        "about": ABOUT,
        "version": f.PROTOCOL_VERSION,
        "keys": [key_vector(key) for key in scenario.keys],
        "rfc9679": RFC9679_EXAMPLE,
        "messages": [message_vector(sealed) for sealed in scenario.messages],
        "sequence": {
            "names": ["identity", EXAMPLE],
            "bytes": (scenario.by_name["identity"].raw + scenario.by_name[EXAMPLE].raw).hex(),
        },
        "uplink": uplink_vectors(scenario),
        "contexts": context_vectors(scenario),
        "hello_requests": [
            {
                "nonce": scenario.by_name["hello"].fields[fc.HELLO_NONCE].hex(),
                "bytes": fc.hello_request(scenario.by_name["hello"].fields[fc.HELLO_NONCE]).hex(),
            }
        ],
        "merkle": merkle_vectors(),
        "topics": [
            {
                "kid": key.kid.hex(),
                "up": topics.up(key.kid),
                "down": topics.down(key.kid),
                "verified": topics.verified(key.kid),
            }
            for key in scenario.keys
            if key.role == t.ROLE_METER
        ],
        "frames": frame_vectors(),
        "streams": stream_vectors(),
        "refused": attacks.refused(scenario),
        "unauthentic": attacks.unauthentic(scenario),
    }


def vector_text() -> str:
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


def spec_text() -> str:
    """SPEC.md with the worked example as it has to be."""
    before, start, rest = SPEC.read_text().partition(EXAMPLE_START)
    _, end, after = rest.partition(EXAMPLE_END)
    if not start or not end:
        raise SystemExit("SPEC.md has lost the marks around its worked example")
    example = annotated_message(build().by_name[EXAMPLE].raw)
    return f"{before}{start}```text\n{example}```\n{end}{after}"
