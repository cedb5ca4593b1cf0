"""What each decoder makes of given bytes, as one line of text: the same line on every interpreter.

Run as a script it reads lines of `decoder hexadecimal` from standard input and prints one outcome each.
"""

import sys
from binascii import hexlify, unhexlify

from meter_protocol import cbor, chain, cose, framing, keys, messages
from meter_protocol.errors import ProtocolError


def outcome(decoder, data):
    """The reason for the refusal, or the value encoded again."""
    try:
        value = DECODERS[decoder](data) if decoder in DECODERS else messages.decode(decoder, data)
    except ProtocolError as error:
        return error.reason
    return "ok " + hexlify(cbor.dumps(value)).decode()


def split(data):
    sign1 = cose.split(data)
    digest = chain.message_hash(sign1.protected, sign1.payload)
    return [sign1.alg, sign1.kid, sign1.typ, digest, sign1.signature]


def thumbprint(data):
    alg, public = keys.decode(data)
    return [alg, public, keys.thumbprint(data)]


def deframe(data):
    deframer = framing.Deframer(40)
    return [deframer.feed(data), deframer.discarded]


DECODERS = {
    "cbor": cbor.loads,
    "message": split,
    "sequence": cose.split_sequence,
    "verdict": messages.decode_verdict,
    "envelope": messages.decode_envelope,
    "key": thumbprint,
    "stream": deframe,
    "cobs": framing.cobs_decode,
}


if __name__ == "__main__":
    for line in sys.stdin:
        name, _, hexadecimal = line.strip().partition(" ")
        print(outcome(name, unhexlify(hexadecimal)))
