-- What accounts keep for their jobs' environments. `locked` is closed under a key that is not in the database.
CREATE TABLE secrets (
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    -- Hexadecimal digits.
    locked TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
