-- The gateway's store, version 1 (PRAGMA user_version = 1). SQLite in WAL mode with synchronous = FULL.
-- Bytes that were signed are kept verbatim; every other column repeats something of them for finding it again.
-- Rows of message and verdict are only ever appended, so the cost of one does not grow with what is stored.
-- *_ms are Unix milliseconds of the gateway's clock, except message.time_ms.

-- An enrolled meter is known by its key. kid is UNIQUE because a kid must select one key.
CREATE TABLE meter (
    id INTEGER PRIMARY KEY,
    thumbprint BLOB NOT NULL UNIQUE,
    kid BLOB NOT NULL UNIQUE,
    cose_key BLOB NOT NULL,
    serial TEXT NOT NULL,
    maker TEXT NOT NULL,
    model TEXT NOT NULL,
    identity BLOB NOT NULL,          -- the self-signed identity message that was enrolled
    enrolled_ms INTEGER NOT NULL,
    enrolled_by TEXT NOT NULL,       -- how: 'thumbprint'
    revoked_ms INTEGER,              -- the witnessed cut: whatever was received from here on is refused
    revocation_reason TEXT
) STRICT;

-- A chain is (meter, epoch). next_sequence is what it waits for; what is stored beyond it is parked.
CREATE TABLE chain (
    id INTEGER PRIMARY KEY,
    meter INTEGER NOT NULL REFERENCES meter,
    epoch BLOB NOT NULL,
    next_sequence INTEGER NOT NULL,
    head_sequence INTEGER,           -- the last judged message, which receipts name
    head_hash BLOB,
    state BLOB,                      -- what judging the next message needs to remember (traceability.ChainState)
    receipt BLOB,                    -- the last receipt that was signed for this chain
    UNIQUE (meter, epoch)
) STRICT;

-- The meter attested by a signed event that these sequences will never come: next_sequence may jump over them.
CREATE TABLE attested_gap (
    chain INTEGER NOT NULL REFERENCES chain,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER,           -- NULL: all up to the next message that is stored
    PRIMARY KEY (chain, first_sequence)
) STRICT, WITHOUT ROWID;

-- Every authentic message of a chain, once by identity (key thumbprint, epoch, sequence, hash).
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    chain INTEGER NOT NULL REFERENCES chain,
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,        -- the meter's own time if its clock had one, else the time of reception
    received_ms INTEGER NOT NULL,
    type INTEGER NOT NULL,           -- index into meter_protocol.types.CHAIN_TYPES
    hash BLOB NOT NULL,
    raw BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_in_chain ON message (chain, sequence);
CREATE INDEX message_by_time ON message (time_ms);

-- The same key, epoch and sequence with another hash. The meter is barred until somebody resolves it.
CREATE TABLE fork (
    id INTEGER PRIMARY KEY,
    chain INTEGER NOT NULL REFERENCES chain,
    sequence INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    peer TEXT NOT NULL,
    hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    resolved_ms INTEGER,
    resolution TEXT,
    UNIQUE (chain, sequence, hash)
) STRICT;

-- One signed verdict batch per commit group: verdicts first_verdict … first_verdict + count - 1 are its leaves.
CREATE TABLE batch (
    first_verdict INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    judged_ms INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- What a scheme made of a set of findings: the part of a verdict's record that thousands of messages share.
CREATE TABLE opinion (
    id INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL,
    encoded BLOB NOT NULL UNIQUE
) STRICT;

-- Revisions count up; none is ever overwritten. A message without a verdict is parked. The record that was
-- signed is message + batch.judged_ms + opinion (records.py).
CREATE TABLE verdict (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES message,
    revision INTEGER NOT NULL,
    opinion INTEGER NOT NULL REFERENCES opinion
) STRICT;
CREATE UNIQUE INDEX verdict_of_message ON verdict (message, revision);

-- Verdicts that the uplink has not acknowledged.
CREATE TABLE outbox (verdict INTEGER PRIMARY KEY REFERENCES verdict) STRICT;

-- Bounded ring of refused bytes.
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    received_ms INTEGER NOT NULL,
    peer TEXT NOT NULL,
    reason TEXT NOT NULL,
    size INTEGER NOT NULL,
    raw BLOB NOT NULL
) STRICT;

-- Bounded list of identities nobody has enrolled: self-signed, so they prove possession of their key only.
CREATE TABLE unknown_identity (
    thumbprint BLOB PRIMARY KEY,
    kid BLOB NOT NULL,
    peer TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    messages INTEGER NOT NULL,       -- refused under this kid since
    raw BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Software images that open offers need, by their SHA-256.
CREATE TABLE image (digest BLOB PRIMARY KEY, content BLOB NOT NULL) STRICT;

-- The update that was last offered to a meter, and what its chain has said about it so far (offers.py).
CREATE TABLE update_offer (
    meter INTEGER PRIMARY KEY REFERENCES meter,
    manifest BLOB NOT NULL,          -- the update authority's signed message, sent verbatim
    digest BLOB NOT NULL,            -- of the image
    offered_ms INTEGER NOT NULL,
    software_before BLOB,            -- the software id that the meter had named last by then
    state TEXT NOT NULL,             -- 'offered', 'downloading', 'trying', 'running', 'refused', 'rolled_back'
    reason TEXT,                     -- the meter's, where it refused or rolled back
    asked BLOB NOT NULL,             -- one bit for each chunk that the meter asked for
    seen INTEGER NOT NULL            -- events among the messages up to this id were looked at
) STRICT;

CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
