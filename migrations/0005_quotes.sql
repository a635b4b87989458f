-- Quotes that are held: the slots with their prices, the lines as they were told, and the job that used it. JSON as TEXT.
CREATE TABLE quotes (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    spec_hash TEXT NOT NULL,
    slots TEXT NOT NULL,
    lines TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    job TEXT UNIQUE REFERENCES jobs (id)
);
CREATE INDEX quotes_account ON quotes (account, id);
CREATE INDEX quotes_expires ON quotes (expires_at);

-- Queries that an account keeps. `matching`: the devices that matched when it was last looked at; `alert`: the newest one.
CREATE TABLE searches (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    matching TEXT NOT NULL,
    too_broad BIGINT NOT NULL CHECK (too_broad IN (0, 1)),
    unseen BIGINT NOT NULL CHECK (unseen >= 0),
    alert TEXT
);
CREATE INDEX searches_account ON searches (account, id);

-- How scarce a model was when its price was noted.
ALTER TABLE market_prices ADD COLUMN offered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE market_prices ADD COLUMN hired BIGINT NOT NULL DEFAULT 0;
