-- What goes out over a chain, and what it told. Hashes and addresses are 0x and 64 digits.

-- Up to where a contract's events are in the books.
CREATE TABLE chain_cursors (
    -- `4:0x…`: the chain's number and the contract's address.
    contract TEXT PRIMARY KEY,
    next BIGINT NOT NULL CHECK (next >= 0)
);

-- Signed transactions, stored before they are sent.
CREATE TABLE outgoing (
    hash TEXT PRIMARY KEY,
    -- `payouts:0x…`
    purpose TEXT NOT NULL,
    attempt BIGINT NOT NULL CHECK (attempt > 0),
    sender TEXT NOT NULL,
    -- Hex.
    signed TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    fee_max BIGINT NOT NULL,
    -- JSON as TEXT.
    state TEXT NOT NULL,
    -- It may take effect, or did.
    may_land BIGINT NOT NULL CHECK (may_land IN (0, 1)),
    -- Nothing more will become of it.
    over BIGINT NOT NULL CHECK (over IN (0, 1)),
    made_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    gas_used BIGINT,
    -- The chain's words.
    status TEXT NOT NULL,
    UNIQUE (purpose, attempt)
);
-- Never two for one purpose that both could take effect.
CREATE UNIQUE INDEX outgoing_one ON outgoing (purpose) WHERE may_land = 1;
CREATE INDEX outgoing_open ON outgoing (made_at) WHERE over = 0;

CREATE TABLE payout_batches (
    id TEXT PRIMARY KEY,
    total BIGINT NOT NULL CHECK (total > 0),
    lines BIGINT NOT NULL CHECK (lines > 0),
    made_at BIGINT NOT NULL,
    -- Told by the chain's events.
    transaction_hash TEXT UNIQUE,
    paid BIGINT,
    skipped BIGINT,
    settled_at BIGINT
);
CREATE INDEX payout_batches_open ON payout_batches (made_at) WHERE settled_at IS NULL;
ALTER TABLE payouts ADD COLUMN batch TEXT REFERENCES payout_batches (id);
ALTER TABLE payouts ADD COLUMN line BIGINT CHECK (line >= 0);
CREATE UNIQUE INDEX payouts_line ON payouts (batch, line) WHERE batch IS NOT NULL;

-- Came in for nobody who is known here; an admin says whose it is.
CREATE TABLE unclaimed_deposits (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    sender TEXT NOT NULL,
    -- Hex; absent when it was no account's form.
    tag TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    at BIGINT NOT NULL
);

-- What is wrong between the chain and the books, until it is right again. The reconciler makes incidents of it.
CREATE TABLE chain_faults (
    subject TEXT PRIMARY KEY,
    expected TEXT NOT NULL,
    found TEXT NOT NULL,
    at BIGINT NOT NULL
);
