-- What each device delivered and earned, summed as it is receipted: an owner with years of leases should not wait for a sum.
ALTER TABLE devices ADD COLUMN seconds BIGINT NOT NULL DEFAULT 0 CHECK (seconds >= 0);
ALTER TABLE devices ADD COLUMN earned BIGINT NOT NULL DEFAULT 0 CHECK (earned >= 0);
-- Of leases of several devices each is given the same part here; from now on, by what each asks.
UPDATE devices SET
    seconds = COALESCE((SELECT CAST(SUM(l.seconds) AS BIGINT) FROM leases l JOIN lease_devices x ON x.lease = l.id
        WHERE x.device = devices.id), 0),
    earned = COALESCE((SELECT CAST(SUM(l.earned / l.device_count) AS BIGINT) FROM leases l JOIN lease_devices x ON x.lease = l.id
        WHERE x.device = devices.id), 0);
