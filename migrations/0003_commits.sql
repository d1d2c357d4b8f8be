-- The commits that move places and money, one function per step of an order's life.
--
-- Each takes a batch (arrays of equal length), answers every member on its own, and takes its
-- locks in one order everywhere, so that batches never deadlock one another:
-- epochs by event, orders by id, claims by (event, place), then counters by key.
-- Each is a series of separate statements, not one statement of CTEs: CTEs share one snapshot
-- and would not see what another transaction committed while this one waited for its locks.

-- The statuses in which an order has a grip on its places.
CREATE FUNCTION has_claims(status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT status IN ('open', 'cancelling', 'paid', 'disputed', 'refund_pending') $$;

-- The places of orders. In PL/pgSQL, and so opaque to the planner, on purpose: with the arrays in
-- sight it takes every place of an event for a candidate and scans all of the event's claims.
CREATE FUNCTION places_of(p_orders uuid[])
RETURNS TABLE (id uuid, event_id uuid, place integer) LANGUAGE plpgsql STABLE ROWS 10 AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.event_id, p.place FROM orders o CROSS JOIN unnest(o.places) AS p (place)
        WHERE o.id = ANY (p_orders) ORDER BY o.event_id, p.place;
END $$;

-- Adds (sign 1) or takes back (sign -1) what these orders count for limited offers and promos.
CREATE FUNCTION count_orders(p_orders uuid[], p_sign integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO offer_counts AS c (event_id, offer, places)
    SELECT o.event_id, f.offer, 0
    FROM orders o CROSS JOIN jsonb_array_elements(o.lines) l
    JOIN offers f ON f.event_id = o.event_id AND f.offer = (l->>'offer')::smallint
    WHERE o.id = ANY (p_orders) AND f.quota IS NOT NULL
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT DO NOTHING;

    UPDATE offer_counts c SET places = c.places + p_sign * n.places
    FROM (
        SELECT o.event_id, f.offer, sum(jsonb_array_length(l->'places'))::integer AS places
        FROM orders o CROSS JOIN jsonb_array_elements(o.lines) l
        JOIN offers f ON f.event_id = o.event_id AND f.offer = (l->>'offer')::smallint
        WHERE o.id = ANY (p_orders) AND f.quota IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1, 2
    ) n
    WHERE c.event_id = n.event_id AND c.offer = n.offer;

    INSERT INTO promo_counts AS c (event_id, promo, uses)
    SELECT o.event_id, o.promo, greatest(0, p_sign * count(*)::integer)
    FROM orders o WHERE o.id = ANY (p_orders) AND o.promo IS NOT NULL
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (event_id, promo) DO UPDATE SET uses = c.uses + (
        SELECT p_sign * count(*)::integer FROM orders o
        WHERE o.id = ANY (p_orders) AND o.event_id = c.event_id AND o.promo = c.promo);
END $$;

-- Those of these orders that are over a limit: 'limit', 'quota' or 'promo'. Their own places are
-- counted already; whoever calls holds the counters' locks.
CREATE FUNCTION over_limit(p_orders uuid[]) RETURNS TABLE (id uuid, outcome text)
LANGUAGE plpgsql AS $$
DECLARE
    v_key bigint;
BEGIN
    IF EXISTS (SELECT FROM orders o JOIN events e ON e.id = o.event_id
               WHERE o.id = ANY (p_orders) AND e.account_limit IS NOT NULL) THEN
        -- Two batches with the same buyer: the second waits here and then sees the first.
        FOR v_key IN
            SELECT DISTINCT hashtextextended(o.event_id::text || k, 0) AS key
            FROM orders o CROSS JOIN unnest(ARRAY[o.account::text, o.email_key]) k
            WHERE o.id = ANY (p_orders) AND k IS NOT NULL ORDER BY key
        LOOP
            PERFORM pg_advisory_xact_lock(v_key);
        END LOOP;
        RETURN QUERY
            SELECT o.id, 'limit' FROM orders o JOIN events e ON e.id = o.event_id
            WHERE o.id = ANY (p_orders) AND e.account_limit IS NOT NULL AND e.account_limit <
                greatest(
                    (SELECT sum(cardinality(a.places)) FROM orders a
                     WHERE a.event_id = o.event_id AND a.account = o.account
                       AND has_claims(a.status)),
                    (SELECT sum(cardinality(a.places)) FROM orders a
                     WHERE a.event_id = o.event_id AND a.email_key = o.email_key
                       AND has_claims(a.status)));
    END IF;
    RETURN QUERY
        SELECT DISTINCT o.id, 'quota'
        FROM orders o CROSS JOIN jsonb_array_elements(o.lines) l
        JOIN offers f ON f.event_id = o.event_id AND f.offer = (l->>'offer')::smallint
        JOIN offer_counts c ON c.event_id = f.event_id AND c.offer = f.offer
        WHERE o.id = ANY (p_orders) AND c.places > f.quota;
    RETURN QUERY
        SELECT o.id, 'promo' FROM orders o
        JOIN promo_codes p ON p.event_id = o.event_id AND p.promo = o.promo
        JOIN promo_counts c ON c.event_id = p.event_id AND c.promo = p.promo
        WHERE o.id = ANY (p_orders) AND c.uses > p.max_uses;
END $$;

-- Checkout: the claim. Outcomes: 'claimed'; 'exists' (an order or 'abandoned' has this id: read
-- it); 'stale' (another epoch); 'frozen'; 'taken' with the missed places; 'limit'; 'quota';
-- 'promo'. In a batch of several, a loser may have lost to another loser: run it again alone.
CREATE FUNCTION claim_orders(
    p_id uuid[], p_event uuid[], p_epoch integer[], p_account uuid[], p_email text[],
    p_email_key text[], p_channel smallint[], p_promo integer[], p_currency text[],
    p_total bigint[], p_lines jsonb[], p_digest bytea[], p_accept boolean[],
    p_pay_seconds integer[], p_details jsonb[],
    p_attempt uuid[], p_provider text[], p_reference text[],
    p_place_of integer[], p_place integer[]
) RETURNS TABLE (position_in_batch integer, outcome text, missed integer[], mirror_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_outcome text[];
    v_missed_of integer[];
    v_missed integer[];
    v_mirror bigint;
    v_alive uuid[];
    v_over uuid[];
    v_over_outcome text[];
BEGIN
    PERFORM 1 FROM epochs e WHERE e.event_id = ANY (p_event) ORDER BY e.event_id FOR SHARE;
    SELECT array_agg(CASE WHEN e.epoch IS DISTINCT FROM b.epoch THEN 'stale'
                          WHEN e.claims_frozen THEN 'frozen' ELSE 'claimed' END ORDER BY b.i)
    INTO v_outcome
    FROM unnest(p_event, p_epoch) WITH ORDINALITY b (event_id, epoch, i)
    LEFT JOIN epochs e ON e.event_id = b.event_id;

    WITH born AS (
        INSERT INTO orders (id, event_id, status, account, email, email_key, channel, promo,
                            currency, total, places, lines, digest, accept_equivalent, pay_by,
                            details)
        SELECT p_id[i], p_event[i], 'open', p_account[i], p_email[i], p_email_key[i],
               p_channel[i], p_promo[i], p_currency[i], p_total[i],
               ARRAY (SELECT x.place FROM unnest(p_place_of, p_place) x (o, place)
                      WHERE x.o = i ORDER BY x.place),
               p_lines[i], p_digest[i], p_accept[i],
               now() + make_interval(secs => p_pay_seconds[i]), p_details[i]
        FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed' ORDER BY p_id[i]
        ON CONFLICT (id) DO NOTHING RETURNING id
    )
    SELECT array_agg(CASE WHEN v_outcome[i] = 'claimed' AND b.id IS NULL THEN 'exists'
                          ELSE v_outcome[i] END ORDER BY i)
    INTO v_outcome
    FROM generate_subscripts(p_id, 1) i LEFT JOIN born b ON b.id = p_id[i];

    WITH born AS (
        INSERT INTO claims (event_id, place, order_id)
        SELECT p_event[x.o], x.place, p_id[x.o] FROM unnest(p_place_of, p_place) x (o, place)
        WHERE v_outcome[x.o] = 'claimed' ORDER BY 1, 2
        ON CONFLICT DO NOTHING RETURNING order_id, place
    )
    SELECT array_agg(x.o), array_agg(x.place) INTO v_missed_of, v_missed
    FROM unnest(p_place_of, p_place) x (o, place)
    LEFT JOIN born b ON b.order_id = p_id[x.o] AND b.place = x.place
    WHERE v_outcome[x.o] = 'claimed' AND b.place IS NULL;

    SELECT array_agg(CASE WHEN i = ANY (v_missed_of) THEN 'taken' ELSE v_outcome[i] END ORDER BY i)
    INTO v_outcome FROM generate_subscripts(p_id, 1) i;
    -- Losers leave before anything is counted.
    DELETE FROM claims c USING unnest(p_place_of, p_place) x (o, place)
    WHERE v_outcome[x.o] = 'taken' AND c.event_id = p_event[x.o] AND c.place = x.place
      AND c.order_id = p_id[x.o];
    DELETE FROM orders o USING generate_subscripts(p_id, 1) i
    WHERE v_outcome[i] = 'taken' AND o.id = p_id[i];

    SELECT array_agg(p_id[i]) INTO v_alive
    FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed';
    PERFORM count_orders(v_alive, 1);
    SELECT array_agg(l.id), array_agg(l.outcome) INTO v_over, v_over_outcome
    FROM over_limit(v_alive) l;
    IF v_over IS NOT NULL THEN
        PERFORM count_orders(v_over, -1);
        SELECT array_agg(coalesce(v_over_outcome[array_position(v_over, p_id[i])], v_outcome[i])
                         ORDER BY i)
        INTO v_outcome FROM generate_subscripts(p_id, 1) i;
        DELETE FROM claims c USING places_of(v_over) w
        WHERE c.event_id = w.event_id AND c.place = w.place AND c.order_id = w.id;
        DELETE FROM orders o WHERE o.id = ANY (v_over);
        SELECT array_agg(p_id[i]) INTO v_alive
        FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed';
    END IF;

    IF v_alive IS NOT NULL THEN
        INSERT INTO attempts (order_id, id, provider, reference, amount, currency)
        SELECT p_id[i], p_attempt[i], p_provider[i], p_reference[i], p_total[i], p_currency[i]
        FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed' AND p_total[i] > 0
        ORDER BY p_id[i];
        INSERT INTO mirror (orders) VALUES (v_alive) RETURNING id INTO v_mirror;
        INSERT INTO payment_deadlines (due_at, orders)
        SELECT now() + make_interval(secs => min(p_pay_seconds[i])), v_alive
        FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed';
    END IF;

    RETURN QUERY
        SELECT i, v_outcome[i],
               ARRAY (SELECT m.place FROM unnest(v_missed_of, v_missed) m (o, place)
                      WHERE m.o = i ORDER BY m.place),
               v_mirror
        FROM generate_subscripts(p_id, 1) i;
END $$;

-- Places of orders become tickets. The orders are locked and their claims are theirs.
CREATE FUNCTION issue_tickets(p_orders uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tickets (event_id, place, serial, order_id)
    SELECT o.event_id, p.place,
           coalesce((SELECT max(t.serial) FROM tickets t
                     WHERE t.event_id = o.event_id AND t.place = p.place), 0) + 1,
           o.id
    FROM orders o CROSS JOIN unnest(o.places) AS p (place)
    WHERE o.id = ANY (p_orders) ORDER BY 1, 2
$$;

-- Settlement: charges that the provider states. Outcomes: 'paid'; 'already'; 'duplicate' (this
-- event of the provider was handled before); 'late' (the places had been released; the order
-- waits to take them again); 'unwanted' (another amount, or a second charge: a refund is due);
-- 'unknown' (no such order or attempt here); 'contradiction' (the provider had said cancelled,
-- and the order goes on without this attempt).
CREATE FUNCTION settle_charges(
    p_provider text[], p_event text[], p_order uuid[], p_attempt uuid[], p_reference text[],
    p_charged bigint[], p_currency text[]
) RETURNS TABLE (position_in_batch integer, outcome text, mirror_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_fresh boolean[];
    v_outcome text[];
    v_paid uuid[];
    v_sold integer;
    v_mirror bigint;
BEGIN
    WITH born AS (
        INSERT INTO inbox (provider, event_id)
        SELECT p_provider[i], p_event[i] FROM generate_subscripts(p_order, 1) i
        WHERE p_event[i] IS NOT NULL ORDER BY 1, 2
        ON CONFLICT DO NOTHING RETURNING provider, event_id
    )
    SELECT array_agg(p_event[i] IS NULL OR b.event_id IS NOT NULL ORDER BY i) INTO v_fresh
    FROM generate_subscripts(p_order, 1) i
    LEFT JOIN born b ON b.provider = p_provider[i] AND b.event_id = p_event[i];

    PERFORM 1 FROM orders o WHERE o.id = ANY (p_order) ORDER BY o.id FOR UPDATE;

    SELECT array_agg(CASE
        WHEN NOT v_fresh[i] THEN 'duplicate'
        WHEN o.id IS NULL THEN 'unknown'
        -- A total of zero has no attempt: the order itself is what settles.
        WHEN o.total = 0 AND p_charged[i] = 0 THEN
            CASE WHEN o.status = 'open' THEN 'paid' ELSE 'already' END
        WHEN a.id IS NULL THEN 'unknown'
        WHEN a.status = 'succeeded' THEN 'already'
        WHEN a.status = 'cancelled' AND o.status <> 'released' THEN 'contradiction'
        WHEN p_charged[i] <> o.total OR p_currency[i] <> o.currency THEN 'unwanted'
        WHEN o.status IN ('open', 'cancelling') THEN 'paid'
        WHEN o.status = 'released' THEN 'late'
        ELSE 'unwanted' END ORDER BY i)
    INTO v_outcome
    FROM generate_subscripts(p_order, 1) i
    LEFT JOIN orders o ON o.id = p_order[i]
    LEFT JOIN attempts a ON a.order_id = p_order[i] AND a.id = p_attempt[i];

    UPDATE attempts a
    SET status = 'succeeded', charged = p_charged[i], unwanted = v_outcome[i] = 'unwanted',
        reference = coalesce(a.reference, p_reference[i]), changed_at = now()
    FROM generate_subscripts(p_order, 1) i
    WHERE v_outcome[i] IN ('paid', 'late', 'unwanted') AND p_charged[i] > 0
      AND a.order_id = p_order[i] AND a.id = p_attempt[i];
    INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
    SELECT gen_random_uuid(), p_order[i], p_provider[i], p_reference[i], p_charged[i],
           p_currency[i], 'unwanted'
    FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'unwanted';
    UPDATE orders o SET status = 'late', changed_at = now()
    FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'late' AND o.id = p_order[i];
    INSERT INTO payment_deadlines (due_at, orders)
    SELECT now(), array_agg(p_order[i])
    FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'late'
    HAVING count(*) > 0;

    SELECT array_agg(p_order[i]) INTO v_paid
    FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'paid';
    IF v_paid IS NOT NULL THEN
        UPDATE claims c SET sold = true FROM places_of(v_paid) w
        WHERE c.event_id = w.event_id AND c.place = w.place AND c.order_id = w.id;
        GET DIAGNOSTICS v_sold = ROW_COUNT;
        IF v_sold <> (SELECT sum(cardinality(o.places)) FROM orders o WHERE o.id = ANY (v_paid))
        THEN
            RAISE EXCEPTION 'an unpaid order has lost claims: %', v_paid;
        END IF;
        UPDATE orders o SET status = 'paid', changed_at = now() WHERE o.id = ANY (v_paid);
        PERFORM issue_tickets(v_paid);
        INSERT INTO outbox (kind, orders) VALUES ('paid', v_paid);
        INSERT INTO mirror (orders) VALUES (v_paid) RETURNING id INTO v_mirror;
    END IF;

    RETURN QUERY
        SELECT i, v_outcome[i], v_mirror FROM generate_subscripts(p_order, 1) i;
END $$;

-- Takes an order's claims off its places, into the history. The order is locked.
CREATE FUNCTION release_claims(p_orders uuid[], p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM claims c USING places_of(p_orders) w
        WHERE c.event_id = w.event_id AND c.place = w.place AND c.order_id = w.id
        RETURNING c.event_id, c.place, c.order_id, c.claimed_at
    )
    INSERT INTO claims_history (event_id, place, order_id, claimed_at, reason)
    SELECT g.event_id, g.place, g.order_id, g.claimed_at, p_reason FROM gone g;
    PERFORM count_orders(p_orders, -1);
END $$;

-- An open order begins to end: from here on only its payment or the provider's word decides.
CREATE FUNCTION begin_cancel(p_order uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
BEGIN
    SELECT o.status INTO v_status FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF v_status = 'open' THEN
        UPDATE orders SET status = 'cancelling', changed_at = now() WHERE id = p_order;
        -- Whoever begins this may die, or get no answer, long before the order's time is over.
        INSERT INTO payment_deadlines (due_at, orders)
        VALUES (now() + interval '2 seconds', ARRAY[p_order]);
        v_status := 'cancelling';
    END IF;
    RETURN coalesce(v_status, 'unknown');
END $$;

-- The provider's word on an intent that took no money: 'processing' or 'cancelled'.
CREATE FUNCTION note_attempt(p_order uuid, p_attempt uuid, p_reference text, p_status text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders o WHERE o.id = p_order FOR UPDATE;
    UPDATE attempts a
    SET status = p_status, reference = coalesce(a.reference, p_reference), changed_at = now()
    WHERE a.order_id = p_order AND a.id = p_attempt
      AND a.status IN ('open', 'processing') AND a.status <> p_status;
END $$;

-- The end of an unpaid order, once no attempt can succeed any more. 'released', or what it is.
CREATE FUNCTION release_order(p_order uuid, p_reason text)
RETURNS TABLE (outcome text, mirror_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
    v_mirror bigint;
BEGIN
    SELECT o.status INTO v_status FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF v_status = 'cancelling' THEN
        IF EXISTS (SELECT FROM attempts a WHERE a.order_id = p_order
                   AND (a.status IN ('open', 'processing')
                        OR a.status = 'succeeded' AND NOT a.unwanted)) THEN
            v_status := 'attempt_open';
        ELSE
            PERFORM release_claims(ARRAY[p_order], p_reason);
            UPDATE orders SET status = 'released', changed_at = now() WHERE id = p_order;
            INSERT INTO outbox (kind, orders) VALUES ('released', ARRAY[p_order]);
            INSERT INTO mirror (orders) VALUES (ARRAY[p_order]) RETURNING id INTO v_mirror;
            v_status := 'released';
        END IF;
    END IF;
    RETURN QUERY SELECT coalesce(v_status, 'unknown'), v_mirror;
END $$;

-- A hold whose node died between begin and claim. The answer is what its id stands for now:
-- 'abandoned', or the status of the order that was faster.
CREATE FUNCTION abandon_hold(p_hold uuid, p_event uuid, p_account uuid, p_status text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders (id, event_id, status, account, currency, total, places, lines, digest,
                        pay_by)
    VALUES (p_hold, p_event, p_status, p_account, '', 0, '{}', '[]', '', now())
    ON CONFLICT (id) DO NOTHING;
    RETURN (SELECT o.status FROM orders o WHERE o.id = p_hold);
END $$;

-- Late money, the good end: the places (or equivalents) were held again under p_hold, and become
-- sold at once. 'paid', 'stale', 'frozen', 'taken', 'abandoned', 'limit', 'quota', 'promo' or
-- what the order is.
CREATE FUNCTION retake_order(
    p_order uuid, p_hold uuid, p_epoch integer, p_places integer[], p_lines jsonb
) RETURNS TABLE (outcome text, mirror_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_order orders;
    v_epoch epochs;
    v_mirror bigint;
    v_count integer;
    v_over text;
BEGIN
    SELECT o.* INTO v_order FROM orders o WHERE o.id = p_order;
    SELECT e.* INTO v_epoch FROM epochs e WHERE e.event_id = v_order.event_id FOR SHARE;
    IF v_epoch.epoch IS DISTINCT FROM p_epoch THEN
        RETURN QUERY SELECT 'stale', NULL::bigint; RETURN;
    ELSIF v_epoch.claims_frozen THEN
        RETURN QUERY SELECT 'frozen', NULL::bigint; RETURN;
    END IF;
    SELECT o.* INTO v_order FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF v_order.status <> 'late' THEN
        RETURN QUERY SELECT v_order.status, NULL::bigint; RETURN;
    END IF;
    -- The new hold's outcome, under its own id: a resolver that was faster wins.
    IF abandon_hold(p_hold, v_order.event_id, v_order.account, 'retake') <> 'retake' THEN
        RETURN QUERY SELECT 'abandoned', NULL::bigint; RETURN;
    END IF;
    INSERT INTO claims (event_id, place, order_id, sold)
    SELECT v_order.event_id, p.place, p_order, true
    FROM unnest(p_places) AS p (place) ORDER BY p.place ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    UPDATE orders SET status = 'paid', late = true, places = p_places, lines = p_lines,
                      hold_id = p_hold, changed_at = now() WHERE id = p_order;
    IF v_count = cardinality(p_places) THEN
        PERFORM count_orders(ARRAY[p_order], 1);
        SELECT l.outcome INTO v_over FROM over_limit(ARRAY[p_order]) l LIMIT 1;
    ELSE
        v_over := 'taken';
    END IF;
    IF v_over IS NOT NULL THEN
        -- Undo this function's work and nothing else.
        RAISE EXCEPTION '%', v_over USING ERRCODE = 'OS001';
    END IF;
    PERFORM issue_tickets(ARRAY[p_order]);
    INSERT INTO outbox (kind, orders) VALUES ('paid', ARRAY[p_order]);
    INSERT INTO mirror (orders) VALUES (ARRAY[p_order]) RETURNING id INTO v_mirror;
    RETURN QUERY SELECT 'paid', v_mirror;
END $$;

-- Late money, the other end: it goes back.
CREATE FUNCTION refund_late(p_order uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
BEGIN
    SELECT o.status INTO v_status FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF v_status = 'late' THEN
        UPDATE orders SET status = 'refund_due', changed_at = now() WHERE id = p_order;
        INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
        SELECT gen_random_uuid(), a.order_id, a.provider, a.reference, a.charged, a.currency,
               'late'
        FROM attempts a
        WHERE a.order_id = p_order AND a.status = 'succeeded' AND NOT a.unwanted;
        v_status := 'refund_due';
    END IF;
    RETURN v_status;
END $$;

-- A paid order gives its places back: tickets void, claims into the history.
CREATE FUNCTION finish_refunded(p_order uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
    v_mirror bigint;
BEGIN
    SELECT o.status INTO v_status FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF has_claims(v_status) THEN
        UPDATE tickets t SET status = 'void' FROM places_of(ARRAY[p_order]) w
        WHERE t.event_id = w.event_id AND t.place = w.place AND t.order_id = w.id
          AND t.status <> 'void';
        PERFORM release_claims(ARRAY[p_order], 'refunded');
        INSERT INTO mirror (orders) VALUES (ARRAY[p_order]) RETURNING id INTO v_mirror;
    END IF;
    UPDATE orders SET status = 'refunded', changed_at = now() WHERE id = p_order;
    INSERT INTO outbox (kind, orders) VALUES ('refunded', ARRAY[p_order]);
    RETURN v_mirror;
END $$;

-- Asks for a paid order's refund in full. A free order has nothing to ask the provider for.
CREATE FUNCTION request_refund(p_order uuid, p_reason text)
RETURNS TABLE (outcome text, mirror_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_order orders;
    v_left bigint;
    v_mirror bigint;
BEGIN
    SELECT o.* INTO v_order FROM orders o WHERE o.id = p_order FOR UPDATE;
    IF v_order.status = 'paid' AND v_order.total = 0 THEN
        v_mirror := finish_refunded(p_order);
        v_order.status := 'refunded';
    ELSIF v_order.status = 'paid' THEN
        SELECT a.charged - coalesce((SELECT sum(r.amount) FROM refunds r
                                     WHERE r.order_id = p_order AND r.intent = a.reference
                                       AND r.status <> 'failed'), 0)
        INTO v_left FROM attempts a
        WHERE a.order_id = p_order AND a.status = 'succeeded' AND NOT a.unwanted;
        INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
        SELECT gen_random_uuid(), a.order_id, a.provider, a.reference, v_left, a.currency,
               p_reason
        FROM attempts a
        WHERE a.order_id = p_order AND a.status = 'succeeded' AND NOT a.unwanted AND v_left > 0;
        UPDATE orders SET status = 'refund_pending', changed_at = now() WHERE id = p_order;
        v_order.status := 'refund_pending';
    END IF;
    RETURN QUERY SELECT coalesce(v_order.status, 'unknown'), v_mirror;
END $$;

-- What the provider says of a refund, ours (p_refund) or made there (null). Once all that was
-- charged is back, the order is refunded. 'noted', 'refunded', 'already' or 'unknown'.
CREATE FUNCTION note_refund(
    p_refund uuid, p_provider text, p_intent text, p_reference text, p_order uuid,
    p_amount bigint, p_currency text, p_status text
) RETURNS TABLE (outcome text, mirror_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_order uuid;
    v_attempt attempts;
    v_refund refunds;
    v_status text;
BEGIN
    v_order := coalesce(p_order,
        (SELECT a.order_id FROM attempts a
         WHERE a.provider = p_provider AND a.reference = p_intent),
        (SELECT r.order_id FROM refunds r WHERE r.id = p_refund));
    SELECT o.status INTO v_status FROM orders o WHERE o.id = v_order FOR UPDATE;
    SELECT r.* INTO v_refund FROM refunds r
    WHERE r.id = p_refund OR r.provider = p_provider AND r.reference = p_reference FOR UPDATE;
    IF v_refund.id IS NULL AND v_order IS NULL THEN
        RETURN QUERY SELECT 'unknown', NULL::bigint; RETURN;
    ELSIF v_refund.id IS NULL THEN
        INSERT INTO refunds (id, order_id, provider, intent, reference, amount, currency, reason,
                             status)
        VALUES (gen_random_uuid(), v_order, p_provider, p_intent, p_reference, p_amount,
                p_currency, 'at the provider', p_status);
    ELSIF v_refund.status IN ('done', 'failed') THEN
        RETURN QUERY SELECT 'already', NULL::bigint; RETURN;
    ELSE
        UPDATE refunds SET status = p_status, reference = coalesce(reference, p_reference),
                           changed_at = now()
        WHERE id = v_refund.id;
    END IF;

    IF p_status = 'failed' AND v_status = 'refund_pending' THEN
        UPDATE orders SET status = 'paid', changed_at = now() WHERE id = v_order;
    END IF;
    SELECT a.* INTO v_attempt FROM attempts a
    WHERE a.order_id = v_order AND a.status = 'succeeded' AND NOT a.unwanted;
    IF p_status = 'done' AND v_attempt.reference = p_intent AND v_status <> 'refunded'
       AND v_attempt.charged <= (SELECT coalesce(sum(r.amount), 0) FROM refunds r
                                 WHERE r.order_id = v_order AND r.intent = p_intent
                                   AND r.status = 'done') THEN
        RETURN QUERY SELECT 'refunded', finish_refunded(v_order); RETURN;
    END IF;
    RETURN QUERY SELECT 'noted', NULL::bigint;
END $$;

-- A dispute opened, won or lost. Tickets are suspended while it is open, void once it is lost.
CREATE FUNCTION note_dispute(p_provider text, p_reference text, p_intent text, p_status text)
RETURNS TABLE (outcome text, mirror_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_order orders;
    v_before text;
    v_mirror bigint;
BEGIN
    SELECT o.* INTO v_order FROM attempts a JOIN orders o ON o.id = a.order_id
    WHERE a.provider = p_provider AND a.reference = p_intent FOR UPDATE OF o;
    IF v_order.id IS NULL THEN
        RETURN QUERY SELECT 'unknown', NULL::bigint; RETURN;
    END IF;
    SELECT d.status INTO v_before FROM disputes d
    WHERE d.provider = p_provider AND d.reference = p_reference FOR UPDATE;
    -- Only forward: a late 'open' after the end changes nothing.
    IF v_before IS NOT NULL AND (v_before <> 'open' OR p_status = 'open') THEN
        RETURN QUERY SELECT 'already', NULL::bigint; RETURN;
    END IF;
    INSERT INTO disputes (provider, reference, order_id, status)
    VALUES (p_provider, p_reference, v_order.id, p_status)
    ON CONFLICT (provider, reference) DO UPDATE SET status = p_status, changed_at = now();

    IF p_status = 'open' AND v_order.status IN ('paid', 'refund_pending') THEN
        UPDATE orders SET status = 'disputed', changed_at = now() WHERE id = v_order.id;
        UPDATE tickets t SET status = 'suspended'
        WHERE t.event_id = v_order.event_id AND t.place = ANY (v_order.places)
          AND t.order_id = v_order.id AND t.status = 'valid';
        INSERT INTO outbox (kind, orders) VALUES ('disputed', ARRAY[v_order.id]);
    ELSIF p_status = 'won' AND v_order.status = 'disputed' THEN
        UPDATE orders SET status = 'paid', changed_at = now() WHERE id = v_order.id;
        UPDATE tickets t SET status = 'valid'
        WHERE t.event_id = v_order.event_id AND t.place = ANY (v_order.places)
          AND t.order_id = v_order.id AND t.status = 'suspended';
    ELSIF p_status = 'lost' AND v_order.status IN ('paid', 'refund_pending', 'disputed') THEN
        UPDATE refunds SET status = 'failed', changed_at = now()
        WHERE order_id = v_order.id AND status = 'due';
        v_mirror := finish_refunded(v_order.id);
    END IF;
    RETURN QUERY SELECT 'noted', v_mirror;
END $$;
