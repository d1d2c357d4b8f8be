-- Access codes and presale registration. A code opens offers and lanes of the waiting room; only
-- its keyed hash is stored, so that a copy of these tables opens nothing.

CREATE TABLE code_sets (
    id          uuid PRIMARY KEY,
    event_id    uuid NOT NULL REFERENCES events,
    name        text NOT NULL,
    -- Grants count within it; codes can be redeemed until its end.
    starts_at   timestamptz,
    ends_at     timestamptz,
    -- Accounts that may redeem one code; null: as many as there are.
    max_uses    integer CHECK (max_uses BETWEEN 1 AND 1000000),
    -- Whose its codes are.
    binding     text NOT NULL CONSTRAINT code_sets_binding_known CHECK
                (binding IN ('bearer', 'account', 'email')),
    -- How many there are; a sum, so that nobody has to count.
    codes       integer NOT NULL DEFAULT 0,
    revoked_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT code_sets_of_event UNIQUE (event_id, id),
    CONSTRAINT code_sets_window CHECK (ends_at > starts_at)
);

-- Codes that were generated together. They are computed from the id with a secret key
-- (src/access/code.rs), so that a repeated request gets the same ones for a while.
CREATE TABLE code_batches (
    id          uuid PRIMARY KEY,
    code_set    uuid NOT NULL REFERENCES code_sets,
    key         smallint NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE access_codes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid NOT NULL,
    code_set    uuid NOT NULL,
    hash        bytea NOT NULL CHECK (length(hash) = 16),
    -- The first characters, for support: too few to guess the rest.
    prefix      text NOT NULL,
    -- Only this account, or the account with this (normalised) e-mail address, may redeem it.
    account     uuid,
    email_key   text,
    max_uses    integer,
    -- Counted only where there is a limit.
    uses        integer NOT NULL DEFAULT 0,
    revoked_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT access_codes_of_set FOREIGN KEY (event_id, code_set)
        REFERENCES code_sets (event_id, id),
    CONSTRAINT access_codes_hash_key UNIQUE (event_id, hash),
    CONSTRAINT access_codes_uses_within CHECK (uses BETWEEN 0 AND max_uses)
);
CREATE INDEX access_codes_by_set ON access_codes (code_set, id);
CREATE INDEX access_codes_revoked ON access_codes (code_set) WHERE revoked_at IS NOT NULL;

-- Who has redeemed what: once per code and account.
CREATE TABLE access_redemptions (
    code         bigint NOT NULL REFERENCES access_codes,
    account      uuid NOT NULL,
    redeemed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, account)
);

ALTER TABLE offers ADD COLUMN code_set uuid;
ALTER TABLE offers ADD CONSTRAINT offers_code_set FOREIGN KEY (event_id, code_set)
    REFERENCES code_sets (event_id, id);
ALTER TABLE waiting_lanes ADD COLUMN code_set uuid;
ALTER TABLE waiting_lanes ADD CONSTRAINT waiting_lanes_code_set FOREIGN KEY (event_id, code_set)
    REFERENCES code_sets (event_id, id);

-- Uses one of a code's uses for an account, or finds that the account has used it. One of
-- 'redeemed', 'again', 'refused'.
CREATE FUNCTION redeem_code(
    p_event uuid, p_hashes bytea[], p_account uuid, p_email_key text
) RETURNS TABLE (outcome text, code bigint, code_set uuid) LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    SELECT c.id, c.code_set, c.max_uses INTO known
    FROM access_codes c JOIN code_sets s ON s.id = c.code_set
    WHERE c.event_id = p_event AND c.hash = ANY (p_hashes) AND c.revoked_at IS NULL
      AND s.revoked_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > clock_timestamp())
      AND (c.account IS NULL OR c.account = p_account)
      AND (c.email_key IS NULL OR c.email_key = p_email_key);
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'refused', NULL::bigint, NULL::uuid;
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM access_redemptions r
               WHERE r.code = known.id AND r.account = p_account) THEN
        RETURN QUERY SELECT 'again', known.id, known.code_set;
        RETURN;
    END IF;
    IF known.max_uses IS NOT NULL THEN
        -- Whoever comes second waits here for the first, and counts from what the first left.
        UPDATE access_codes c SET uses = c.uses + 1
        WHERE c.id = known.id AND c.uses < c.max_uses AND c.revoked_at IS NULL;
        IF NOT FOUND THEN
            RETURN QUERY SELECT CASE WHEN used THEN 'again' ELSE 'refused' END,
                                CASE WHEN used THEN known.id END,
                                CASE WHEN used THEN known.code_set END
                FROM (SELECT EXISTS (SELECT FROM access_redemptions r
                      WHERE r.code = known.id AND r.account = p_account)) AS q (used);
            RETURN;
        END IF;
    END IF;
    INSERT INTO access_redemptions (code, account) VALUES (known.id, p_account)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN QUERY SELECT 'redeemed', known.id, known.code_set;
        RETURN;
    END IF;
    -- The same account, at the same time: the use that was just counted is none.
    IF known.max_uses IS NOT NULL THEN
        UPDATE access_codes c SET uses = c.uses - 1 WHERE c.id = known.id;
    END IF;
    RETURN QUERY SELECT 'again', known.id, known.code_set;
END $$;

-- A presale registration: who registered in time takes part in a draw; winners get a code.
CREATE TABLE registrations (
    id            uuid PRIMARY KEY,
    event_id      uuid NOT NULL REFERENCES events,
    -- Its number in the event: what is drawn is lane -1 - number (src/waiting_room/draw.rs).
    number        smallint NOT NULL CHECK (number BETWEEN 0 AND 999),
    name          text NOT NULL,
    code_set      uuid NOT NULL,
    opens_at      timestamptz NOT NULL,
    closes_at     timestamptz NOT NULL,
    draw_at       timestamptz NOT NULL,
    winners       integer NOT NULL CHECK (winners BETWEEN 1 AND 1000000),
    seed          bytea NOT NULL CHECK (length(seed) = 32),
    -- The public value that is mixed in, named beforehand and known only after the draw.
    beacon_name   text NOT NULL,
    beacon_round  bigint,
    beacon        text,
    -- Once all places are known: how many took part and won, and the last winner.
    registered    bigint,
    won           bigint,
    last_place    bigint,
    last_account  uuid,
    -- Everybody's outcome is written.
    done_at       timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT registrations_number_key UNIQUE (event_id, number),
    CONSTRAINT registrations_code_set FOREIGN KEY (event_id, code_set)
        REFERENCES code_sets (event_id, id),
    CONSTRAINT registrations_in_order CHECK (opens_at < closes_at AND closes_at <= draw_at)
);
CREATE INDEX registrations_undone ON registrations (draw_at) WHERE done_at IS NULL;

-- What was promised stays, and what was drawn.
CREATE FUNCTION registrations_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.event_id, NEW.number, NEW.code_set, NEW.winners, NEW.seed, NEW.beacon_name,
        NEW.closes_at, NEW.draw_at)
       IS DISTINCT FROM (OLD.event_id, OLD.number, OLD.code_set, OLD.winners, OLD.seed,
                         OLD.beacon_name, OLD.closes_at, OLD.draw_at)
       OR OLD.beacon IS NOT NULL AND NEW.beacon IS DISTINCT FROM OLD.beacon
       OR OLD.registered IS NOT NULL
          AND (NEW.registered, NEW.won, NEW.last_place, NEW.last_account)
              IS DISTINCT FROM (OLD.registered, OLD.won, OLD.last_place, OLD.last_account) THEN
        RAISE EXCEPTION 'a draw only moves forward'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'registrations_forward';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER registrations_forward BEFORE UPDATE ON registrations
    FOR EACH ROW EXECUTE FUNCTION registrations_forward();

-- The row is also the mail's place in the outbox: due as soon as there is an outcome.
CREATE TABLE registrants (
    registration  uuid NOT NULL REFERENCES registrations,
    account       uuid NOT NULL,
    email         text NOT NULL,
    email_key     text NOT NULL,
    locale        text,
    registered_at timestamptz NOT NULL DEFAULT now(),
    place         bigint,
    outcome       text CONSTRAINT registrants_outcome_known CHECK (outcome IN ('won', 'lost')),
    -- A winner's code is computed (src/access/code.rs); with which key.
    code          bigint CONSTRAINT registrants_code_key UNIQUE REFERENCES access_codes,
    key           smallint,
    tries         integer NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    problem       text,
    PRIMARY KEY (registration, account),
    CONSTRAINT registrants_email_key UNIQUE (registration, email_key),
    CONSTRAINT registrants_drawn CHECK (outcome IS NULL OR place IS NOT NULL),
    CONSTRAINT registrants_winners_have_codes CHECK
        (coalesce(outcome = 'won', false) = (code IS NOT NULL AND key IS NOT NULL))
);
CREATE INDEX registrants_unplaced ON registrants (registration, account) WHERE place IS NULL;
CREATE INDEX registrants_ranked ON registrants (registration, place, account)
    WHERE place IS NOT NULL;
CREATE INDEX registrants_untold ON registrants (registration, account) WHERE outcome IS NULL;
CREATE INDEX registrants_due ON registrants (due_at)
    WHERE outcome IS NOT NULL AND sent_at IS NULL;

-- Mails about no order.
ALTER TABLE mailbox ALTER COLUMN order_id DROP NOT NULL;
