-- The waiting room: nothing per anonymous visitor; a row per account in line, per call, per pass.

CREATE TABLE waiting_rooms (
    event_id       uuid PRIMARY KEY REFERENCES events,
    -- 'open' follows the lanes' times; 'lifted': everybody may shop without waiting.
    state          text NOT NULL DEFAULT 'open' CONSTRAINT waiting_rooms_state_known CHECK
                   (state IN ('open', 'paused', 'closed', 'lifted')),
    -- False: the line drains; nobody new joins it.
    joining        boolean NOT NULL DEFAULT true,
    -- Shown to who waits.
    message        text NOT NULL DEFAULT '',
    -- Shoppers inside, and how many may come in per minute.
    target_inside  integer NOT NULL DEFAULT 500 CHECK (target_inside BETWEEN 1 AND 1000000),
    per_minute     integer NOT NULL DEFAULT 3000 CHECK (per_minute BETWEEN 1 AND 6000000),
    -- The most that was ever allowed: what the auditor holds the admissions to.
    per_minute_max integer NOT NULL DEFAULT 0,
    -- How long a turn waits to be taken, and how long a pass lasts.
    turn_seconds   integer NOT NULL DEFAULT 120 CHECK (turn_seconds BETWEEN 5 AND 3600),
    pass_seconds   integer NOT NULL DEFAULT 600 CHECK (pass_seconds BETWEEN 10 AND 7200),
    -- Who misses a turn gets one more later, or goes to the back.
    missed         text NOT NULL DEFAULT 'second_chance' CONSTRAINT waiting_rooms_missed_known
                   CHECK (missed IN ('second_chance', 'back')),
    -- Whether anonymous visitors prove work when they join.
    proof          boolean NOT NULL DEFAULT true,
    version        bigint NOT NULL DEFAULT 1,
    -- When the admission controller, whichever process it was, last decided.
    decided_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- A lane is a line of its own, with its own draw. A place in it is one number: below 2^62 it was
-- drawn, from there on it is 2^62 and the number that late-comers get. Places below `serving`
-- have been called.
CREATE TABLE waiting_lanes (
    event_id      uuid NOT NULL REFERENCES waiting_rooms,
    lane          smallint NOT NULL CHECK (lane BETWEEN 0 AND 30),
    code          text NOT NULL,
    name          text NOT NULL,
    kind          text NOT NULL CONSTRAINT waiting_lanes_kind_known CHECK
                  (kind IN ('general', 'presale', 'accessible')),
    -- Who has no such code can't join.
    access_code   text,
    -- Of the admissions, while others wait as well.
    share         integer NOT NULL DEFAULT 100 CHECK (share BETWEEN 1 AND 1000),
    joins_at      timestamptz NOT NULL DEFAULT now(),
    -- Until then it doesn't matter when one joins.
    draw_at       timestamptz NOT NULL,
    opens_at      timestamptz NOT NULL,
    closes_at     timestamptz,
    seed          bytea NOT NULL CHECK (length(seed) = 32),
    -- The public value that is mixed in, named beforehand and known only after the draw.
    beacon_name   text NOT NULL,
    beacon_round  bigint,
    beacon        text,
    serving       bigint NOT NULL DEFAULT 0,
    -- Numbers from here on were never given; 4611686018427387904 is 2^62.
    ceiling       bigint NOT NULL DEFAULT 4611686018427387904,
    -- The last number that was seen to be given.
    numbered      bigint NOT NULL DEFAULT 4611686018427387904,
    -- Estimates: who joined the draw (and how many of these were counted before Redis was lost),
    -- and who was called.
    joined        bigint NOT NULL DEFAULT 0,
    joined_base   bigint NOT NULL DEFAULT 0,
    called        double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (event_id, lane),
    CONSTRAINT waiting_lanes_code_key UNIQUE (event_id, code),
    CONSTRAINT waiting_lanes_opens_after_draw CHECK (opens_at >= draw_at AND draw_at >= joins_at)
);

-- Nobody is called back, no number is given twice, and what was drawn with stays: once ranks are
-- known, nobody can join the draw any more.
CREATE FUNCTION waiting_lanes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.serving < OLD.serving OR NEW.ceiling < OLD.ceiling OR NEW.seed <> OLD.seed
       OR NEW.beacon_name <> OLD.beacon_name
       OR OLD.beacon IS NOT NULL AND (NEW.beacon IS DISTINCT FROM OLD.beacon
                                      OR NEW.draw_at <> OLD.draw_at) THEN
        RAISE EXCEPTION 'a line only moves forward'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'waiting_lanes_forward';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER waiting_lanes_forward BEFORE UPDATE ON waiting_lanes
    FOR EACH ROW EXECUTE FUNCTION waiting_lanes_forward();

-- When which places were called: says how long a turn lasts. Pruned.
CREATE TABLE waiting_calls (
    event_id  uuid NOT NULL,
    lane      smallint NOT NULL,
    -- What `serving` was raised to, when, and how many had been called by then.
    place     bigint NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    called    double precision NOT NULL,
    PRIMARY KEY (event_id, lane, place)
);

-- One place per account, on whatever device. Null: in the draw.
CREATE TABLE waiting_places (
    event_id   uuid NOT NULL,
    account    uuid NOT NULL,
    lane       smallint NOT NULL,
    place      bigint,
    joined_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, account)
);

-- Turns that were taken. The place is the turn's name: each is exchanged once.
CREATE TABLE passes (
    id          uuid PRIMARY KEY,
    event_id    uuid NOT NULL,
    lane        smallint NOT NULL,
    subject     uuid NOT NULL,
    place       bigint NOT NULL,
    issued_at   timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    reason      text CONSTRAINT passes_reason_known CHECK
                (reason IN ('bought', 'gave_up', 'timed_out', 'revoked')),
    CONSTRAINT passes_one_per_turn UNIQUE (event_id, subject, place),
    CONSTRAINT passes_ended_for_a_reason CHECK ((ended_at IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX passes_one_live ON passes (event_id, subject) WHERE ended_at IS NULL;
CREATE INDEX passes_inside ON passes (event_id, expires_at) WHERE ended_at IS NULL;
CREATE INDEX passes_ended ON passes (event_id, ended_at) WHERE ended_at IS NOT NULL;

-- How the processes are doing, for the admission controller. Old rows are nobody's.
CREATE UNLOGGED TABLE node_reports (
    node         uuid PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    checkout_ms  double precision NOT NULL,
    errors       double precision NOT NULL
);

CREATE FUNCTION waiting_rooms_max() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.per_minute_max := greatest(NEW.per_minute_max, NEW.per_minute);
    RETURN NEW;
END $$;
CREATE TRIGGER waiting_rooms_max BEFORE INSERT OR UPDATE ON waiting_rooms
    FOR EACH ROW EXECUTE FUNCTION waiting_rooms_max();

-- Accounts take their places: the place they have, if they have one.
CREATE FUNCTION join_accounts(
    p_event uuid[], p_lane smallint[], p_account uuid[], p_place bigint[]
) RETURNS TABLE (job integer, lane smallint, place bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO waiting_places (event_id, account, lane, place)
    SELECT j.event_id, j.account, j.lane, j.place
    FROM unnest(p_event, p_lane, p_account, p_place) AS j (event_id, lane, account, place)
    ORDER BY j.event_id, j.account
    ON CONFLICT (event_id, account) DO NOTHING;
    RETURN QUERY
        SELECT j.job::integer, w.lane, w.place
        FROM unnest(p_event, p_account) WITH ORDINALITY AS j (event_id, account, job)
        JOIN waiting_places w ON w.event_id = j.event_id AND w.account = j.account
        ORDER BY j.job;
END $$;

-- Turns become passes. 'issued': the pass of this turn, new or asked for again; 'inside': the
-- subject is inside with another one; 'spent': this turn's pass has ended.
CREATE FUNCTION exchange_passes(
    p_id uuid[], p_event uuid[], p_lane smallint[], p_subject uuid[], p_place bigint[],
    p_seconds integer[]
) RETURNS TABLE (job integer, outcome text, id uuid, expires_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE passes p SET ended_at = p.expires_at, reason = 'timed_out'
    FROM unnest(p_event, p_subject) AS j (event_id, subject)
    WHERE p.event_id = j.event_id AND p.subject = j.subject AND p.ended_at IS NULL
      AND p.expires_at <= now();
    INSERT INTO passes (id, event_id, lane, subject, place, expires_at)
    SELECT j.id, j.event_id, j.lane, j.subject, j.place, now() + make_interval(secs => j.seconds)
    FROM unnest(p_id, p_event, p_lane, p_subject, p_place, p_seconds)
         AS j (id, event_id, lane, subject, place, seconds)
    ORDER BY j.event_id, j.subject
    ON CONFLICT DO NOTHING;
    RETURN QUERY
        SELECT j.job::integer,
               CASE WHEN p.place = j.place AND p.ended_at IS NULL THEN 'issued'
                    WHEN p.ended_at IS NULL THEN 'inside' ELSE 'spent' END,
               p.id, p.expires_at
        FROM unnest(p_event, p_subject, p_place) WITH ORDINALITY
             AS j (event_id, subject, place, job)
        CROSS JOIN LATERAL (
            SELECT q.* FROM passes q
            WHERE q.event_id = j.event_id AND q.subject = j.subject
              AND (q.place = j.place OR q.ended_at IS NULL)
            ORDER BY q.ended_at IS NOT NULL, q.place = j.place DESC LIMIT 1
        ) p
        ORDER BY j.job;
END $$;
