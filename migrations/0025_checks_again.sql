-- Jobs that were to compute a slice again and brought no result; another owner's machine was asked after each.
CREATE TABLE recomputations_failed (
    again TEXT PRIMARY KEY REFERENCES jobs (id),
    job TEXT NOT NULL,
    slice BIGINT NOT NULL,
    FOREIGN KEY (job, slice) REFERENCES recomputations (job, slice)
);
CREATE INDEX recomputations_failed_slice ON recomputations_failed (job, slice);
