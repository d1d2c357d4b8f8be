//! Places: one claim, one ticket, and every order all or nothing.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "1",
            name: "one claim per place",
            proves: "no place is claimed twice, whether or not the primary key still stands",
        },
        when: When::Always,
        sql: "SELECT format('event %s: place %s has %s claims', event_id, place, count(*))
              FROM claims GROUP BY event_id, place HAVING count(*) > 1",
    },
    Query {
        about: About {
            invariant: "2",
            name: "one ticket per place",
            proves: "no place has two tickets that could let somebody in",
        },
        when: When::Always,
        sql: "SELECT format('event %s: place %s has %s live tickets', event_id, place, count(*))
              FROM tickets WHERE status <> 'void'
              GROUP BY event_id, place HAVING count(*) > 1",
    },
    Query {
        about: About {
            invariant: "3",
            name: "sold means paid",
            proves: "a claim is sold exactly when its order is paid, disputed or being refunded",
        },
        when: When::Always,
        sql: "SELECT format('order %s is %s, its claim of place %s is%s sold', o.id, o.status,
                            c.place, CASE WHEN c.sold THEN '' ELSE ' not' END)
              FROM claims c JOIN orders o ON o.id = c.order_id JOIN grip g USING (status)
              WHERE c.sold <> g.sold",
    },
    Query {
        about: About {
            invariant: "3",
            name: "claims have an owner",
            proves: "every claim belongs to an order of its event that may have claims",
        },
        when: When::Always,
        sql: "SELECT format('event %s: place %s is claimed by order %s, which is %s', c.event_id,
                            c.place, c.order_id, coalesce(o.status, 'not there'))
              FROM claims c
              LEFT JOIN orders o ON o.id = c.order_id AND o.event_id = c.event_id
              WHERE o.id IS NULL OR o.status NOT IN (SELECT status FROM grip)",
    },
    Query {
        about: About {
            invariant: "4",
            name: "all or nothing",
            proves: "an order claims exactly the places that it lists",
        },
        when: When::Always,
        sql: "SELECT format('order %s (%s) lists place %s and does not claim it', w.order_id,
                            w.status, w.place)
              FROM order_places w JOIN grip g USING (status)
              LEFT JOIN claims c ON c.event_id = w.event_id AND c.place = w.place
                                AND c.order_id = w.order_id
              WHERE c.order_id IS NULL
              UNION ALL
              SELECT format('order %s (%s) claims place %s and does not list it', o.id, o.status,
                            c.place)
              FROM claims c JOIN orders o ON o.id = c.order_id JOIN grip g USING (status)
              LEFT JOIN order_places w ON w.event_id = c.event_id AND w.place = c.place
                                      AND w.order_id = c.order_id
              WHERE w.order_id IS NULL
              UNION ALL
              SELECT format('event %s: place %s is claimed and not in the manifest', c.event_id,
                            c.place)
              FROM claims c LEFT JOIN places p ON p.event_id = c.event_id AND p.place = c.place
              WHERE p.place IS NULL",
    },
    Query {
        about: About {
            invariant: "4",
            name: "lines",
            proves: "an order's lines list its places, each once, and add up to its total",
        },
        when: When::Always,
        sql: "SELECT format('order %s has place %s %s times, and in its lines %s times', order_id,
                            place, listed, lined)
              FROM (SELECT order_id, place, count(*) FILTER (WHERE listed) AS listed,
                           count(*) FILTER (WHERE NOT listed) AS lined
                    FROM (SELECT order_id, place, true AS listed FROM order_places
                          UNION ALL
                          SELECT l.order_id, p.place::integer, false
                          FROM order_lines l
                          CROSS JOIN jsonb_array_elements_text(l.places) AS p (place)) b
                    GROUP BY 1, 2) b
              WHERE listed <> 1 OR lined <> 1
              UNION ALL
              SELECT format('order %s (%s) has no places', id, status) FROM orders
              WHERE status NOT IN ('abandoned', 'retake') AND cardinality(places) = 0
              UNION ALL
              SELECT format('order %s: total %s %s, its lines %s %s', o.id, o.total, o.currency,
                            coalesce(t.amount, 0), e.currency)
              FROM orders o LEFT JOIN events e ON e.id = o.event_id
              LEFT JOIN (SELECT order_id, sum(amount * n) AS amount FROM order_lines GROUP BY 1) t
                     ON t.order_id = o.id
              WHERE o.status NOT IN ('abandoned', 'retake')
                AND (o.total, o.currency) IS DISTINCT FROM (coalesce(t.amount, 0), e.currency)",
    },
    Query {
        about: About {
            invariant: "4",
            name: "tickets",
            proves: "a paid order has one live ticket for each of its places, and nobody else has",
        },
        when: When::Always,
        sql: "SELECT coalesce(
                  format('order %s (%s) has no ticket for place %s', w.order_id, w.status, w.place),
                  format('order %s has a %s ticket for place %s, which it has not bought',
                         t.order_id, t.status, t.place))
              FROM (SELECT w.* FROM order_places w JOIN grip g USING (status) WHERE g.sold) w
              FULL JOIN (SELECT * FROM tickets WHERE status <> 'void') t
                     ON t.event_id = w.event_id AND t.place = w.place AND t.order_id = w.order_id
              WHERE w.order_id IS NULL OR t.order_id IS NULL",
    },
    Query {
        about: About {
            invariant: "5",
            name: "history",
            proves: "every claim that ended is in the history, and nothing else is",
        },
        when: When::Always,
        sql: "SELECT format('order %s (%s) gave place %s back without a trace', w.order_id,
                            w.status, w.place)
              FROM order_places w
              LEFT JOIN claims_history h ON h.event_id = w.event_id AND h.place = w.place
                                        AND h.order_id = w.order_id
              WHERE w.status IN ('released', 'late', 'refund_due', 'refunded')
                AND h.order_id IS NULL
              UNION ALL
              SELECT format('order %s was re-taken, and there is no trace of its release', o.id)
              FROM orders o
              WHERE o.late AND NOT EXISTS (SELECT FROM claims_history h WHERE h.order_id = o.id)
              UNION ALL
              SELECT format('place %s of order %s (%s) is in the history', h.place, h.order_id,
                            coalesce(o.status, 'missing'))
              FROM claims_history h LEFT JOIN orders o ON o.id = h.order_id
              WHERE o.id IS NULL OR NOT o.late
                AND o.status NOT IN ('released', 'late', 'refund_due', 'refunded')",
    },
    Query {
        about: About {
            invariant: "5",
            name: "claims follow one another",
            proves: "the claims that a place had over time never overlap",
        },
        when: When::Always,
        // A claim is dated at the start of its transaction, which may have waited for the release
        // of the place: two lock timeouts and some, but never a second.
        sql: "WITH spans AS (
                  SELECT event_id, place, order_id, claimed_at, released_at FROM claims_history
                  UNION ALL
                  SELECT event_id, place, order_id, claimed_at, 'infinity' FROM claims
              ), ordered AS (
                  SELECT *, max(released_at) OVER (
                      PARTITION BY event_id, place ORDER BY claimed_at, released_at
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS free_at
                  FROM spans
              )
              SELECT format('event %s: place %s went to order %s at %s, and was free at %s',
                            event_id, place, order_id, claimed_at, free_at)
              FROM ordered
              WHERE claimed_at < free_at - interval '1 s' OR released_at < claimed_at",
    },
];
