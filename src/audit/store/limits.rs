//! Counters and the limits that they guard.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "15",
            name: "offer counts",
            proves: "the counter of every limited offer equals a recount of its places",
        },
        when: When::Always,
        sql: "SELECT format('event %s, offer %s: counter %s, recount %s', f.event_id, f.offer,
                            coalesce(c.places, 0), coalesce(r.n, 0))
              FROM offers f LEFT JOIN offer_counts c USING (event_id, offer)
              LEFT JOIN (SELECT event_id, offer, sum(n) AS n
                         FROM order_lines JOIN grip USING (status) GROUP BY 1, 2) r
                     USING (event_id, offer)
              WHERE f.quota IS NOT NULL AND coalesce(c.places, 0) <> coalesce(r.n, 0)",
    },
    Query {
        about: About {
            invariant: "15",
            name: "promo counts",
            proves: "the counter of every promo code equals a recount of the orders that use it",
        },
        when: When::Always,
        sql: "SELECT format('event %s, promo %s: counter %s, recount %s', event_id, promo,
                            coalesce(c.uses, 0), coalesce(r.n, 0))
              FROM promo_counts c
              FULL JOIN (SELECT event_id, promo, count(*) AS n
                         FROM orders JOIN grip USING (status)
                         WHERE promo IS NOT NULL GROUP BY 1, 2) r USING (event_id, promo)
              WHERE coalesce(c.uses, 0) <> coalesce(r.n, 0)",
    },
    Query {
        about: About {
            invariant: "15",
            name: "limits",
            proves: "no offer, promo code or buyer is over its limit, by recount",
        },
        when: When::Always,
        sql: "SELECT format('event %s: offer %s has quota %s and sold %s', f.event_id, f.offer,
                            f.quota, sum(l.n))
              FROM offers f JOIN order_lines l USING (event_id, offer) JOIN grip USING (status)
              GROUP BY f.event_id, f.offer, f.quota HAVING sum(l.n) > f.quota
              UNION ALL
              SELECT format('event %s: promo code %s may be used %s times, %s orders use it',
                            p.event_id, p.code, p.max_uses, count(*))
              FROM promo_codes p JOIN orders o USING (event_id, promo) JOIN grip USING (status)
              GROUP BY p.event_id, p.code, p.max_uses HAVING count(*) > p.max_uses
              UNION ALL
              SELECT format('event %s: account %s has %s places of %s', e.id, o.account,
                            sum(cardinality(o.places)), e.account_limit)
              FROM events e JOIN orders o ON o.event_id = e.id JOIN grip g ON g.status = o.status
              GROUP BY e.id, e.account_limit, o.account
              HAVING sum(cardinality(o.places)) > e.account_limit
              UNION ALL
              SELECT format('event %s: one e-mail address (order %s) has %s places of %s', e.id,
                            min(o.id::text), sum(cardinality(o.places)), e.account_limit)
              FROM events e JOIN orders o ON o.event_id = e.id JOIN grip g ON g.status = o.status
              WHERE o.email_key IS NOT NULL
              GROUP BY e.id, e.account_limit, o.email_key
              HAVING sum(cardinality(o.places)) > e.account_limit",
    },
    Query {
        about: About {
            invariant: "20",
            name: "manifest",
            proves: "every place lies in its stretch, and no two stretches share a number",
        },
        when: When::Always,
        sql: "SELECT format('event %s: place %s is outside of stretch %s', p.event_id, p.place,
                            p.stretch)
              FROM places p LEFT JOIN stretches s USING (event_id, stretch)
              WHERE s.stretch IS NULL OR p.place < s.first OR p.place >= s.first + s.length
                 OR p.level <> s.level OR p.section <> s.section
              UNION ALL
              SELECT format('event %s: stretch %s has %s places of %s', s.event_id, s.stretch,
                            count(p.place), s.length)
              FROM stretches s LEFT JOIN places p USING (event_id, stretch)
              GROUP BY s.event_id, s.stretch, s.length HAVING count(p.place) <> s.length
              UNION ALL
              SELECT format('event %s: stretch %s begins inside of another', event_id, stretch)
              FROM (SELECT event_id, stretch, first,
                           lag(first + length) OVER (PARTITION BY event_id ORDER BY first) AS free
                    FROM stretches) s
              WHERE first < free OR first % 8 <> 0
              UNION ALL
              SELECT format('event %s: stretch %s is number %s', event_id, stretch, number)
              FROM (SELECT event_id, stretch, row_number() OVER (
                        PARTITION BY event_id ORDER BY stretch) - 1 AS number
                    FROM stretches) s
              WHERE stretch <> number",
    },
];
