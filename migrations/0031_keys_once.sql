-- A key of a request that moves money belongs to its account, whatever the route. Until lately it could be used once on each: the
-- first stays. The other one is refused now, as all other requests under the key are, and is not done again.
DELETE FROM idempotency_keys WHERE EXISTS (
    SELECT 1 FROM idempotency_keys f WHERE f.account = idempotency_keys.account AND f.key = idempotency_keys.key
      AND (f.created_at < idempotency_keys.created_at
           OR (f.created_at = idempotency_keys.created_at AND f.route < idempotency_keys.route))
);
DROP INDEX idempotency_keys_key;
CREATE UNIQUE INDEX idempotency_keys_once ON idempotency_keys (account, key);
