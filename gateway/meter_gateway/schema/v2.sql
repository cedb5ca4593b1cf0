-- Version 2: what the verdicts rest on, so that a change of it is recognised even if it was made between two runs.

-- Certificates, bindings, schemes and limits as they were when all verdicts were last brought up to them (basis.py).
CREATE TABLE basis (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL             -- SHA-256 of its content
) STRICT, WITHOUT ROWID;
