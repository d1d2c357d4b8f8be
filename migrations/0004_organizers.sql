-- What an organizer's creating request made: the same Idempotency-Key finds it again.

CREATE TABLE creations (
    -- SHA-256 of the organizer, the route and the key, cut to 128 bits.
    id          uuid PRIMARY KEY,
    -- Of the request: the same key with another body is refused.
    digest      bytea NOT NULL,
    -- The id that was given to what was made, where that has one.
    made        uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
