//! Rehearsals charge nobody, tell nobody, and leave nothing.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "22",
            name: "rehearsals charge nobody",
            proves: "a shadow's orders are paid nowhere but in the rehearsal, and no others there",
        },
        when: When::Always,
        sql: "SELECT format('order %s of %s event %s is paid with %s', o.id,
                            CASE WHEN r.event_id IS NULL THEN 'the real' ELSE 'the shadow' END,
                            o.event_id, a.provider)
              FROM attempts a JOIN orders o ON o.id = a.order_id
              LEFT JOIN rehearsals r ON r.event_id = o.event_id
              WHERE (r.event_id IS NOT NULL) <> (a.provider = 'rehearsal')
              UNION ALL
              SELECT format('payment %s was cancelled, and its order %s is %s', p.attempt, o.id,
                            o.status)
              FROM rehearsal_payments p JOIN attempts a ON a.id = p.attempt
              JOIN orders o ON o.id = a.order_id
              WHERE p.state = 'cancelled' AND a.status = 'succeeded'",
    },
    Query {
        about: About {
            invariant: "22",
            name: "rehearsals tell nobody",
            proves: "no mail about a shadow's order was sent, or waits to be",
        },
        when: When::Always,
        sql: "SELECT format('mail (%s) to order %s: %s', m.kind, o.id,
                            CASE WHEN m.sent_at IS NULL THEN 'waits' ELSE 'was sent' END)
              FROM mails m JOIN orders o ON o.id = m.order_id
              JOIN rehearsals r ON r.event_id = o.event_id
              WHERE m.sent_at IS NOT NULL OR m.due_at < 'infinity'",
    },
    Query {
        about: About {
            invariant: "22",
            name: "rehearsals end",
            proves: "rehearsals end in time and are removed soon after, whatever died meanwhile",
        },
        when: When::AtRest,
        sql: "SELECT format('%s was to end at %s', event_id, ends_at) FROM rehearsals
              WHERE ended_at IS NULL AND ends_at < now() - (SELECT grace FROM scope)
              UNION ALL
              SELECT format('%s ended at %s and is still there', event_id, ended_at)
              FROM rehearsals
              WHERE removed_at IS NULL AND ended_at < now() - (SELECT grace FROM scope)",
    },
    Query {
        about: About {
            invariant: "22",
            name: "nothing without an event",
            proves: "what belongs to an event that is gone is gone as well",
        },
        when: When::Always,
        // Suspicion is of one event, or of none: then it has the nil id.
        sql: "SELECT format('%s of event %s, which is gone: %s', x.what, x.event_id, x.name)
              FROM (
                  SELECT 'order', event_id, id::text FROM orders
                  UNION ALL SELECT 'claim', event_id, place::text FROM claims
                  UNION ALL SELECT 'past claim', event_id, place::text FROM claims_history
                  UNION ALL SELECT 'ticket', event_id, place::text FROM tickets
                  UNION ALL SELECT 'pass', event_id, id::text FROM passes
                  UNION ALL SELECT 'place in line', event_id, account::text FROM waiting_places
                  UNION ALL SELECT 'call', event_id, place::text FROM waiting_calls
                  UNION ALL SELECT 'offer count', event_id, offer::text FROM offer_counts
                  UNION ALL SELECT 'promo count', event_id, promo::text FROM promo_counts
                  UNION ALL SELECT 'payment', event_id, attempt::text FROM rehearsal_payments
              ) AS x (what, event_id, name)
              WHERE NOT EXISTS (SELECT FROM events e WHERE e.id = x.event_id)
              UNION ALL
              SELECT format('rehearsal %s is removed, and its event is there', r.event_id)
              FROM rehearsals r JOIN events e ON e.id = r.event_id
              WHERE r.removed_at IS NOT NULL",
    },
];
