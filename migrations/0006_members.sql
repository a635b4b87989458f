-- Jobs on several devices. A job has one lease for each of its members (nodes), and a lease has one or more devices of
-- one node. `device` and `price` of a lease stay what they were for one device: the first device, and what all ask together.
ALTER TABLE leases ADD COLUMN member BIGINT NOT NULL DEFAULT 0;
-- The devices of the lease, how many, and what each asks. JSON as TEXT.
ALTER TABLE leases ADD COLUMN device_count BIGINT NOT NULL DEFAULT 1;
ALTER TABLE leases ADD COLUMN devices TEXT NOT NULL DEFAULT '[]';
UPDATE leases SET devices = '[["' || device || '","' || CAST(price AS TEXT) || '"]]';

-- One slot, one winner: each device of a live lease stands here as live once.
CREATE TABLE lease_devices (
    lease TEXT NOT NULL REFERENCES leases (id),
    device TEXT NOT NULL REFERENCES devices (id),
    live BIGINT NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (lease, device)
);
INSERT INTO lease_devices (lease, device, live) SELECT id, device, live FROM leases;
CREATE UNIQUE INDEX lease_devices_one_lease ON lease_devices (device) WHERE live = 1;

-- One member, one place. Epochs still rise over the whole job, so no two leases of a job share one.
DROP INDEX leases_one_per_job;
CREATE UNIQUE INDEX leases_one_per_member ON leases (job, member) WHERE live = 1;

ALTER TABLE jobs ADD COLUMN members BIGINT NOT NULL DEFAULT 1;
-- Jobs that look for a device, be it for one member of many.
CREATE INDEX jobs_queued ON jobs (queued_at) WHERE queued_at IS NOT NULL;
