-- What machines measured: a row for each minute of a device (`host`: the machine itself), sums that a later piece of the same
-- minute is added to. Kept for a week.
CREATE TABLE telemetry_minutes (
    node TEXT NOT NULL REFERENCES nodes (id),
    uuid TEXT NOT NULL,
    -- Minutes since 1970, by the machine's clock.
    minute BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (node, uuid, minute)
);
CREATE INDEX telemetry_minutes_minute ON telemetry_minutes (minute);
-- Up to which number each series of a machine has come: written with what it brought, so that nothing counts twice.
CREATE TABLE telemetry_series (
    node TEXT NOT NULL REFERENCES nodes (id),
    series TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    received BIGINT NOT NULL CHECK (received >= 0),
    missing BIGINT NOT NULL CHECK (missing >= 0),
    at BIGINT NOT NULL,
    PRIMARY KEY (node, series)
);
-- What happened to devices: XIDs, errors of memory, slowdowns. Kept for 90 days.
CREATE TABLE device_events (
    node TEXT NOT NULL REFERENCES nodes (id),
    series TEXT NOT NULL,
    seq BIGINT NOT NULL,
    place BIGINT NOT NULL,
    uuid TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (node, series, seq, place)
);
CREATE INDEX device_events_node ON device_events (node, at);
CREATE INDEX device_events_at ON device_events (at);
