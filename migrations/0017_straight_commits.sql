-- The two commits of every purchase do the same with less.
--
-- - A batch's arrays are unnested, which tells the planner how many rows there are (it takes
--   `generate_subscripts` for a thousand), and finds no text by walking through those before it.
-- - Whether anybody has lost is found by counting. Only if so it is asked who.
-- - The two edges that each purchase goes along need no function to be found legal.

-- The places of the order at position `i` of the batch are p_place[p_from[i]:p_to[i]], in order.
-- The function that is not told where they are (0012) stays for processes that this upgrade will
-- replace.
CREATE FUNCTION claim_orders(
    p_id uuid[], p_event uuid[], p_epoch integer[], p_account uuid[], p_email text[],
    p_email_key text[], p_channel smallint[], p_promo integer[], p_currency text[],
    p_total bigint[], p_lines jsonb[], p_digest bytea[], p_accept boolean[],
    p_pay_seconds integer[], p_details jsonb[],
    p_attempt uuid[], p_provider text[], p_reference text[],
    p_from integer[], p_to integer[], p_place_of integer[], p_place integer[]
) RETURNS TABLE (position_in_batch integer, outcome text, missed integer[], mirror_id bigint,
                 claimed_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    v_outcome text[];
    v_claimed integer;
    v_born uuid[];
    v_places integer;
    v_rows integer;
    v_missed_of integer[];
    v_missed integer[];
    v_mirror bigint;
    v_alive uuid[];
    v_over uuid[];
    v_over_outcome text[];
    v_limited boolean;
    v_counted boolean;
BEGIN
    PERFORM 1 FROM epochs e WHERE e.event_id = ANY (p_event) ORDER BY e.event_id FOR SHARE;
    SELECT array_agg(CASE WHEN e.epoch IS DISTINCT FROM b.epoch THEN 'stale'
                          WHEN e.claims_frozen THEN 'frozen' ELSE 'claimed' END ORDER BY b.i),
           count(*) FILTER (WHERE e.epoch = b.epoch AND NOT e.claims_frozen),
           coalesce(sum(b.places) FILTER (WHERE e.epoch = b.epoch AND NOT e.claims_frozen), 0)
    INTO v_outcome, v_claimed, v_places
    FROM (SELECT u.*, u.upto - u.since + 1 AS places
          FROM unnest(p_event, p_epoch, p_from, p_to) WITH ORDINALITY
               u (event_id, epoch, since, upto, i)) b
    LEFT JOIN LATERAL (SELECT x.epoch, x.claims_frozen FROM epochs x
                       WHERE x.event_id = b.event_id OFFSET 0) e ON true;

    WITH born AS (
        INSERT INTO orders (id, event_id, status, account, email, email_key, channel, promo,
                            currency, total, places, lines, digest, accept_equivalent, pay_by,
                            details)
        SELECT n.id, n.event, 'open', n.account, n.email, n.email_key, n.channel, n.promo,
               n.currency, n.total, p_place[n.since:n.upto], n.lines, n.digest, n.accept,
               now() + make_interval(secs => n.pay_seconds), n.details
        FROM unnest(v_outcome, p_id, p_event, p_account, p_email, p_email_key, p_channel,
                    p_promo, p_currency, p_total, p_from, p_to, p_lines, p_digest, p_accept,
                    p_pay_seconds, p_details)
             n (outcome, id, event, account, email, email_key, channel,
                promo, currency, total, since, upto, lines, digest, accept,
                pay_seconds, details)
        WHERE n.outcome = 'claimed' ORDER BY n.id
        ON CONFLICT (id) DO NOTHING RETURNING id
    )
    SELECT array_agg(b.id) INTO v_born FROM born b;
    IF coalesce(cardinality(v_born), 0) < v_claimed THEN
        SELECT array_agg(CASE WHEN u.outcome = 'claimed' AND u.id <> ALL (coalesce(v_born, '{}'))
                              THEN 'exists' ELSE u.outcome END ORDER BY u.i)
        INTO v_outcome
        FROM unnest(v_outcome, p_id) WITH ORDINALITY u (outcome, id, i);
        SELECT coalesce(sum(u.upto - u.since + 1), 0) INTO v_places
        FROM unnest(v_outcome, p_from, p_to) u (outcome, since, upto)
        WHERE u.outcome = 'claimed';
    END IF;

    INSERT INTO claims (event_id, place, order_id)
    SELECT p_event[x.o], x.place, p_id[x.o] FROM unnest(p_place_of, p_place) x (o, place)
    WHERE v_outcome[x.o] = 'claimed' ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_rows = ROW_COUNT;

    IF v_rows < v_places THEN
        SELECT array_agg(x.o), array_agg(x.place) INTO v_missed_of, v_missed
        FROM unnest(p_place_of, p_place) x (o, place)
        WHERE v_outcome[x.o] = 'claimed' AND NOT EXISTS (
            SELECT FROM claims c
            WHERE c.event_id = p_event[x.o] AND c.place = x.place AND c.order_id = p_id[x.o]);
        SELECT array_agg(CASE WHEN u.i = ANY (v_missed_of) THEN 'taken' ELSE u.outcome END
                         ORDER BY u.i)
        INTO v_outcome FROM unnest(v_outcome) WITH ORDINALITY u (outcome, i);
        -- Losers leave before anything is counted.
        DELETE FROM claims c USING unnest(p_place_of, p_place) x (o, place)
        WHERE v_outcome[x.o] = 'taken' AND c.event_id = p_event[x.o] AND c.place = x.place
          AND c.order_id = p_id[x.o];
        DELETE FROM orders o USING unnest(v_outcome, p_id) u (outcome, id)
        WHERE u.outcome = 'taken' AND o.id = u.id;
    END IF;

    SELECT array_agg(u.id) INTO v_alive
    FROM unnest(v_outcome, p_id) u (outcome, id) WHERE u.outcome = 'claimed';
    -- Most events count nothing here, and limit nobody.
    v_limited := EXISTS (SELECT FROM events e WHERE e.id = ANY (p_event)
                         AND e.account_limit IS NOT NULL);
    v_counted := EXISTS (SELECT FROM unnest(p_promo) p (promo) WHERE promo IS NOT NULL)
        OR EXISTS (SELECT FROM offers f WHERE f.event_id = ANY (p_event) AND f.quota IS NOT NULL);
    IF v_counted THEN
        PERFORM count_orders(v_alive, 1);
    END IF;
    IF v_counted OR v_limited THEN
        SELECT array_agg(l.id), array_agg(l.outcome) INTO v_over, v_over_outcome
        FROM over_limit(v_alive) l;
    END IF;
    IF v_over IS NOT NULL THEN
        PERFORM count_orders(v_over, -1);
        SELECT array_agg(coalesce(v_over_outcome[array_position(v_over, u.id)], u.outcome)
                         ORDER BY u.i)
        INTO v_outcome FROM unnest(v_outcome, p_id) WITH ORDINALITY u (outcome, id, i);
        DELETE FROM claims c USING places_of(v_over) w
        WHERE c.event_id = w.event_id AND c.place = w.place AND c.order_id = w.id;
        DELETE FROM orders o WHERE o.id = ANY (v_over);
        SELECT array_agg(u.id) INTO v_alive
        FROM unnest(v_outcome, p_id) u (outcome, id) WHERE u.outcome = 'claimed';
    END IF;

    IF v_alive IS NOT NULL THEN
        INSERT INTO attempts (order_id, id, provider, reference, amount, currency)
        SELECT u.id, u.attempt, u.provider, u.reference, u.total, u.currency
        FROM unnest(v_outcome, p_id, p_attempt, p_provider, p_reference, p_total, p_currency)
             u (outcome, id, attempt, provider, reference, total, currency)
        WHERE u.outcome = 'claimed' AND u.total > 0
        ORDER BY u.id;
        INSERT INTO mirror (orders) VALUES (v_alive) RETURNING id INTO v_mirror;
        INSERT INTO payment_deadlines (due_at, orders)
        SELECT now() + make_interval(secs => min(u.pay_seconds)), v_alive
        FROM unnest(v_outcome, p_pay_seconds) u (outcome, pay_seconds)
        WHERE u.outcome = 'claimed';
    END IF;

    IF v_missed_of IS NULL THEN
        RETURN QUERY
            SELECT u.i::integer, u.outcome, ARRAY[]::integer[], v_mirror, now()
            FROM unnest(v_outcome) WITH ORDINALITY u (outcome, i);
    ELSE
        RETURN QUERY
            SELECT u.i::integer, u.outcome,
                   ARRAY (SELECT m.place FROM unnest(v_missed_of, v_missed) m (o, place)
                          WHERE m.o = u.i ORDER BY m.place),
                   v_mirror, now()
            FROM unnest(v_outcome) WITH ORDINALITY u (outcome, i);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION settle_charges(
    p_provider text[], p_event text[], p_order uuid[], p_attempt uuid[], p_reference text[],
    p_charged bigint[], p_currency text[]
) RETURNS TABLE (position_in_batch integer, outcome text, mirror_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_news integer;
    v_new_provider text[];
    v_new_event text[];
    v_fresh boolean[];
    v_outcome text[];
    v_paid uuid[];
    v_order_of uuid[];
    v_event_of uuid[];
    v_place integer[];
    v_sold integer;
    v_mirror bigint;
BEGIN
    SELECT count(u.event) INTO v_news FROM unnest(p_event) u (event);
    WITH born AS (
        INSERT INTO inbox (provider, event_id)
        SELECT u.provider, u.event FROM unnest(p_provider, p_event) u (provider, event)
        WHERE u.event IS NOT NULL ORDER BY 1, 2
        ON CONFLICT DO NOTHING RETURNING provider, event_id
    )
    SELECT array_agg(b.provider), array_agg(b.event_id) INTO v_new_provider, v_new_event
    FROM born b;
    IF coalesce(cardinality(v_new_event), 0) = v_news THEN
        v_fresh := array_fill(true, ARRAY[cardinality(p_order)]);
    ELSE
        SELECT array_agg(u.event IS NULL OR EXISTS (
                   SELECT FROM unnest(v_new_provider, v_new_event) b (provider, event)
                   WHERE b.provider = u.provider AND b.event = u.event) ORDER BY u.i)
        INTO v_fresh
        FROM unnest(p_provider, p_event) WITH ORDINALITY u (provider, event, i);
    END IF;

    PERFORM 1 FROM orders o WHERE o.id = ANY (p_order) ORDER BY o.id FOR UPDATE;

    SELECT array_agg(CASE
        WHEN NOT u.fresh THEN 'duplicate'
        WHEN o.status IS NULL THEN 'unknown'
        -- A total of zero has no attempt: the order itself is what settles.
        WHEN o.total = 0 AND u.charged = 0 THEN
            CASE WHEN o.status = 'open' THEN 'paid' ELSE 'already' END
        WHEN a.status IS NULL THEN 'unknown'
        WHEN a.status = 'succeeded' THEN 'already'
        WHEN a.status = 'cancelled' AND o.status <> 'released' THEN 'contradiction'
        WHEN u.charged <> o.total OR u.currency <> o.currency THEN 'unwanted'
        WHEN o.status IN ('open', 'cancelling') THEN 'paid'
        WHEN o.status = 'released' THEN 'late'
        ELSE 'unwanted' END ORDER BY u.i)
    INTO v_outcome
    FROM unnest(p_order, p_attempt, p_charged, p_currency, v_fresh) WITH ORDINALITY
         u (id, attempt, charged, currency, fresh, i)
    -- OFFSET 0: one by one, whatever the planner thinks of a sale's size.
    LEFT JOIN LATERAL (SELECT x.status, x.total, x.currency FROM orders x
                       WHERE x.id = u.id OFFSET 0) o ON true
    LEFT JOIN LATERAL (SELECT x.status FROM attempts x
                       WHERE x.order_id = u.id AND x.id = u.attempt OFFSET 0) a ON true;

    UPDATE attempts a
    SET status = 'succeeded', charged = u.charged, unwanted = u.outcome = 'unwanted',
        reference = coalesce(a.reference, u.reference), changed_at = now()
    FROM unnest(v_outcome, p_order, p_attempt, p_reference, p_charged)
         u (outcome, id, attempt, reference, charged)
    WHERE u.outcome IN ('paid', 'late', 'unwanted') AND u.charged > 0
      AND a.order_id = u.id AND a.id = u.attempt;
    IF 'unwanted' = ANY (v_outcome) THEN
        INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
        SELECT gen_random_uuid(), u.id, u.provider, u.reference, u.charged, u.currency, 'unwanted'
        FROM unnest(v_outcome, p_order, p_provider, p_reference, p_charged, p_currency)
             u (outcome, id, provider, reference, charged, currency)
        WHERE u.outcome = 'unwanted';
    END IF;
    IF 'late' = ANY (v_outcome) THEN
        UPDATE orders o SET status = 'late', changed_at = now()
        FROM unnest(v_outcome, p_order) u (outcome, id)
        WHERE u.outcome = 'late' AND o.id = u.id;
        INSERT INTO payment_deadlines (due_at, orders)
        SELECT now(), array_agg(u.id)
        FROM unnest(v_outcome, p_order) u (outcome, id) WHERE u.outcome = 'late';
    END IF;

    SELECT array_agg(u.id) INTO v_paid
    FROM unnest(v_outcome, p_order) u (outcome, id) WHERE u.outcome = 'paid';
    IF v_paid IS NOT NULL THEN
        SELECT array_agg(w.id), array_agg(w.event_id), array_agg(w.place)
        INTO v_order_of, v_event_of, v_place FROM places_of(v_paid) w;
        UPDATE claims c SET sold = true
        FROM unnest(v_order_of, v_event_of, v_place) w (id, event_id, place)
        WHERE c.event_id = w.event_id AND c.place = w.place AND c.order_id = w.id;
        GET DIAGNOSTICS v_sold = ROW_COUNT;
        IF v_sold IS DISTINCT FROM cardinality(v_place) THEN
            RAISE EXCEPTION 'an unpaid order has lost claims: %', v_paid;
        END IF;
        UPDATE orders o SET status = 'paid', changed_at = now() WHERE o.id = ANY (v_paid);
        PERFORM issue_tickets(v_order_of, v_event_of, v_place);
        INSERT INTO outbox (kind, orders) VALUES ('paid', v_paid);
        INSERT INTO mirror (orders) VALUES (v_paid) RETURNING id INTO v_mirror;
    END IF;

    RETURN QUERY
        SELECT u.i::integer, u.outcome, v_mirror
        FROM unnest(v_outcome) WITH ORDINALITY u (outcome, i);
END $$;

-- Of places in the order of their events, to whom they belong. Most have never had a ticket: those
-- that had are found because the first number is taken.
CREATE OR REPLACE FUNCTION issue_tickets(p_order uuid[], p_event uuid[], p_place integer[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_event uuid[];
    v_place integer[];
BEGIN
    WITH born AS (
        INSERT INTO tickets (event_id, place, serial, order_id)
        SELECT w.event_id, w.place, 1, w.id
        FROM unnest(p_order, p_event, p_place) w (id, event_id, place)
        ON CONFLICT (event_id, place, serial) DO NOTHING RETURNING event_id, place
    )
    SELECT array_agg(b.event_id), array_agg(b.place) INTO v_event, v_place FROM born b;
    IF coalesce(cardinality(v_place), 0) < cardinality(p_place) THEN
        INSERT INTO tickets (event_id, place, serial, order_id)
        SELECT w.event_id, w.place,
               (SELECT max(t.serial) FROM tickets t
                WHERE t.event_id = w.event_id AND t.place = w.place) + 1,
               w.id
        FROM unnest(p_order, p_event, p_place) w (id, event_id, place)
        WHERE NOT EXISTS (SELECT FROM unnest(v_event, v_place) b (event_id, place)
                          WHERE b.event_id = w.event_id AND b.place = w.place);
    END IF;
END $$;

DROP TRIGGER orders_edge ON orders;
CREATE TRIGGER orders_edge BEFORE UPDATE OF status ON orders
    FOR EACH ROW WHEN (NOT (OLD.status = 'open' AND NEW.status = 'paid'))
    EXECUTE FUNCTION orders_edge();
DROP TRIGGER attempts_edge ON attempts;
CREATE TRIGGER attempts_edge BEFORE UPDATE OF status ON attempts
    FOR EACH ROW WHEN (NOT (OLD.status = 'open' AND NEW.status = 'succeeded'))
    EXECUTE FUNCTION attempts_edge();

-- The mailbox stands for a relay: what it forgets in a crash was delivered. Packing each mail was
-- half of what it cost, and most are small enough for a page.
ALTER TABLE mailbox SET UNLOGGED;
ALTER TABLE mailbox ALTER message SET STORAGE EXTERNAL;
ALTER TABLE mailbox SET (toast_tuple_target = 8160);

-- Each row is changed once, when its order is paid. With room for that in its page no index has to
-- be told.
ALTER TABLE orders SET (fillfactor = 50);
ALTER TABLE claims SET (fillfactor = 50);
