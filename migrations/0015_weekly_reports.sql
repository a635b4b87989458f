-- The weekly earnings report: what each owner earned in a closed week, the root that goes to the chain, and what the chain told of it.
CREATE TABLE weekly_reports (
    -- Its Monday, in days since 1970-01-01.
    week BIGINT NOT NULL CHECK (week > 0),
    -- A correction is the next one; what was made is never changed.
    version BIGINT NOT NULL CHECK (version > 0),
    -- Where it is published.
    chain BIGINT NOT NULL,
    contract TEXT NOT NULL,
    root TEXT NOT NULL,
    total BIGINT NOT NULL CHECK (total >= 0),
    owners BIGINT NOT NULL CHECK (owners >= 0),
    -- The last transfer that it knows of.
    seq BIGINT NOT NULL CHECK (seq >= 0),
    made_at BIGINT NOT NULL,
    -- Told by the chain's events.
    published_at BIGINT,
    transaction_hash TEXT,
    PRIMARY KEY (week, version)
);
CREATE INDEX weekly_reports_open ON weekly_reports (week, version) WHERE published_at IS NULL;

CREATE TABLE weekly_lines (
    week BIGINT NOT NULL,
    version BIGINT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id),
    -- As its owner stands in the report. Two accounts with one address are one leaf.
    address TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (week, version, account),
    FOREIGN KEY (week, version) REFERENCES weekly_reports (week, version)
);
CREATE INDEX weekly_lines_account ON weekly_lines (account, week);

-- What one IO was worth when a payout arrived: a currency and millionths of it. Absent where none was known.
ALTER TABLE payouts ADD COLUMN rate_currency TEXT;
ALTER TABLE payouts ADD COLUMN rate_millionths BIGINT CHECK (rate_millionths >= 0);
