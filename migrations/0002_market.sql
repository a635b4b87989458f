-- What the market may be asked of a device beyond its memory, and which jobs its owner takes. JSON as TEXT.
ALTER TABLE devices ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE devices ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';

-- The price index of each model as it was: base units a second. Points are taken every few minutes and kept 90 days.
CREATE TABLE market_prices (
    class TEXT NOT NULL,
    model TEXT NOT NULL,
    at BIGINT NOT NULL,
    fair BIGINT NOT NULL CHECK (fair >= 0),
    lowest BIGINT,
    asks BIGINT NOT NULL,
    trades BIGINT NOT NULL,
    PRIMARY KEY (class, model, at)
);
CREATE INDEX market_prices_at ON market_prices (at);
CREATE INDEX leases_granted ON leases (granted_at);
