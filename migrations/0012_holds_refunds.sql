-- What was set aside for a job and that nothing used until `expires_at` goes back; more can be set aside later.
ALTER TABLE holds ADD COLUMN returned BIGINT NOT NULL DEFAULT 0 CHECK (returned >= 0 AND paid + returned <= reserved);
CREATE INDEX holds_expire ON holds (expires_at) WHERE released = 0 AND expires_at IS NOT NULL;
-- Of jobs that wait for another node at this moment.
UPDATE holds SET expires_at = (SELECT j.queued_at + 600000 FROM jobs j WHERE j.id = holds.job)
    WHERE released = 0 AND reserved > paid AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.job = holds.job AND l.live = 1);

-- The devices that a lease was given for, as they were then. JSON as TEXT.
ALTER TABLE leases ADD COLUMN promised TEXT NOT NULL DEFAULT '[]';
-- Of a lease's seconds, those that its newest checkpoint keeps.
ALTER TABLE leases ADD COLUMN saved BIGINT NOT NULL DEFAULT 0 CHECK (saved >= 0);

-- What is given back without being asked for: once a lease, never more than was paid for it.
CREATE TABLE refunds (
    lease TEXT PRIMARY KEY REFERENCES leases (id),
    reason TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    seconds BIGINT NOT NULL CHECK (seconds > 0),
    charged BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    -- Of it, what the platform's books could not pay yet.
    owed BIGINT NOT NULL CHECK (owed >= 0),
    at BIGINT NOT NULL,
    paid_at BIGINT,
    CHECK (amount <= charged),
    CHECK (owed <= amount),
    CHECK (owed = 0 OR paid_at IS NULL)
);
CREATE INDEX refunds_job ON refunds (job);
CREATE INDEX refunds_owed ON refunds (at) WHERE owed > 0;
