//! Money: charged once, what was agreed, for places; and given back otherwise.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "6",
            name: "claim before payment",
            proves: "no payment was begun before its order had claimed its places",
        },
        when: When::Always,
        sql: "SELECT format('attempt %s of order %s began at %s, the claims at %s', a.id, o.id,
                            a.created_at, s.claimed_at)
              FROM attempts a JOIN orders o ON o.id = a.order_id
              JOIN (SELECT order_id, max(claimed_at) AS claimed_at
                    FROM (SELECT order_id, claimed_at FROM claims
                          UNION ALL
                          SELECT order_id, claimed_at FROM claims_history) c
                    GROUP BY 1) s ON s.order_id = o.id
              WHERE NOT o.late AND a.created_at < s.claimed_at",
    },
    Query {
        about: About {
            invariant: "7",
            name: "one open attempt",
            proves: "at most one payment attempt of an order can still take money",
        },
        when: When::Always,
        sql: "SELECT format('order %s has %s open attempts', order_id, count(*)) FROM attempts
              WHERE status IN ('open', 'processing') GROUP BY order_id HAVING count(*) > 1",
    },
    Query {
        about: About {
            invariant: "7",
            name: "no release before the last word",
            proves: "only an order that still waits has an attempt that may still take money",
        },
        when: When::Always,
        sql: "SELECT format('order %s is %s, its attempt %s is %s', a.order_id, o.status, a.id,
                            a.status)
              FROM attempts a JOIN orders o ON o.id = a.order_id
              WHERE a.status IN ('open', 'processing') AND o.status NOT IN ('open', 'cancelling')",
    },
    Query {
        about: About {
            invariant: "8",
            name: "charged once",
            proves: "no order was charged twice, except for charges that go back",
        },
        when: When::Always,
        sql: "SELECT format('order %s was charged %s times', order_id, count(*)) FROM attempts
              WHERE status = 'succeeded' AND NOT unwanted
              GROUP BY order_id HAVING count(*) > 1",
    },
    Query {
        about: About {
            invariant: "8",
            name: "charged the total",
            proves: "attempts ask for and charges are the order's total in its currency",
        },
        when: When::Always,
        sql: "SELECT format('order %s: total %s %s, attempt %s of %s %s charged %s', o.id, o.total,
                            o.currency, a.id, a.amount, a.currency, a.charged)
              FROM attempts a JOIN orders o ON o.id = a.order_id
              WHERE a.amount <> o.total OR a.currency <> o.currency
                 OR NOT a.unwanted AND a.charged <> o.total",
    },
    Query {
        about: About {
            invariant: "8",
            name: "paid means charged",
            proves: "an order counts as paid, or once did, exactly when its total was charged",
        },
        when: When::Always,
        sql: "SELECT format('order %s is %s and was %scharged', o.id, o.status,
                            CASE WHEN c.order_id IS NULL THEN 'never ' ELSE '' END)
              FROM orders o
              LEFT JOIN (SELECT DISTINCT order_id FROM attempts
                         WHERE status = 'succeeded' AND NOT unwanted) c ON c.order_id = o.id
              WHERE (c.order_id IS NOT NULL) <> (o.total > 0 AND o.status IN
                    ('paid', 'disputed', 'refund_pending', 'refunded', 'late', 'refund_due'))",
    },
    Query {
        about: About {
            invariant: "8",
            name: "refunds within charges",
            proves: "no more goes back than was charged, and only to the payment it came from",
        },
        when: When::Always,
        sql: "SELECT format('order %s, payment %s: %s of %s go back', r.order_id, r.intent,
                            sum(r.amount), a.charged)
              FROM refunds r JOIN attempts a ON a.provider = r.provider AND a.reference = r.intent
                                            AND a.order_id = r.order_id
              WHERE r.status <> 'failed'
              GROUP BY r.order_id, r.provider, r.intent, a.charged
              HAVING sum(r.amount) > coalesce(a.charged, 0)
              UNION ALL
              SELECT format('refund %s: order %s has no payment %s', r.id, r.order_id, r.intent)
              FROM refunds r LEFT JOIN attempts a ON a.provider = r.provider
                                 AND a.reference = r.intent AND a.order_id = r.order_id
              WHERE r.order_id IS NOT NULL AND a.id IS NULL
              UNION ALL
              SELECT format('refund %s is in %s, the charge in %s', r.id, r.currency, a.currency)
              FROM refunds r JOIN attempts a ON a.provider = r.provider AND a.reference = r.intent
                                            AND a.order_id = r.order_id
              WHERE NOT a.unwanted AND r.currency <> a.currency",
    },
    Query {
        about: About {
            invariant: "9",
            name: "payments map to orders",
            proves: "every payment attempt names one order, which exists (the provider's half is \
                     the reconciler's)",
        },
        when: When::Always,
        sql: "SELECT format('attempt %s belongs to %s, which is no order', a.id,
                            a.order_id)
              FROM attempts a LEFT JOIN orders o ON o.id = a.order_id
              WHERE o.id IS NULL OR o.status IN ('abandoned', 'retake')
              UNION ALL
              SELECT format('%s payment %s is that of %s attempts', provider, reference, count(*))
              FROM attempts WHERE reference IS NOT NULL
              GROUP BY provider, reference HAVING count(*) > 1
              UNION ALL
              SELECT format('attempt %s of order %s was charged under no known payment', id,
                            order_id)
              FROM attempts WHERE status = 'succeeded' AND reference IS NULL",
    },
    Query {
        about: About {
            invariant: "10",
            name: "money without places",
            proves: "every charge that bought nothing has its refund",
        },
        when: When::Always,
        sql: "SELECT format('order %s is %s and no refund is on its way', o.id, o.status)
              FROM orders o
              WHERE o.status IN ('refund_due', 'refund_pending')
                AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id)
              UNION ALL
              SELECT format('attempt %s of order %s took %s that nobody wanted and nobody returns',
                            a.id, a.order_id, a.charged)
              FROM attempts a
              WHERE a.status = 'succeeded' AND a.unwanted AND NOT EXISTS (
                  SELECT FROM refunds r WHERE r.order_id = a.order_id
                    AND r.provider = a.provider AND r.intent = a.reference)",
    },
    Query {
        about: About {
            invariant: "10",
            name: "refunds arrive",
            proves: "refunds are done within the bound; one that failed is a person's to settle",
        },
        when: When::AtRest,
        sql: "SELECT format('refund %s of payment %s is still %s', id, intent, status)
              FROM refunds WHERE status IN ('due', 'pending')
                AND created_at < now() - (SELECT grace FROM scope)
              UNION ALL
              SELECT format('refund %s of payment %s failed', r.id, r.intent) FROM refunds r
              LEFT JOIN orders o ON o.id = r.order_id
              LEFT JOIN attempts a ON a.provider = r.provider AND a.reference = r.intent
                                  AND a.order_id = r.order_id
              WHERE r.status = 'failed' AND (o.id IS NULL OR o.status = 'refund_due' OR a.unwanted)
                AND NOT EXISTS (SELECT FROM refunds d WHERE d.status = 'done'
                                  AND d.provider = r.provider AND d.intent = r.intent)",
    },
];
