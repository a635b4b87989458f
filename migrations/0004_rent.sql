-- How a slot is rented.
ALTER TABLE leases ADD COLUMN kind TEXT NOT NULL DEFAULT 'on-demand';

-- Devices that are taken back from spot leases, and the job that each is for.
CREATE TABLE promises (
    device TEXT PRIMARY KEY REFERENCES devices (id),
    job TEXT NOT NULL UNIQUE REFERENCES jobs (id),
    lease TEXT NOT NULL REFERENCES leases (id),
    price BIGINT NOT NULL CHECK (price >= 0),
    at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
