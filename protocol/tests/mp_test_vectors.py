"""The one vector file on this interpreter. test_vectors.py runs the same functions on CPython."""

import json
from binascii import hexlify, unhexlify

from meter_protocol import cbor, chain, cose, errors, first_contact, framing, keys, merkle, messages, topics

with open(__file__.rsplit("/", 1)[0] + "/../vectors/v1.json") as vector_file:
    VECTORS = json.load(vector_file)


def value(notation):
    """From the file's notation of a CBOR value, which its `about` describes."""
    if isinstance(notation, str):
        return unhexlify(notation[2:]) if notation.startswith("h:") else notation[2:]
    if isinstance(notation, list):
        return [value(item) for item in notation]
    if isinstance(notation, dict):
        return {int(key): value(notation[key]) for key in notation}
    return notation


def refusal(call, *arguments):
    """The reason for which `call` refuses; any other exception is a failure of the test."""
    try:
        call(*arguments)
    except errors.ProtocolError as error:
        return error.reason
    return "accepted"


def test_messages():
    kids = {key["name"]: key["kid"] for key in VECTORS["keys"]}
    assert len(VECTORS["messages"]) > 25
    for vector in VECTORS["messages"]:
        name, typ = vector["name"], vector["typ"]
        fields = value(vector["fields"])
        payload, raw = unhexlify(vector["payload"]), unhexlify(vector["message"])
        assert messages.encode(typ, fields) == payload, name
        assert messages.decode(typ, payload) == fields, name
        sign1 = cose.split(raw)
        assert (sign1.typ, sign1.payload) == (typ, payload), name
        assert hexlify(sign1.kid).decode() == kids[vector["key"]], name
        assert sign1.protected == cose.protected_header(sign1.alg, sign1.kid, typ), name
        assert cose.assemble(sign1.protected, payload, sign1.signature) == raw, name
        assert chain.message_hash(sign1.protected, payload) == unhexlify(vector["hash"]), name
        assert cose.split_sequence(raw) == [raw], name


def test_sequence():
    raws = {vector["name"]: unhexlify(vector["message"]) for vector in VECTORS["messages"]}
    sequence = VECTORS["sequence"]
    expected = [raws[name] for name in sequence["names"]]
    assert cose.split_sequence(unhexlify(sequence["bytes"])) == expected
    assert cose.split_sequence(b"") == []


def test_uplink():
    uplink = VECTORS["uplink"]
    for vector in uplink["verdicts"]:
        encoded, fields = unhexlify(vector["bytes"]), value(vector["fields"])
        assert messages.encode_verdict(fields) == encoded
        assert messages.decode_verdict(encoded) == fields
    encoded, fields = unhexlify(uplink["envelope"]["bytes"]), value(uplink["envelope"]["fields"])
    assert messages.encode_envelope(fields) == encoded
    assert messages.decode_envelope(encoded) == fields
    # What the far end does: the signed batch, the verdict's place in it, the message the verdict is about.
    batch_sign1 = cose.split(fields[3])
    batch = messages.decode(batch_sign1.typ, batch_sign1.payload)
    merkle.verify_path(fields[2], fields[4], batch[11], fields[5], batch[10])
    sign1 = cose.split(fields[1])
    assert messages.decode_verdict(fields[2])[10] == chain.message_hash(sign1.protected, sign1.payload)


def test_hello_requests():
    for vector in VECTORS["hello_requests"]:
        nonce, encoded = unhexlify(vector["nonce"]), unhexlify(vector["bytes"])
        assert first_contact.hello_request(nonce) == encoded
        assert first_contact.nonce_of_request(encoded) == nonce


def test_keys():
    for vector in VECTORS["keys"]:
        cose_key = unhexlify(vector["cose_key"])
        thumbprint = keys.thumbprint(cose_key)
        assert hexlify(thumbprint).decode() == vector["thumbprint"]
        assert hexlify(keys.kid_of(thumbprint)).decode() == vector["kid"]
        alg, public = keys.decode(cose_key)
        assert alg == vector["alg"]
        encode = keys.encode_p256 if alg == cose.ES256 else keys.encode_ed25519
        assert encode(public) == cose_key


def test_the_example_of_rfc_9679():
    example = VECTORS["rfc9679"]
    cose_key = keys.encode_p256(unhexlify(example["x"] + example["y"]))
    assert hexlify(keys.thumbprint(cose_key)).decode() == example["thumbprint"]


def test_contexts():
    for vector in VECTORS["contexts"]:
        parameters_hash = vector["parameters_hash"]
        context = chain.context_digest(
            unhexlify(vector["identity_hash"]),
            None if parameters_hash is None else unhexlify(parameters_hash),
            unhexlify(vector["software_id"]),
        )
        assert hexlify(context).decode() == vector["context"]


def test_merkle():
    leaves = [unhexlify(leaf) for leaf in VECTORS["merkle"]["leaves"]]
    for tree in VECTORS["merkle"]["trees"]:
        count, root = tree["count"], unhexlify(tree["root"])
        levels = merkle.tree(leaves[:count])
        assert merkle.root(levels) == root
        for index in range(count):
            path = [unhexlify(node) for node in tree["paths"][index]]
            assert merkle.path(levels, index) == path
            merkle.verify_path(leaves[index], index, count, path, root)


def test_topics():
    for vector in VECTORS["topics"]:
        kid = unhexlify(vector["kid"])
        assert topics.up(kid) == vector["up"]
        assert topics.down(kid) == vector["down"]
        assert topics.verified(kid) == vector["verified"]


def test_frames():
    for vector in VECTORS["frames"]:
        payload, frame = unhexlify(vector["payload"]), unhexlify(vector["frame"])
        assert framing.frame(payload) == frame, vector["name"]
        assert framing.Deframer().feed(frame) == [payload], vector["name"]


def test_streams():
    for vector in VECTORS["streams"]:
        stream = unhexlify(vector["stream"])
        expected = [unhexlify(payload) for payload in vector["payloads"]]
        for step in (len(stream), 1, 3):
            deframer = framing.Deframer(vector["max_payload"])
            payloads = []
            for start in range(0, len(stream), step):
                payloads.extend(deframer.feed(stream[start : start + step]))
            assert payloads == expected, vector["name"]
            assert deframer.discarded == vector["discarded"], vector["name"]


DECODERS = {
    "cbor": cbor.loads,
    "message": cose.split,
    "sequence": cose.split_sequence,
    "verdict": messages.decode_verdict,
    "envelope": messages.decode_envelope,
    "key": keys.decode,
    "hello-request": first_contact.nonce_of_request,
}


def refused_for(vector):
    decoder = vector["decoder"]
    if decoder == "merkle":
        siblings = [unhexlify(node) for node in vector["path"]]
        leaf, root = unhexlify(vector["leaf"]), unhexlify(vector["root"])
        return refusal(merkle.verify_path, leaf, vector["index"], vector["count"], siblings, root)
    content = b"".join([unhexlify(piece) * times for piece, times in vector["bytes"]])
    if decoder in DECODERS:
        return refusal(DECODERS[decoder], content)
    return refusal(messages.decode, decoder, content)


def test_refused():
    assert len(VECTORS["refused"]) > 150
    for vector in VECTORS["refused"]:
        reason = refused_for(vector)
        assert reason == vector["reason"], (vector["name"], reason)


def test_every_reason_has_an_attack():
    assert {vector["reason"] for vector in VECTORS["refused"]} == set(errors.REASONS)


def test_unauthentic_messages_are_well_formed():
    """So that what refuses them is the signature or the key, and nothing before it."""
    for vector in VECTORS["unauthentic"]:
        assert refusal(cose.split, unhexlify(vector["message"])) == "accepted", vector["name"]
