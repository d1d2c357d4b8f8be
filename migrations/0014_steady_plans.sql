-- Orders are looked up one by one where their places are wanted in order. Sorted by event, the
-- planner of a new sale, whose tables have no statistics, likes to walk through the index that is
-- sorted so, and finds a batch's orders by reading all of the event's. The settlement knows the
-- places from one such look, instead of three.

CREATE OR REPLACE FUNCTION places_of(p_orders uuid[])
RETURNS TABLE (id uuid, event_id uuid, place integer) LANGUAGE plpgsql STABLE ROWS 10 AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.event_id, p.place
        FROM unnest(p_orders) AS u (id)
        -- OFFSET 0 keeps the planner from turning the lookups into anything else.
        CROSS JOIN LATERAL (SELECT x.id, x.event_id, x.places FROM orders x
                            WHERE x.id = u.id OFFSET 0) o
        CROSS JOIN unnest(o.places) AS p (place)
        ORDER BY o.event_id, p.place;
END $$;

-- Of places in the order of their events, to whom they belong.
CREATE FUNCTION issue_tickets(p_order uuid[], p_event uuid[], p_place integer[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tickets (event_id, place, serial, order_id)
    SELECT w.event_id, w.place,
           coalesce((SELECT max(t.serial) FROM tickets t
                     WHERE t.event_id = w.event_id AND t.place = w.place), 0) + 1,
           w.id
    FROM unnest(p_order, p_event, p_place) w (id, event_id, place);
END $$;

CREATE OR REPLACE FUNCTION issue_tickets(p_orders uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM issue_tickets(array_agg(w.id), array_agg(w.event_id), array_agg(w.place))
    FROM places_of(p_orders) w;
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
    v_order_of uuid[];
    v_event_of uuid[];
    v_place integer[];
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
        SELECT i, v_outcome[i], v_mirror FROM generate_subscripts(p_order, 1) i;
END $$;
