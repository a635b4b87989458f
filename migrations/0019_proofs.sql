-- Proof that devices are what they say (docs/proof.md).

-- How far a device's claim is believed, since when and why. JSON as TEXT.
ALTER TABLE devices ADD COLUMN proof TEXT NOT NULL DEFAULT '{}';
CREATE INDEX devices_uuid ON devices (uuid);

-- Each challenge that came to an end: what was asked and answered, so that it can be computed again, and what was made of it.
CREATE TABLE challenges (
    id TEXT PRIMARY KEY,
    node TEXT NOT NULL REFERENCES nodes (id),
    device TEXT NOT NULL REFERENCES devices (id),
    -- Tasks, keys, roots, what was opened, times. JSON as TEXT.
    record TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX challenges_node ON challenges (node, ended_at);
CREATE INDEX challenges_device ON challenges (device, ended_at);
CREATE INDEX challenges_ended ON challenges (ended_at);
