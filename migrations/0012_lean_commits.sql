-- The two commits of every purchase, as they were, but for statements that have nothing to do in
-- most batches: those are asked for only where there is a loser, a quota, a promo code, a limit, or
-- money that must go back. Each statement that is not run saves every batch its start.

-- It also says when it was, which is all that an order's reader could not know beforehand.
DROP FUNCTION claim_orders;
CREATE FUNCTION claim_orders(
    p_id uuid[], p_event uuid[], p_epoch integer[], p_account uuid[], p_email text[],
    p_email_key text[], p_channel smallint[], p_promo integer[], p_currency text[],
    p_total bigint[], p_lines jsonb[], p_digest bytea[], p_accept boolean[],
    p_pay_seconds integer[], p_details jsonb[],
    p_attempt uuid[], p_provider text[], p_reference text[],
    p_place_of integer[], p_place integer[]
) RETURNS TABLE (position_in_batch integer, outcome text, missed integer[], mirror_id bigint,
                 claimed_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    v_outcome text[];
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

    IF v_missed_of IS NOT NULL THEN
        SELECT array_agg(CASE WHEN i = ANY (v_missed_of) THEN 'taken' ELSE v_outcome[i] END ORDER BY i)
        INTO v_outcome FROM generate_subscripts(p_id, 1) i;
        -- Losers leave before anything is counted.
        DELETE FROM claims c USING unnest(p_place_of, p_place) x (o, place)
        WHERE v_outcome[x.o] = 'taken' AND c.event_id = p_event[x.o] AND c.place = x.place
          AND c.order_id = p_id[x.o];
        DELETE FROM orders o USING generate_subscripts(p_id, 1) i
        WHERE v_outcome[i] = 'taken' AND o.id = p_id[i];
    END IF;

    SELECT array_agg(p_id[i]) INTO v_alive
    FROM generate_subscripts(p_id, 1) i WHERE v_outcome[i] = 'claimed';
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
               v_mirror, now()
        FROM generate_subscripts(p_id, 1) i;
END $$;

CREATE OR REPLACE FUNCTION settle_charges(
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
    IF 'unwanted' = ANY (v_outcome) THEN
        INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
        SELECT gen_random_uuid(), p_order[i], p_provider[i], p_reference[i], p_charged[i],
               p_currency[i], 'unwanted'
        FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'unwanted';
    END IF;
    IF 'late' = ANY (v_outcome) THEN
        UPDATE orders o SET status = 'late', changed_at = now()
        FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'late' AND o.id = p_order[i];
        INSERT INTO payment_deadlines (due_at, orders)
        SELECT now(), array_agg(p_order[i])
        FROM generate_subscripts(p_order, 1) i WHERE v_outcome[i] = 'late'
        HAVING count(*) > 0;
    END IF;

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

-- In PL/pgSQL, which keeps its plan: a function in SQL is read and planned anew by every batch.
CREATE OR REPLACE FUNCTION issue_tickets(p_orders uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tickets (event_id, place, serial, order_id)
    SELECT o.event_id, p.place,
           coalesce((SELECT max(t.serial) FROM tickets t
                     WHERE t.event_id = o.event_id AND t.place = p.place), 0) + 1,
           o.id
    FROM orders o CROSS JOIN unnest(o.places) AS p (place)
    WHERE o.id = ANY (p_orders) ORDER BY 1, 2;
END $$;

-- Every order is changed soon after it is written: with room beside it, no index has to know.
ALTER TABLE orders SET (fillfactor = 70);
