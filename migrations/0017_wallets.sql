-- Wallets that sign in, and where earnings go. Addresses are 0x and 64 digits.

-- A wallet is one account's.
CREATE TABLE wallets (
    address TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    -- As the wallet calls itself.
    name TEXT NOT NULL,
    linked_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
CREATE INDEX wallets_account ON wallets (account, linked_at);

-- What a wallet was asked to sign. A row is deleted by the answer, so that each is answered once.
CREATE TABLE wallet_challenges (
    nonce TEXT PRIMARY KEY,
    -- Whose account the wallet is to be linked to; absent: somebody signs in.
    account TEXT REFERENCES accounts (id),
    -- JSON as TEXT.
    expected TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX wallet_challenges_end ON wallet_challenges (expires_at);

CREATE TABLE payout_addresses (
    account TEXT PRIMARY KEY REFERENCES accounts (id),
    address TEXT NOT NULL,
    since BIGINT NOT NULL,
    -- The next one, and from when on.
    next TEXT,
    next_at BIGINT,
    CHECK ((next IS NULL) = (next_at IS NULL))
);
CREATE INDEX payout_addresses_next ON payout_addresses (next_at) WHERE next_at IS NOT NULL;
