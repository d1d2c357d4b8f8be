//! The waiting room's passes and numbers, and what access codes were used for.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "18",
            name: "one pass per turn",
            proves: "no subject has two live passes of an event, or two passes for one turn",
        },
        when: When::Always,
        sql: "SELECT format('event %s: subject %s has %s live passes', event_id, subject, count(*))
              FROM passes WHERE ended_at IS NULL
              GROUP BY event_id, subject HAVING count(*) > 1
              UNION ALL
              SELECT format('event %s: subject %s has %s passes for place %s', event_id, subject,
                            count(*), place)
              FROM passes GROUP BY event_id, subject, place HAVING count(*) > 1",
    },
    Query {
        about: About {
            invariant: "18",
            name: "called before inside",
            proves: "every pass is for a place that its lane has called",
        },
        when: When::Always,
        sql: "SELECT format('pass %s: place %s, but lane %s of event %s serves %s', p.id, p.place,
                            p.lane, p.event_id, coalesce(l.serving::text, 'nobody'))
              FROM passes p LEFT JOIN waiting_lanes l USING (event_id, lane)
              WHERE l.serving IS NULL OR p.place >= l.serving",
    },
    Query {
        about: About {
            invariant: "18",
            name: "admitted rate",
            proves: "no minute had more new passes than the room ever allowed, and a second's burst",
        },
        when: When::Always,
        // At most 10 000 may come at once. An admission that was allowed is written up to 4 s
        // later, so that what is written in a minute was allowed in as much more than one.
        sql: "SELECT format('event %s: %s passes in the minute before %s, allowed are %s',
                            p.event_id, max(p.n), min(p.issued_at), b.most)
              FROM (SELECT event_id, issued_at, count(*) OVER (
                        PARTITION BY event_id ORDER BY issued_at
                        RANGE BETWEEN interval '60 s' PRECEDING AND CURRENT ROW) AS n
                    FROM passes) p
              LEFT JOIN (SELECT event_id, ceil(per_minute_max * 64 / 60.0)
                                + least(greatest(ceil(per_minute_max / 60.0), 1), 10000) AS most
                         FROM waiting_rooms) b USING (event_id)
              WHERE p.n > coalesce(b.most, 0)
              GROUP BY p.event_id, b.most",
    },
    Query {
        about: About {
            invariant: "18",
            name: "passes end for a reason",
            proves: "a pass that has ended says why, and one that lives has no reason",
        },
        when: When::Always,
        sql: "SELECT format('pass %s: ended at %s, reason %s', id, ended_at, reason) FROM passes
              WHERE (ended_at IS NULL) <> (reason IS NULL)
                 OR reason NOT IN ('bought', 'gave_up', 'timed_out', 'revoked')",
    },
    Query {
        about: About {
            invariant: "18",
            name: "numbers were reserved",
            proves: "nobody in line has a number that its lane never gave, or one of the draw's",
        },
        when: When::Always,
        // Null is a place in the draw, which is computed; numbers begin at 2^62.
        sql: "SELECT format('event %s: account %s has place %s in lane %s, whose ceiling is %s',
                            w.event_id, w.account, w.place, w.lane,
                            coalesce(l.ceiling::text, 'missing'))
              FROM waiting_places w LEFT JOIN waiting_lanes l USING (event_id, lane)
              WHERE l.ceiling IS NULL OR w.place >= l.ceiling OR w.place < 4611686018427387904",
    },
    Query {
        about: About {
            invariant: "15",
            name: "access codes",
            proves: "the uses of every limited access code equal a recount, and are within it",
        },
        when: When::Always,
        sql: "SELECT format('access code %s of event %s: %s uses of %s, %s redemptions', c.id,
                            c.event_id, c.uses, c.max_uses, coalesce(r.n, 0))
              FROM access_codes c
              LEFT JOIN (SELECT code, count(*) AS n FROM access_redemptions GROUP BY code) r
                     ON r.code = c.id
              WHERE c.max_uses IS NOT NULL
                AND (c.uses <> coalesce(r.n, 0) OR coalesce(r.n, 0) > c.max_uses)
              UNION ALL
              SELECT format('account %s has redeemed access code %s %s times', account, code,
                            count(*))
              FROM access_redemptions WHERE code IN (SELECT id FROM access_codes)
              GROUP BY account, code HAVING count(*) > 1",
    },
];
