-- The factory database, version 1: one row for each thing that happened to a board. Nothing is changed or deleted.

CREATE TABLE happening (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'complete', 'failed', 'replaced')),
    thumbprint BLOB NOT NULL CHECK (length(thumbprint) = 32),
    serial TEXT NOT NULL,
    model TEXT NOT NULL,
    hardware_id BLOB,
    -- Of `started`: what the board was offered. Secrets of the record are not here, its digest is.
    certificate BLOB,
    record_digest BLOB,
    parameters_digest BLOB,
    -- Of `complete`: SHA-256 of the label's PDF.
    label_digest BLOB,
    -- Of `failed`, why; of `replaced`, where the old journal is.
    note TEXT,
    -- Of `replaced`: the cut, the head that was dropped.
    epoch BLOB,
    sequence INTEGER,
    hash BLOB
) STRICT;

CREATE INDEX happening_thumbprint ON happening (thumbprint);
CREATE INDEX happening_serial ON happening (serial);

CREATE TRIGGER happening_stays BEFORE UPDATE ON happening
BEGIN SELECT RAISE(ABORT, 'the factory database is append-only'); END;

CREATE TRIGGER happening_is_kept BEFORE DELETE ON happening
BEGIN SELECT RAISE(ABORT, 'the factory database is append-only'); END;
