-- A secret that was replaced goes on signing beside the new one for a while, so that a receiver can change over and lose
-- nothing.
ALTER TABLE webhooks ADD COLUMN previous_salt TEXT;
ALTER TABLE webhooks ADD COLUMN previous_until BIGINT;

-- Whether an address is its account's own: until it says so, nothing but that question is sent to it. `email` is the one
-- that was asked; another one in `accounts` has to be asked anew. The code in the question is computed from the platform's
-- key and the salt. `next_at`: when the question is to be sent; absent when none waits. `asks`: how many since `day`.
CREATE TABLE addresses (
    account TEXT PRIMARY KEY REFERENCES accounts (id),
    email TEXT NOT NULL,
    salt TEXT NOT NULL,
    confirmed_at BIGINT,
    day BIGINT NOT NULL,
    asks BIGINT NOT NULL CHECK (asks >= 0),
    asked_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    next_at BIGINT,
    error TEXT
);
CREATE INDEX addresses_due ON addresses (next_at) WHERE next_at IS NOT NULL;
