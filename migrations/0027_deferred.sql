-- What a transfer names is checked when its transaction ends, no longer row by row. A statement of a thousand rows need not
-- keep every page as it was before, in case its last row should name a book that there is not.
--
-- The table is made anew, since SQLite cannot change a constraint. It gets another name first, which nobody else can use: so
-- no other process posts what would not be copied. What guards it (a transfer is never changed) is made whenever the store
-- is opened.
ALTER TABLE transfers RENAME TO transfers_before;
CREATE TABLE transfers (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    from_book TEXT NOT NULL REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED,
    to_book TEXT NOT NULL REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED,
    amount BIGINT NOT NULL CHECK (amount > 0),
    kind TEXT NOT NULL,
    job TEXT REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    at BIGINT NOT NULL,
    seq BIGINT,
    from_after BIGINT,
    to_after BIGINT,
    hash TEXT
);
INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash)
    SELECT id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash FROM transfers_before;
DROP TABLE transfers_before;
CREATE UNIQUE INDEX transfers_seq ON transfers (seq);
CREATE INDEX transfers_from_at ON transfers (from_book, at, seq);
CREATE INDEX transfers_to_at ON transfers (to_book, at, seq);
CREATE INDEX transfers_job ON transfers (job) WHERE job IS NOT NULL;
