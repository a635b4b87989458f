-- What is given back of a lease without being asked for: once for a reason, and together never more than was paid for it.
-- It takes the place of `refunds`, which had one a lease; that one stays as it was left until a release in which nothing reads it.
CREATE TABLE lease_refunds (
    lease TEXT NOT NULL REFERENCES leases (id),
    reason TEXT NOT NULL,
    -- What the keys of its transfers begin with.
    key TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL REFERENCES jobs (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    seconds BIGINT NOT NULL CHECK (seconds > 0),
    charged BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    -- Of it, what the platform's books could not pay yet.
    owed BIGINT NOT NULL CHECK (owed >= 0),
    at BIGINT NOT NULL,
    paid_at BIGINT,
    PRIMARY KEY (lease, reason),
    CHECK (amount <= charged),
    CHECK (owed <= amount),
    CHECK (owed = 0 OR paid_at IS NULL)
);
INSERT INTO lease_refunds (lease, reason, key, job, account, seconds, charged, amount, owed, at, paid_at)
    SELECT lease, reason, 'refund:' || lease, job, account, seconds, charged, amount, owed, at, paid_at FROM refunds;
CREATE INDEX lease_refunds_job ON lease_refunds (job);
CREATE INDEX lease_refunds_account ON lease_refunds (account);
CREATE INDEX lease_refunds_owed ON lease_refunds (at) WHERE owed > 0;
