-- Places that come back are free for all only after a random delay below this, so that nobody can
-- time it; 0 is at once.
ALTER TABLE events
    ADD COLUMN return_seconds integer NOT NULL DEFAULT 10 CHECK (return_seconds BETWEEN 0 AND 600);
