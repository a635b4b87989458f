-- Lists of what went out over a chain: batches newest first, and payouts by when they arrived.
CREATE INDEX payout_batches_made ON payout_batches (made_at, id);
CREATE INDEX payouts_paid ON payouts (changed_at) WHERE state = 'paid';
