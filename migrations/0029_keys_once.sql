-- A key of a request that moves money is looked for whatever route it was used on.
CREATE INDEX idempotency_keys_key ON idempotency_keys (account, key);
