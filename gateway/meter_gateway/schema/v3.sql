-- Version 3: what each verdict says about the uncertainty of its message's readings, and by which budget.

-- Key 17 of the verdict as it is encoded (SPEC §8.2), which stands behind the opinion. NULL in verdicts that were
-- signed before there were such: their records end with the opinion.
ALTER TABLE verdict ADD COLUMN uncertainty BLOB;

-- The preimages of the digests in opinions (SPEC §8.7).
CREATE TABLE budget (digest BLOB PRIMARY KEY, record BLOB NOT NULL) STRICT;
