-- Who did what: one row an act, in the transaction of the act. Each carries the hash of the one before, so none can be changed,
-- taken out or put in between without all that follow showing it (docs/audit.md). Never updated, never deleted (triggers, see the
-- store). No foreign keys: what it tells of may be gone.
CREATE TABLE audit_entries (
    position BIGINT PRIMARY KEY CHECK (position > 0),
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    -- Whose doing it was; empty for the platform's own.
    actor_account TEXT NOT NULL,
    -- The key, or the node.
    actor_id TEXT NOT NULL,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Whom it concerns: the owner of the job, the payee. Empty where it is nobody.
    account TEXT NOT NULL,
    -- A JSON object of texts.
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_entries_actor ON audit_entries (actor_account, position);
CREATE INDEX audit_entries_account ON audit_entries (account, position);
CREATE INDEX audit_entries_subject ON audit_entries (subject, position);
-- What shells showed: a file beside the database each, its digest here and in the entry that tells of the end. Kept for 90 days.
CREATE TABLE recordings (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    member BIGINT NOT NULL,
    -- Who opened it.
    account TEXT NOT NULL REFERENCES accounts (id),
    -- The program alone, without its arguments; empty for a shell.
    program TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    -- Of a shell that is open there is none of these yet.
    closed_at BIGINT,
    size_bytes BIGINT,
    sha256 TEXT,
    cut BIGINT NOT NULL CHECK (cut IN (0, 1))
);
CREATE INDEX recordings_job ON recordings (job, id);
CREATE INDEX recordings_opened ON recordings (opened_at);
