-- What was earned and does not mature before something is shown or compared (docs/proof.md): a device that a lost lease did not measure
-- at its end, the draw of the slices that are computed again, or such a check that is under way.
CREATE TABLE withheld (
    lease TEXT NOT NULL REFERENCES leases (id),
    cause TEXT NOT NULL CHECK (cause IN ('device', 'draw', 'check')),
    -- The device that is to be shown; empty for the other causes.
    device TEXT NOT NULL DEFAULT '',
    since BIGINT NOT NULL,
    PRIMARY KEY (lease, cause, device)
);
CREATE INDEX withheld_device ON withheld (device) WHERE cause = 'device';
CREATE INDEX withheld_cause ON withheld (cause, since);

-- Slices of work that were drawn to be computed again on another owner's machine: each once.
CREATE TABLE recomputations (
    job TEXT NOT NULL REFERENCES jobs (id),
    slice BIGINT NOT NULL CHECK (slice >= 0),
    -- Who delivered it, in which file, and what the file's hash was when it was drawn.
    lease TEXT NOT NULL REFERENCES leases (id),
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    -- The platform's signature that the draw follows from.
    draw TEXT NOT NULL,
    drawn_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- The jobs that computed it again: on a second owner's machine and, where the two differ, on a third's.
    second TEXT REFERENCES jobs (id),
    third TEXT REFERENCES jobs (id),
    detail TEXT NOT NULL DEFAULT '',
    ended_at BIGINT,
    PRIMARY KEY (job, slice)
);
CREATE INDEX recomputations_open ON recomputations (drawn_at) WHERE ended_at IS NULL;
CREATE INDEX recomputations_lease ON recomputations (lease);
CREATE INDEX recomputations_second ON recomputations (second) WHERE second IS NOT NULL;
CREATE INDEX recomputations_third ON recomputations (third) WHERE third IS NOT NULL;
