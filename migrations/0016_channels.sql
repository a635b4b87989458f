-- People's own transactions, which their wallets sign and whose fees the platform pays; escrow channels and their vouchers.
-- Addresses and hashes are 0x and 64 digits.

-- What was offered to a wallet for its signature. Only what stands here is paid for.
CREATE TABLE wallet_deeds (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    wallet TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- Absent where nothing moves by it.
    amount BIGINT,
    -- Hex.
    unsigned TEXT NOT NULL,
    fee_payer TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    -- Once it is signed by both.
    transaction_hash TEXT UNIQUE
);
CREATE INDEX wallet_deeds_of ON wallet_deeds (account, made_at);

CREATE TABLE channels (
    address TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    chain BIGINT NOT NULL CHECK (chain BETWEEN 0 AND 255),
    contract TEXT NOT NULL,
    renter TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 0),
    -- With the platform's key it makes the key of the vouchers, which is not here.
    salt TEXT NOT NULL,
    -- The public half, 64 digits.
    voucher_key TEXT NOT NULL,
    -- The contract's vault: what the channel owes the platform is promised to it.
    vault TEXT NOT NULL,
    -- `proposed`, `open`, `closing`, `closed`
    state TEXT NOT NULL,
    -- All that came in.
    locked BIGINT NOT NULL CHECK (locked >= 0),
    -- Of it, what vouchers say in all.
    promised BIGINT NOT NULL CHECK (promised >= 0),
    -- Of that, what was paid out on the chain.
    redeemed BIGINT NOT NULL CHECK (redeemed >= 0),
    -- What left the renter's balance since the close began.
    freed BIGINT NOT NULL CHECK (freed >= 0),
    -- What the chain paid back at the end.
    returned BIGINT,
    closing_until BIGINT,
    made_at BIGINT NOT NULL,
    opened_at BIGINT,
    closed_at BIGINT,
    UNIQUE (renter, number, contract, chain),
    -- Never is more promised or given back than came in.
    CHECK (promised + freed <= locked),
    CHECK (redeemed <= promised)
);
CREATE INDEX channels_of ON channels (account, made_at);
CREATE UNIQUE INDEX channels_one ON channels (account) WHERE state IN ('open', 'closing');

-- The newest voucher of each payee of a channel.
CREATE TABLE vouchers (
    channel TEXT NOT NULL REFERENCES channels (address),
    payee TEXT NOT NULL,
    -- Whose earnings it is; absent: the vault's.
    account TEXT REFERENCES accounts (id),
    cumulative BIGINT NOT NULL CHECK (cumulative > 0),
    redeemed BIGINT NOT NULL CHECK (redeemed >= 0 AND redeemed <= cumulative),
    -- 128 digits.
    signature TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    -- Up to this much somebody asked to have it redeemed.
    asked BIGINT NOT NULL CHECK (asked >= 0),
    PRIMARY KEY (channel, payee)
);
CREATE INDEX vouchers_of ON vouchers (account);
CREATE INDEX vouchers_asked ON vouchers (channel) WHERE asked > redeemed;

-- Of what a lease was charged, what is accounted for with its requester's channel, or needs not be.
ALTER TABLE leases ADD COLUMN cleared BIGINT NOT NULL DEFAULT 0 CHECK (cleared >= 0);
UPDATE leases SET cleared = charged;
