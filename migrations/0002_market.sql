-- What the market may be asked of a device beyond its memory, and which jobs its owner takes. JSON as TEXT.
ALTER TABLE devices ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE devices ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';
