"""carbonmeter protocol v1: one source for MicroPython and CPython, described byte by byte in SPEC.md.

Nothing here opens a socket, reads a clock, draws randomness or touches a key: every function turns bytes
into values or values into bytes. What each file is for, in the way of one reading:

    quantities   what is measured: codes, units, OBIS
    fields       the integer keys of every payload
    schema       which keys each message type has and what they may hold
    cbor         deterministic CBOR, the only encoding
    messages     typ + fields <-> payload
    cose         payload <-> COSE_Sign1, without the signature itself
    keys         COSE_Key and thumbprints
    chain        sequence, previous hash and context digest
    framing      messages on a serial line
    topics       messages on MQTT
    first_contact, first_contact_schema    a new board and its maker
    comparison, comparison_schema          a channel compared with a reference
    merkle       one signature over many verdicts
    budgets      by what a verdict states uncertainties
"""
