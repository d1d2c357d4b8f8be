-- What was sold. Few, narrow rows: at the peak, rows and index entries are the cost.
--
-- One row per batch, not per order, stands for what only workers read: mirror, payment_deadlines
-- and outbox list the orders of one commit in an array.

-- An order takes its hold's id, so this primary key is also the outcome of every hold: a node
-- that died between hold and claim leaves none, and the resolver writes 'abandoned' here, where
-- a claim that still runs would write its order. The key decides which of the two happened.
CREATE TABLE orders (
    id                 uuid PRIMARY KEY,
    event_id           uuid NOT NULL,
    status             text NOT NULL CONSTRAINT orders_status_known CHECK (status IN
                       ('open', 'cancelling', 'paid', 'disputed', 'refund_pending', 'refunded',
                        'released', 'late', 'refund_due', 'abandoned', 'retake')),
    account            uuid NOT NULL,
    email              text,
    -- Lower case, without tags and dots where the provider ignores them: one person, one key.
    email_key          text,
    channel            smallint NOT NULL DEFAULT 0,
    promo              integer,
    currency           text NOT NULL,
    total              bigint NOT NULL CONSTRAINT orders_total_not_negative CHECK (total >= 0),
    -- The places the order has or, once released, had.
    places             integer[] NOT NULL,
    -- [{offer, tier, places, price, fee, tax}]: amounts per place in minor units.
    lines              jsonb NOT NULL,
    -- SHA-256 of the checkout request: the same key with another body is refused.
    digest             bytea NOT NULL,
    accept_equivalent  boolean NOT NULL DEFAULT false,
    pay_by             timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    -- When it was paid, released, or refunded: the last change of status.
    changed_at         timestamptz NOT NULL DEFAULT now(),
    -- The record in Redis, where it isn't named by the order's own id: a late order's re-taken one.
    hold_id            uuid,
    -- Money came after the release and the places were taken again.
    late               boolean NOT NULL DEFAULT false,
    -- Whatever else was asked for: name, locale.
    details            jsonb
) WITH (fillfactor = 85);
CREATE INDEX orders_by_account ON orders (event_id, account);
CREATE INDEX orders_by_email ON orders (event_id, email_key) WHERE email_key IS NOT NULL;

-- Never one seat twice: this primary key.
CREATE TABLE claims (
    event_id    uuid NOT NULL,
    place       integer NOT NULL,
    order_id    uuid NOT NULL,
    sold        boolean NOT NULL DEFAULT false,
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT claims_pkey PRIMARY KEY (event_id, place)
) WITH (fillfactor = 85);

CREATE TABLE claims_history (
    event_id     uuid NOT NULL,
    place        integer NOT NULL,
    order_id     uuid NOT NULL,
    claimed_at   timestamptz NOT NULL,
    released_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason       text NOT NULL
);
CREATE INDEX claims_history_by_place ON claims_history (event_id, place);

-- Live places per offer and live orders per promo code, only where a limit exists.
CREATE TABLE offer_counts (
    event_id  uuid NOT NULL,
    offer     smallint NOT NULL,
    places    integer NOT NULL CONSTRAINT offer_counts_not_negative CHECK (places >= 0),
    PRIMARY KEY (event_id, offer)
) WITH (fillfactor = 50);
CREATE TABLE promo_counts (
    event_id  uuid NOT NULL,
    promo     integer NOT NULL,
    uses      integer NOT NULL CONSTRAINT promo_counts_not_negative CHECK (uses >= 0),
    PRIMARY KEY (event_id, promo)
) WITH (fillfactor = 50);

CREATE TABLE attempts (
    order_id    uuid NOT NULL,
    id          uuid NOT NULL,
    provider    text NOT NULL,
    -- The provider's id; null until it is known.
    reference   text,
    status      text NOT NULL DEFAULT 'open' CONSTRAINT attempts_status_known CHECK
                (status IN ('open', 'processing', 'succeeded', 'cancelled')),
    amount      bigint NOT NULL CHECK (amount > 0),
    currency    text NOT NULL,
    charged     bigint CHECK (charged > 0),
    -- The charge is not for this order as it stands and goes back: another amount, or twice.
    unwanted    boolean NOT NULL DEFAULT false,
    decline     text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, id),
    CONSTRAINT attempts_charged_iff_succeeded CHECK ((status = 'succeeded') = (charged IS NOT NULL))
);
CREATE UNIQUE INDEX attempts_one_open ON attempts (order_id)
    WHERE status IN ('open', 'processing');
CREATE UNIQUE INDEX attempts_one_charge ON attempts (order_id)
    WHERE status = 'succeeded' AND NOT unwanted;
CREATE UNIQUE INDEX attempts_reference_key ON attempts (provider, reference);

CREATE TABLE tickets (
    event_id   uuid NOT NULL,
    place      integer NOT NULL,
    -- Distinguishes the tickets that a place had over time; part of the signed code.
    serial     integer NOT NULL,
    order_id   uuid NOT NULL,
    status     text NOT NULL DEFAULT 'valid' CONSTRAINT tickets_status_known CHECK
               (status IN ('valid', 'used', 'suspended', 'void')),
    issued_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, place, serial)
);
-- Never one seat twice, a second time and independent of the claims.
CREATE UNIQUE INDEX tickets_one_live ON tickets (event_id, place) WHERE status <> 'void';

CREATE TABLE refunds (
    id          uuid PRIMARY KEY,
    order_id    uuid,
    provider    text NOT NULL,
    -- The provider's id of the payment, and of the refund once it exists.
    intent      text NOT NULL,
    reference   text,
    amount      bigint NOT NULL CHECK (amount > 0),
    currency    text NOT NULL,
    reason      text NOT NULL,
    status      text NOT NULL DEFAULT 'due' CONSTRAINT refunds_status_known CHECK
                (status IN ('due', 'pending', 'done', 'failed')),
    tries       integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_by_order ON refunds (order_id);
CREATE INDEX refunds_due ON refunds (due_at) WHERE status IN ('due', 'pending');
CREATE UNIQUE INDEX refunds_reference_key ON refunds (provider, reference);
-- A payment that no order wants is given back once.
CREATE UNIQUE INDEX refunds_stray_key ON refunds (provider, intent) WHERE order_id IS NULL;

CREATE TABLE disputes (
    provider    text NOT NULL,
    reference   text NOT NULL,
    order_id    uuid NOT NULL,
    status      text NOT NULL CHECK (status IN ('open', 'won', 'lost')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, reference)
);

-- The webhook inbox: each event of a provider has one effect.
CREATE TABLE inbox (
    provider     text NOT NULL,
    event_id     text NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);

-- Orders whose records in Redis must follow. The committing process applies and deletes its row;
-- a worker applies what was missed.
CREATE TABLE mirror (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    orders      uuid[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Orders to be looked at when their time to pay is over.
CREATE TABLE payment_deadlines (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due_at  timestamptz NOT NULL,
    orders  uuid[] NOT NULL
);
CREATE INDEX payment_deadlines_due ON payment_deadlines (due_at);

-- What the world must be told, written with the change itself and told after its commit.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('paid', 'released', 'refunded', 'disputed')),
    orders      uuid[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- One message to one buyer, fanned out from the outbox.
CREATE TABLE mails (
    order_id    uuid NOT NULL,
    kind        text NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,
    problem     text,
    PRIMARY KEY (order_id, kind)
);
CREATE INDEX mails_due ON mails (due_at) WHERE sent_at IS NULL;

CREATE FUNCTION orders_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('open', 'cancelling'), ('open', 'paid'),
        ('cancelling', 'paid'), ('cancelling', 'released'),
        ('released', 'late'), ('late', 'paid'), ('late', 'refund_due'),
        ('refund_due', 'refunded'),
        ('paid', 'refund_pending'), ('paid', 'refunded'), ('paid', 'disputed'),
        ('refund_pending', 'refunded'), ('refund_pending', 'paid'),
        ('refund_pending', 'disputed'),
        ('disputed', 'paid'), ('disputed', 'refunded')
    ) THEN
        RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_edge';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_edge BEFORE UPDATE OF status ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_edge();

CREATE FUNCTION attempts_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Money may come although the provider had said that it would not.
    IF NEW.status <> OLD.status AND (OLD.status = 'succeeded'
        OR OLD.status = 'cancelled' AND NEW.status <> 'succeeded'
        OR NEW.status = 'open' AND OLD.status <> 'processing') THEN
        RAISE EXCEPTION 'attempt % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'attempts_edge';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempts_edge BEFORE UPDATE OF status ON attempts
    FOR EACH ROW EXECUTE FUNCTION attempts_edge();

CREATE FUNCTION tickets_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('valid', 'used'), ('valid', 'suspended'), ('valid', 'void'),
        ('suspended', 'valid'), ('suspended', 'void'), ('used', 'void')
    ) THEN
        RAISE EXCEPTION 'a ticket cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tickets_edge';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tickets_edge BEFORE UPDATE OF status ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_edge();
