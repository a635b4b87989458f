-- What an account is told. `body` is JSON: the event's type and its data. The unread ones are counted for the bell.
CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    read_at BIGINT
);
CREATE INDEX notices_account ON notices (account, id);
CREATE INDEX notices_unread ON notices (account) WHERE read_at IS NULL;
CREATE INDEX notices_at ON notices (at);

-- `runway`: at which seconds left the account is warned; `told`: of them, those it was warned of and that have not been
-- left behind since. Both JSON.
CREATE TABLE notification_settings (
    account TEXT PRIMARY KEY REFERENCES accounts (id),
    email BIGINT NOT NULL CHECK (email IN (0, 1)),
    language TEXT NOT NULL,
    runway TEXT NOT NULL,
    told TEXT NOT NULL,
    told_at BIGINT NOT NULL
);

-- The secret of a webhook is computed from the platform's key and the salt: it is not here. `events`: their names between
-- blanks; empty means all.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    salt TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    failing_since BIGINT
);
CREATE INDEX webhooks_account ON webhooks (account, id);

-- What has to leave the house: written in the transaction of its cause, one row for a notice and a target (`email`, or a
-- webhook's id), so that no crash loses or doubles it.
CREATE TABLE outbox (
    notice TEXT NOT NULL REFERENCES notices (id),
    target TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id),
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    created_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    ended_at BIGINT,
    status BIGINT,
    error TEXT,
    PRIMARY KEY (notice, target)
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'waiting';
CREATE INDEX outbox_waiting ON outbox (target) WHERE state = 'waiting';
CREATE INDEX outbox_target ON outbox (account, target, notice);
CREATE INDEX outbox_created ON outbox (created_at);
