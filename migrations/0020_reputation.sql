-- How long the platform itself was up in each hour (hours since 1970, milliseconds): who could not be heard was not away.
CREATE TABLE platform_hours (
    hour BIGINT PRIMARY KEY,
    up_ms BIGINT NOT NULL CHECK (up_ms >= 0)
);
-- How long each machine was connected, and how long it was away with notice: maintenance, or hours that its schedule closes.
CREATE TABLE node_hours (
    node TEXT NOT NULL REFERENCES nodes (id),
    hour BIGINT NOT NULL,
    online_ms BIGINT NOT NULL CHECK (online_ms >= 0),
    away_ms BIGINT NOT NULL CHECK (away_ms >= 0),
    PRIMARY KEY (node, hour)
);
CREATE INDEX node_hours_hour ON node_hours (hour);
-- A machine's day (days since 1970), and its reputation at the end of it in hundredths: facts and sums as docs/reputation.md
-- says, so that each row follows from the one before and its own facts.
CREATE TABLE node_reputation (
    node TEXT NOT NULL REFERENCES nodes (id),
    day BIGINT NOT NULL,
    score BIGINT NOT NULL CHECK (score BETWEEN 0 AND 10000),
    facts TEXT NOT NULL,
    sums TEXT NOT NULL,
    PRIMARY KEY (node, day)
);
-- Leases that a machine would not or could not start: their end reads as that of a job that cannot start anywhere.
ALTER TABLE leases ADD COLUMN refused BIGINT NOT NULL DEFAULT 0 CHECK (refused IN (0, 1));
CREATE INDEX leases_ended ON leases (ended_at);
CREATE INDEX leases_node ON leases (node, id);
-- Set by the owner: the machine takes no new job, and its absence is none. When what still runs is stopped, or 0: at its end.
ALTER TABLE nodes ADD COLUMN maintenance BIGINT;
