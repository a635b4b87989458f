-- Of what a dispute set aside, what had not matured: taken back or ruled, it waits again. Zero once the lease's earnings
-- have matured meanwhile.
ALTER TABLE disputes ADD COLUMN unmatured BIGINT NOT NULL DEFAULT 0 CHECK (unmatured >= 0);
-- Those that are open, of leases of whose earnings nothing has matured or was set aside since.
UPDATE disputes SET unmatured = (SELECT t.amount FROM transfers t WHERE t.key = 'dispute:' || disputes.id || ':earned')
WHERE state = 'open'
  AND EXISTS (SELECT 1 FROM transfers t WHERE t.key = 'dispute:' || disputes.id || ':earned')
  AND EXISTS (SELECT 1 FROM leases l WHERE l.id = disputes.lease AND l.live = 1 AND l.matured_at = disputes.opened_at);
