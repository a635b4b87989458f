-- An invoice of a month lists what was given back in it.
CREATE INDEX refunds_account ON refunds (account);
