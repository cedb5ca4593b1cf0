"""One message as hexadecimal with a remark on every item: the worked example of SPEC.md."""

from collections.abc import Iterator

from meter_protocol import cbor, chain, cose, messages

BYTES_A_LINE = 16
WIDTH = 2 * BYTES_A_LINE + 10
HEADER_NAMES = {cose.HEADER_ALG: "alg", cose.HEADER_KID: "kid", cose.HEADER_TYP: "typ"}


def annotated_message(raw: bytes) -> str:
    sign1 = cose.split(raw)
    names = {key: name for key, name, _ in messages.table_of(sign1.typ)}
    digest = chain.message_hash(sign1.protected, sign1.payload)
    lines = [
        *item("", b"\xd2\x84", "tag 18, array of 4: COSE_Sign1"),
        *item("", head(0x40, len(sign1.protected)), f"protected header: {len(sign1.protected)} bytes"),
        *map_items(sign1.protected, HEADER_NAMES),
        *item("", b"\xa0", "unprotected header: empty"),
        *item("", head(0x40, len(sign1.payload)), f"payload: {len(sign1.payload)} bytes"),
        *map_items(sign1.payload, names),
        *item("", head(0x40, len(sign1.signature)), f"signature: {len(sign1.signature)} bytes"),
        *item("   ", sign1.signature[:32], "r"),
        *item("   ", sign1.signature[32:], "s"),
        "",
        f"{len(raw)} bytes. SHA-256 of the Sig_structure, this message's hash in the chain:",
        digest.hex(),
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def map_items(encoded: bytes, names: dict[int, str]) -> Iterator[str]:
    members = cbor.loads(encoded)
    yield from item("   ", head(0xA0, len(members)), f"map of {len(members)}")
    for key in sorted(members, key=cbor.key_order):
        value = members[key]
        label = "   " + cbor.dumps(key).hex() + " "
        if isinstance(value, dict):
            yield from item(label, head(0xA0, len(value)), f"{names[key]}: map of {len(value)}")
            for channel in sorted(value):
                inner = "      " + cbor.dumps(channel).hex() + " "
                yield from item(inner, cbor.dumps(value[channel]), f"channel {channel}: {value[channel]}")
        else:
            shown = "" if isinstance(value, bytes) else f" {value}"
            yield from item(label, cbor.dumps(value), names[key] + shown)


def item(label: str, encoded: bytes, remark: str) -> Iterator[str]:
    """Long hexadecimal goes on under its beginning, the remark stays beside it."""
    for start in range(0, len(encoded), BYTES_A_LINE):
        line = label + encoded[start : start + BYTES_A_LINE].hex()
        yield f"{line:<{WIDTH}} {remark}"
        label, remark = " " * len(label), ""


def head(major: int, argument: int) -> bytes:
    out = bytearray()
    cbor.encode_head(out, major, argument)
    return bytes(out)
