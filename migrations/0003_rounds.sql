-- The market's public record: each time it was asked to place a job, and the book as it was then. Rounds are chained by
-- their hashes. A book is a snapshot and the changes since: steps rise by one over changes and segments, for ever.

CREATE TABLE market_rounds (
    number BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    -- Whose round it was. Never published.
    job TEXT,
    hash TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX market_rounds_at ON market_rounds (at);
CREATE INDEX market_rounds_step ON market_rounds (step);
CREATE INDEX market_rounds_job ON market_rounds (job);

CREATE TABLE book_changes (
    step BIGINT PRIMARY KEY,
    device TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX book_changes_device ON book_changes (device, step);

-- A snapshot's row is written after its pages: without it they are not there yet.
CREATE TABLE book_snapshots (
    step BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    offers BIGINT NOT NULL,
    root TEXT NOT NULL,
    pages BIGINT NOT NULL
);
CREATE TABLE book_pages (
    step BIGINT NOT NULL,
    page BIGINT NOT NULL,
    first_device TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (step, page)
);
