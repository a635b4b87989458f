-- One text for SQLite and Postgres: BIGINT and TEXT only (booleans 0/1, times milliseconds, money base units,
-- bytes hex, JSON as TEXT). What must never break stands here as a constraint, whatever the program does.

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    secret_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_keys_account ON api_keys (account);

CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES accounts (id),
    public_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    country TEXT,
    reputation BIGINT NOT NULL CHECK (reputation BETWEEN 0 AND 100),
    agent_version TEXT NOT NULL,
    host TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    last_seen BIGINT,
    removed_at BIGINT
);
CREATE INDEX nodes_owner ON nodes (owner);

CREATE TABLE join_tokens (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES accounts (id),
    token_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by TEXT REFERENCES nodes (id)
);

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    node TEXT NOT NULL REFERENCES nodes (id),
    uuid TEXT NOT NULL,
    class TEXT NOT NULL,
    model TEXT NOT NULL,
    memory_mib BIGINT NOT NULL,
    price BIGINT NOT NULL CHECK (price >= 0),
    paused BIGINT NOT NULL CHECK (paused IN (0, 1)),
    present BIGINT NOT NULL CHECK (present IN (0, 1)),
    UNIQUE (node, uuid)
);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    ending TEXT,
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    restarts BIGINT NOT NULL,
    stop_requested BIGINT NOT NULL CHECK (stop_requested IN (0, 1)),
    wanted_device TEXT,
    created_at BIGINT NOT NULL,
    queued_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX jobs_account ON jobs (account, id);
CREATE INDEX jobs_state ON jobs (state);

CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    epoch BIGINT NOT NULL,
    node TEXT NOT NULL REFERENCES nodes (id),
    device TEXT NOT NULL REFERENCES devices (id),
    owner TEXT NOT NULL REFERENCES accounts (id),
    price BIGINT NOT NULL CHECK (price >= 0),
    fee_requester BIGINT NOT NULL,
    fee_owner BIGINT NOT NULL,
    state TEXT NOT NULL,
    live BIGINT NOT NULL CHECK (live IN (0, 1)),
    ending TEXT,
    funded BIGINT NOT NULL,
    transfer_hash TEXT NOT NULL,
    head_seq BIGINT NOT NULL,
    head_hash TEXT NOT NULL,
    seconds BIGINT NOT NULL CHECK (seconds >= 0),
    head_last BIGINT NOT NULL CHECK (head_last IN (0, 1)),
    charged BIGINT NOT NULL CHECK (charged >= 0),
    earned BIGINT NOT NULL CHECK (earned >= 0),
    granted_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    UNIQUE (job, epoch),
    CHECK (seconds <= funded)
);
-- One slot, one winner; one job, one place.
CREATE UNIQUE INDEX leases_one_per_device ON leases (device) WHERE live = 1;
CREATE UNIQUE INDEX leases_one_per_job ON leases (job) WHERE live = 1;
CREATE INDEX leases_owner ON leases (owner, id);
CREATE INDEX leases_device ON leases (device);

CREATE TABLE receipts (
    lease TEXT NOT NULL REFERENCES leases (id),
    seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    charged BIGINT NOT NULL CHECK (charged >= 0),
    posted_at BIGINT NOT NULL,
    PRIMARY KEY (lease, seq)
);

CREATE TABLE books (
    id TEXT PRIMARY KEY,
    balance BIGINT NOT NULL,
    may_be_negative BIGINT NOT NULL CHECK (may_be_negative IN (0, 1)),
    CHECK (may_be_negative = 1 OR balance >= 0)
);

CREATE TABLE transfers (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    from_book TEXT NOT NULL REFERENCES books (id),
    to_book TEXT NOT NULL REFERENCES books (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    kind TEXT NOT NULL,
    job TEXT REFERENCES jobs (id),
    at BIGINT NOT NULL
);
CREATE INDEX transfers_from ON transfers (from_book, id);
CREATE INDEX transfers_to ON transfers (to_book, id);

CREATE TABLE holds (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    job TEXT NOT NULL UNIQUE REFERENCES jobs (id),
    reserved BIGINT NOT NULL,
    paid BIGINT NOT NULL CHECK (paid >= 0),
    released BIGINT NOT NULL CHECK (released IN (0, 1)),
    CHECK (paid <= reserved)
);

CREATE TABLE job_events (
    job TEXT NOT NULL REFERENCES jobs (id),
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (job, seq)
);

CREATE TABLE job_logs (
    job TEXT NOT NULL REFERENCES jobs (id),
    seq BIGINT NOT NULL,
    lease TEXT NOT NULL,
    log_end BIGINT NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, seq)
);

CREATE TABLE job_samples (
    lease TEXT NOT NULL REFERENCES leases (id),
    seq BIGINT NOT NULL,
    job TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (lease, seq)
);
CREATE INDEX job_samples_job ON job_samples (job, at);

CREATE TABLE bundles (
    account TEXT NOT NULL REFERENCES accounts (id),
    hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (account, hash)
);

CREATE TABLE artefacts (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    lease TEXT NOT NULL REFERENCES leases (id),
    path TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    stored_at BIGINT NOT NULL,
    UNIQUE (lease, path)
);
CREATE INDEX artefacts_job ON artefacts (job);

CREATE TABLE idempotency_keys (
    account TEXT NOT NULL REFERENCES accounts (id),
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, route, key)
);
