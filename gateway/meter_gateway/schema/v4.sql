-- Version 4: what registers of balances between meters counted, so that no look has to read all messages again.
-- All of it follows from the messages (balances/counting.py): without its rows a chain is followed from its beginning.

-- basis.digest of what came out of a balance on a day is no digest: the numbers of its violated spans in CBOR, or
-- nothing while some verdicts may have been made with others.

-- How far a chain was followed, by which rules, and what has to be remembered to go on.
CREATE TABLE followed_chain (
    chain INTEGER PRIMARY KEY REFERENCES chain,
    rules BLOB NOT NULL,
    next_sequence INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT;

-- One register of one chain in one span; number counts spans of span_ms from 1970 on, in the configured offset.
CREATE TABLE counted (
    chain INTEGER NOT NULL REFERENCES chain,
    channel INTEGER NOT NULL,
    span_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (chain, channel, span_ms, number)
) STRICT, WITHOUT ROWID;
