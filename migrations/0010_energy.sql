-- What the lease's receipts say that its devices have used, in millijoules; NULL while none said it.
ALTER TABLE leases ADD COLUMN energy_mj BIGINT CHECK (energy_mj >= 0);

-- A month's invoice looks for an account's leases.
CREATE INDEX leases_account ON leases (account, granted_at);
