-- Money. The transfers become a chain: numbered in the order in which they were posted, each with what its two books held
-- after it and with the hash of the one before. Rows of before are numbered when the store is opened.
ALTER TABLE transfers ADD COLUMN seq BIGINT;
ALTER TABLE transfers ADD COLUMN from_after BIGINT;
ALTER TABLE transfers ADD COLUMN to_after BIGINT;
ALTER TABLE transfers ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX transfers_seq ON transfers (seq);
-- What a book held at a moment is in its newest transfer up to then; `at` never falls as `seq` rises.
CREATE INDEX transfers_from_at ON transfers (from_book, at, seq);
CREATE INDEX transfers_to_at ON transfers (to_book, at, seq);
CREATE INDEX transfers_job ON transfers (job) WHERE job IS NOT NULL;
DROP INDEX transfers_from;
DROP INDEX transfers_to;

-- After this moment a hold is given back unless its job still has a lease.
ALTER TABLE holds ADD COLUMN expires_at BIGINT;
CREATE INDEX holds_open ON holds (account) WHERE released = 0;

-- Of what a lease earned: how much has become withdrawable, when it last did, and how much was given back.
ALTER TABLE leases ADD COLUMN matured BIGINT NOT NULL DEFAULT 0 CHECK (matured >= 0);
ALTER TABLE leases ADD COLUMN matured_at BIGINT;
ALTER TABLE leases ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0);
-- Of leases that were over before this version it becomes withdrawable at the next start.
CREATE INDEX leases_to_mature ON leases (id) WHERE live = 0 AND matured < earned;

-- What accounts let their jobs spend.
CREATE TABLE spend_limits (
    account TEXT PRIMARY KEY REFERENCES accounts (id),
    keep BIGINT CHECK (keep >= 0),
    per_day BIGINT CHECK (per_day >= 0),
    per_month BIGINT CHECK (per_month >= 0)
);

CREATE TABLE deposits (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    state TEXT NOT NULL,
    demo BIGINT NOT NULL CHECK (demo IN (0, 1)),
    -- What it is called outside: the same is credited once.
    reference TEXT UNIQUE,
    requested_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT REFERENCES accounts (id),
    note TEXT NOT NULL
);
CREATE INDEX deposits_account ON deposits (account, id);
-- One request at a time.
CREATE UNIQUE INDEX deposits_open ON deposits (account) WHERE state = 'requested';

CREATE TABLE payouts (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    address TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT REFERENCES accounts (id),
    -- What it is called outside: one transaction there pays one payout here.
    reference TEXT UNIQUE,
    note TEXT NOT NULL
);
CREATE INDEX payouts_account ON payouts (account, id);
CREATE INDEX payouts_state ON payouts (state);

CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    payout TEXT NOT NULL REFERENCES payouts (id),
    reason TEXT NOT NULL,
    proposed_by TEXT NOT NULL REFERENCES accounts (id),
    proposed_at BIGINT NOT NULL,
    confirmed_by TEXT REFERENCES accounts (id),
    decided_at BIGINT,
    dropped BIGINT NOT NULL CHECK (dropped IN (0, 1)),
    -- Two persons, never one twice.
    CHECK (confirmed_by IS NULL OR confirmed_by <> proposed_by)
);
CREATE UNIQUE INDEX approvals_open ON approvals (payout) WHERE decided_at IS NULL AND dropped = 0;

CREATE TABLE disputes (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    owner TEXT NOT NULL REFERENCES accounts (id),
    job TEXT NOT NULL REFERENCES jobs (id),
    lease TEXT NOT NULL REFERENCES leases (id),
    seq BIGINT NOT NULL,
    paid BIGINT NOT NULL CHECK (paid > 0),
    owner_part BIGINT NOT NULL CHECK (owner_part >= 0),
    claimed BIGINT NOT NULL CHECK (claimed > 0),
    set_aside BIGINT NOT NULL CHECK (set_aside >= 0),
    refunded BIGINT NOT NULL CHECK (refunded >= 0),
    state TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT REFERENCES accounts (id),
    ruling TEXT NOT NULL,
    -- A receipt is contested once; a ruling is final.
    UNIQUE (lease, seq),
    CHECK (claimed <= paid),
    CHECK (refunded <= claimed)
);
CREATE INDEX disputes_account ON disputes (account, id);
CREATE INDEX disputes_owner ON disputes (owner, id);
CREATE INDEX disputes_state ON disputes (state);

CREATE TABLE dispute_evidence (
    dispute TEXT NOT NULL REFERENCES disputes (id),
    seq BIGINT NOT NULL,
    party TEXT NOT NULL,
    account TEXT REFERENCES accounts (id),
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (dispute, seq)
);

CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    expected TEXT NOT NULL,
    found TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    gone_at BIGINT,
    closed_by TEXT REFERENCES accounts (id),
    closed_at BIGINT,
    note TEXT NOT NULL
);
CREATE UNIQUE INDEX incidents_open ON incidents (kind, subject) WHERE closed_at IS NULL;

-- How far the reconciler has read the chain of transfers.
CREATE TABLE ledger_checks (
    id TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    at BIGINT NOT NULL
);
