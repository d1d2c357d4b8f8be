-- What is for sale. Read by every process into memory (src/catalog), so plain and normalised.

CREATE TABLE organizers (
    id          uuid PRIMARY KEY,
    slug        text NOT NULL CONSTRAINT organizers_slug_key UNIQUE,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Keys are shown once; kept is a SHA-256 of a 256-bit random secret, which needs no slow hash.
CREATE TABLE api_keys (
    prefix        text PRIMARY KEY,
    organizer_id  uuid NOT NULL REFERENCES organizers,
    hash          bytea NOT NULL,
    scopes        text[] NOT NULL,
    label         text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    revoked_at    timestamptz
);

CREATE TABLE venues (
    id            uuid PRIMARY KEY,
    organizer_id  uuid NOT NULL REFERENCES organizers,
    name          text NOT NULL,
    address       text NOT NULL,
    time_zone     text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE events (
    id               uuid PRIMARY KEY,
    organizer_id     uuid NOT NULL REFERENCES organizers,
    venue_id         uuid NOT NULL REFERENCES venues,
    slug             text NOT NULL CONSTRAINT events_slug_key UNIQUE,
    name             text NOT NULL,
    description      text NOT NULL DEFAULT '',
    starts_at        timestamptz NOT NULL,
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status           text NOT NULL DEFAULT 'draft' CONSTRAINT events_status_known CHECK
                     (status IN ('draft', 'published', 'on_sale', 'paused', 'closed', 'cancelled')),
    -- Places per buyer, held and bought together; null is no limit. Counted per session when
    -- holding, and per session and per normalised e-mail when claiming.
    account_limit    integer CHECK (account_limit BETWEEN 1 AND 1000),
    -- How long a hold lasts, and to what total it may be extended.
    hold_seconds     integer NOT NULL DEFAULT 480 CHECK (hold_seconds BETWEEN 5 AND 7200),
    hold_max_seconds integer NOT NULL DEFAULT 1200 CHECK (hold_max_seconds >= hold_seconds),
    -- How long a claim waits for its payment.
    pay_seconds      integer NOT NULL DEFAULT 900 CHECK (pay_seconds BETWEEN 5 AND 86400),
    orphan_rule      boolean NOT NULL DEFAULT true,
    focus_x          real NOT NULL DEFAULT 0,
    focus_y          real NOT NULL DEFAULT 0,
    -- Raised by every change that a process must see: its sign to read the event again.
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_by_organizer ON events (organizer_id, id);

-- Which generation of the event's state in Redis is valid, and the node that it was built on.
-- Claims hold this row FOR SHARE to their commit; a rebuild raises the epoch and so drains them.
CREATE TABLE epochs (
    event_id       uuid PRIMARY KEY REFERENCES events,
    epoch          integer NOT NULL DEFAULT 0,
    redis_run_id   text,
    -- The layout of its keys: a program that knows only an older one leaves it alone.
    layout         integer NOT NULL DEFAULT 0,
    claims_frozen  boolean NOT NULL DEFAULT false
);

CREATE TABLE levels (
    event_id  uuid NOT NULL REFERENCES events,
    level     smallint NOT NULL,
    code      text NOT NULL,
    name      text NOT NULL,
    color     text NOT NULL,
    PRIMARY KEY (event_id, level),
    CONSTRAINT levels_code_key UNIQUE (event_id, code)
);

CREATE TABLE sections (
    event_id  uuid NOT NULL REFERENCES events,
    section   smallint NOT NULL,
    code      text NOT NULL,
    name      text NOT NULL,
    area      boolean NOT NULL,
    outline   jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (event_id, section),
    CONSTRAINT sections_code_key UNIQUE (event_id, code)
);

-- A stretch: neighbouring seats of one row, one price level and one class (0 standard,
-- 1 accessible and companion, 2 area); an area is one stretch. It starts on a byte boundary of
-- the bitmaps. Stretches are numbered by pool (level and class), best first; those added to a
-- live event come after all others.
CREATE TABLE stretches (
    event_id  uuid NOT NULL REFERENCES events,
    stretch   integer NOT NULL,
    first     integer NOT NULL CHECK (first % 8 = 0),
    length    integer NOT NULL CHECK (length > 0),
    level     smallint NOT NULL,
    class     smallint NOT NULL CHECK (class BETWEEN 0 AND 2),
    section   smallint NOT NULL,
    PRIMARY KEY (event_id, stretch)
);

-- Places that may be bought through a channel of their own; channel 0 is the public.
CREATE TABLE channels (
    event_id  uuid NOT NULL REFERENCES events,
    channel   smallint NOT NULL CHECK (channel BETWEEN 0 AND 30),
    code      text NOT NULL,
    name      text NOT NULL,
    PRIMARY KEY (event_id, channel),
    CONSTRAINT channels_code_key UNIQUE (event_id, code)
);

CREATE TABLE places (
    event_id    uuid NOT NULL REFERENCES events,
    place       integer NOT NULL CHECK (place >= 0),
    stretch     integer NOT NULL,
    section     smallint NOT NULL,
    level       smallint NOT NULL,
    attributes  smallint NOT NULL DEFAULT 0,
    -- Both null for a unit of an area, which has no printed name.
    row_label   text,
    seat_label  text,
    x           real NOT NULL DEFAULT 0,
    y           real NOT NULL DEFAULT 0,
    killed      boolean NOT NULL DEFAULT false,
    channel     smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (event_id, place),
    FOREIGN KEY (event_id, stretch) REFERENCES stretches,
    FOREIGN KEY (event_id, channel) REFERENCES channels
);

CREATE TABLE price_types (
    event_id    uuid NOT NULL REFERENCES events,
    price_type  smallint NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    PRIMARY KEY (event_id, price_type),
    CONSTRAINT price_types_code_key UNIQUE (event_id, code)
);

CREATE TABLE offers (
    id            uuid PRIMARY KEY,
    event_id      uuid NOT NULL REFERENCES events,
    -- The short name of the offer in Redis, in order lines and in counters.
    offer         smallint NOT NULL,
    name          text NOT NULL,
    level         smallint NOT NULL,
    price_type    smallint NOT NULL,
    channel       smallint NOT NULL DEFAULT 0,
    fee_fixed     bigint NOT NULL DEFAULT 0 CHECK (fee_fixed >= 0),
    fee_bp        integer NOT NULL DEFAULT 0 CHECK (fee_bp BETWEEN 0 AND 10000),
    -- Prices and fees are gross: this is the tax inside them.
    tax_bp        integer NOT NULL DEFAULT 0 CHECK (tax_bp BETWEEN 0 AND 10000),
    starts_at     timestamptz,
    ends_at       timestamptz,
    access_code   text,
    quota         integer CHECK (quota >= 0),
    min_per_order integer NOT NULL DEFAULT 1 CHECK (min_per_order >= 1),
    max_per_order integer NOT NULL DEFAULT 10 CHECK (max_per_order >= min_per_order),
    multiple_of   integer NOT NULL DEFAULT 1 CHECK (multiple_of >= 1),
    -- A package sells this many places for one price.
    package_size  integer NOT NULL DEFAULT 1 CHECK (package_size BETWEEN 1 AND 50),
    active        boolean NOT NULL DEFAULT true,
    CONSTRAINT offers_number_key UNIQUE (event_id, offer),
    FOREIGN KEY (event_id, level) REFERENCES levels,
    FOREIGN KEY (event_id, price_type) REFERENCES price_types,
    FOREIGN KEY (event_id, channel) REFERENCES channels
);

-- An offer's price by steps: the first tier that neither its date nor its count has ended.
CREATE TABLE offer_tiers (
    offer_id     uuid NOT NULL REFERENCES offers ON DELETE CASCADE,
    tier         smallint NOT NULL,
    name         text NOT NULL DEFAULT '',
    price        bigint NOT NULL CHECK (price >= 0),
    until_count  integer CHECK (until_count > 0),
    until        timestamptz,
    PRIMARY KEY (offer_id, tier)
);

CREATE TABLE promo_codes (
    id          uuid PRIMARY KEY,
    event_id    uuid NOT NULL REFERENCES events,
    promo       integer NOT NULL,
    -- Upper case, without spaces: as it is compared.
    code        text NOT NULL,
    percent_bp  integer NOT NULL DEFAULT 0 CHECK (percent_bp BETWEEN 0 AND 10000),
    amount_off  bigint NOT NULL DEFAULT 0 CHECK (amount_off >= 0),
    -- Orders that may use it, counted from the hold on.
    max_uses    integer CHECK (max_uses >= 0),
    starts_at   timestamptz,
    ends_at     timestamptz,
    active      boolean NOT NULL DEFAULT true,
    CONSTRAINT promo_codes_number_key UNIQUE (event_id, promo),
    CONSTRAINT promo_codes_code_key UNIQUE (event_id, code)
);

-- The events' legal steps. Cancelled is final; a closed sale may open again.
CREATE FUNCTION events_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('draft', 'published'), ('draft', 'on_sale'), ('draft', 'cancelled'),
        ('published', 'draft'), ('published', 'on_sale'), ('published', 'cancelled'),
        ('on_sale', 'paused'), ('on_sale', 'closed'), ('on_sale', 'cancelled'),
        ('paused', 'on_sale'), ('paused', 'closed'), ('paused', 'cancelled'),
        ('closed', 'on_sale'), ('closed', 'cancelled')
    ) THEN
        RAISE EXCEPTION 'an event cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'events_edge';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER events_edge BEFORE UPDATE OF status ON events
    FOR EACH ROW EXECUTE FUNCTION events_edge();
