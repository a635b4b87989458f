-- What a waiting job was told that it pays at most, when a spot job was given notice for it. It holds until the job has its
-- place, also when the promised device falls away and the promise with it.
ALTER TABLE jobs ADD COLUMN promised BIGINT;
