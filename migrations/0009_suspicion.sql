-- Why somebody is suspected of holding places without buying them: sums of named reasons that
-- fade. Never read or written on the way to a hold; every process follows it.

-- Who writes takes a lock for the transaction, so that changes become visible in their order and
-- a follower misses none.
CREATE SEQUENCE suspicion_changes;

CREATE TABLE suspicion (
    -- The nil id: of no event alone.
    event_id     uuid NOT NULL,
    kind         text NOT NULL CONSTRAINT suspicion_kind_known CHECK
                 (kind IN ('account', 'device', 'prefix', 'card')),
    -- The account's or device's id, or a keyed hash of the address prefix or card.
    subject      uuid NOT NULL,
    reason       text NOT NULL,
    -- As of `at`; they halve every `half_life_s` seconds and stay within `bound` on either side.
    points       double precision NOT NULL,
    half_life_s  double precision NOT NULL CHECK (half_life_s > 0),
    bound        double precision NOT NULL CHECK (bound > 0),
    times        integer NOT NULL,
    at           timestamptz NOT NULL,
    change       bigint NOT NULL,
    PRIMARY KEY (event_id, kind, subject, reason)
);
CREATE UNIQUE INDEX suspicion_by_change ON suspicion (change);

-- What an organizer has decided about somebody.
CREATE TABLE suspicion_overrides (
    event_id  uuid NOT NULL,
    kind      text NOT NULL,
    subject   uuid NOT NULL,
    -- Null: none any more. The row stays, so that every process hears of it.
    word      text CONSTRAINT suspicion_overrides_word_known CHECK (word IN ('trust', 'block')),
    note      text NOT NULL,
    at        timestamptz NOT NULL,
    change    bigint NOT NULL,
    PRIMARY KEY (event_id, kind, subject),
    -- A prefix is shared by many: nobody is refused for it alone.
    CONSTRAINT suspicion_overrides_people CHECK
        (kind IN ('account', 'device') OR kind = 'prefix' AND word IS DISTINCT FROM 'block')
);
CREATE UNIQUE INDEX suspicion_overrides_by_change ON suspicion_overrides (change);

-- Which accounts a card was used with.
CREATE TABLE suspicion_cards (
    event_id  uuid NOT NULL,
    card      uuid NOT NULL,
    account   uuid NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, card, account)
);

-- What the provider calls the card that was tried last: the same for the same card.
ALTER TABLE attempts ADD COLUMN fingerprint text;

CREATE FUNCTION faded(p_points double precision, p_half_life_s double precision,
                      p_at timestamptz) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT p_points * power(0.5::double precision,
        least(greatest(extract(epoch FROM now() - p_at), 0)::double precision / p_half_life_s,
              1000))
$$;
