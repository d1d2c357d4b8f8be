//! What the database itself must still refuse: keys, unique indexes, checks and edges.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "0",
            name: "keys in force",
            proves: "primary keys and unique indexes exist, are valid and cover what they must",
        },
        when: When::Always,
        sql: "SELECT format('%s on %s: %s', k.name, k.home,
                     coalesce('it is ' || f.definition, 'it does not exist or is not valid'))
              FROM (VALUES
                  ('orders', 'orders_pkey', '(id)'),
                  ('claims', 'claims_pkey', '(event_id, place)'),
                  ('tickets', 'tickets_pkey', '(event_id, place, serial)'),
                  ('tickets', 'tickets_one_live',
                   '(event_id, place) WHERE (status <> ''void''::text)'),
                  ('attempts', 'attempts_pkey', '(order_id, id)'),
                  ('attempts', 'attempts_one_open', '(order_id) WHERE (status = ANY '
                   '(ARRAY[''open''::text, ''processing''::text]))'),
                  ('attempts', 'attempts_one_charge',
                   '(order_id) WHERE ((status = ''succeeded''::text) AND (NOT unwanted))'),
                  ('attempts', 'attempts_reference_key', '(provider, reference)'),
                  ('refunds', 'refunds_pkey', '(id)'),
                  ('refunds', 'refunds_reference_key', '(provider, reference)'),
                  ('refunds', 'refunds_stray_key',
                   '(provider, intent) WHERE (order_id IS NULL)'),
                  ('disputes', 'disputes_pkey', '(provider, reference)'),
                  ('inbox', 'inbox_pkey', '(provider, event_id)'),
                  ('mails', 'mails_pkey', '(order_id, kind, nth)'),
                  ('offer_counts', 'offer_counts_pkey', '(event_id, offer)'),
                  ('promo_counts', 'promo_counts_pkey', '(event_id, promo)'),
                  ('epochs', 'epochs_pkey', '(event_id)'),
                  ('places', 'places_pkey', '(event_id, place)'),
                  ('stretches', 'stretches_pkey', '(event_id, stretch)'),
                  ('offers', 'offers_number_key', '(event_id, offer)'),
                  ('promo_codes', 'promo_codes_number_key', '(event_id, promo)'),
                  ('passes', 'passes_pkey', '(id)'),
                  ('passes', 'passes_one_live', '(event_id, subject) WHERE (ended_at IS NULL)'),
                  ('passes', 'passes_one_per_turn', '(event_id, subject, place)'),
                  ('waiting_places', 'waiting_places_pkey', '(event_id, account)'),
                  ('access_codes', 'access_codes_hash_key', '(event_id, hash)'),
                  ('access_redemptions', 'access_redemptions_pkey', '(code, account)')
              ) AS k (home, name, covers)
              LEFT JOIN LATERAL (
                  SELECT pg_get_indexdef(i.indexrelid) AS definition
                  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                  WHERE i.indrelid = to_regclass(k.home) AND c.relname = k.name
                    AND i.indisunique AND i.indisvalid AND i.indislive AND i.indisready
              ) f ON true
              WHERE f.definition IS NULL OR NOT f.definition LIKE '% btree ' || k.covers",
    },
    Query {
        about: About {
            invariant: "11",
            name: "edges enforced",
            proves: "triggers refuse every status change that is not a legal step",
        },
        when: When::Always,
        // Not asked are the two steps that every purchase takes, which are legal.
        sql: "SELECT format('trigger %s on %s is missing, disabled or another one',
                            k.name, k.home)
              FROM (VALUES ('events', 'events_edge', NULL), ('tickets', 'tickets_edge', NULL),
                           ('orders', 'orders_edge', 'paid'),
                           ('attempts', 'attempts_edge', 'succeeded'))
                   AS k (home, name, from_open_to)
              WHERE NOT EXISTS (
                  SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
                  WHERE t.tgrelid = to_regclass(k.home) AND t.tgname = k.name
                    AND f.proname = k.name AND t.tgenabled IN ('O', 'A')
                    AND pg_get_triggerdef(t.oid)
                        LIKE '% BEFORE UPDATE OF status ON % FOR EACH ROW ' || coalesce(
                            'WHEN ((NOT ((old.status = ''open''::text) AND (new.status = '
                            || quote_literal(k.from_open_to) || '::text)))) ', '')
                            || 'EXECUTE FUNCTION %')",
    },
    Query {
        about: About {
            invariant: "11",
            name: "values enforced",
            proves: "check constraints on statuses, amounts and counters exist and are validated",
        },
        when: When::Always,
        sql: "SELECT format('constraint %s on %s is missing or not validated', k.name, k.home)
              FROM (VALUES ('events', 'events_status_known'), ('orders', 'orders_status_known'),
                           ('orders', 'orders_total_not_negative'),
                           ('attempts', 'attempts_status_known'),
                           ('attempts', 'attempts_charged_iff_succeeded'),
                           ('tickets', 'tickets_status_known'),
                           ('refunds', 'refunds_status_known'),
                           ('offer_counts', 'offer_counts_not_negative'),
                           ('promo_counts', 'promo_counts_not_negative'),
                           ('passes', 'passes_reason_known'),
                           ('passes', 'passes_ended_for_a_reason'),
                           ('access_codes', 'access_codes_uses_within')) AS k (home, name)
              WHERE NOT EXISTS (
                  SELECT FROM pg_constraint c
                  WHERE c.conrelid = to_regclass(k.home) AND c.conname = k.name
                    AND c.contype = 'c' AND c.convalidated)",
    },
    Query {
        about: About {
            invariant: "11",
            name: "possible states",
            proves: "no row combines what no legal step produces",
        },
        when: When::Always,
        sql: "SELECT format('order %s: status %s', id, status) FROM orders
              WHERE status NOT IN ('open', 'cancelling', 'paid', 'disputed', 'refund_pending',
                                   'refunded', 'released', 'late', 'refund_due', 'abandoned',
                                   'retake')
              UNION ALL
              SELECT format('order %s is %s and has places, lines or a total', id, status)
              FROM orders WHERE status IN ('abandoned', 'retake')
                AND (cardinality(places) > 0 OR lines <> '[]' OR total <> 0)
              UNION ALL
              SELECT format('order %s (%s): late is %s, hold is %s', id, status, late, hold_id)
              FROM orders WHERE late <> (hold_id IS NOT NULL) OR late
                AND status NOT IN ('paid', 'disputed', 'refund_pending', 'refunded')
              UNION ALL
              SELECT format('order %s was re-taken under hold %s, which is no retake',
                            o.id, o.hold_id)
              FROM orders o LEFT JOIN orders r ON r.id = o.hold_id AND r.status = 'retake'
              WHERE o.hold_id IS NOT NULL AND r.id IS NULL
              UNION ALL
              SELECT format('order %s is disputed without an open dispute', o.id) FROM orders o
              WHERE o.status = 'disputed' AND NOT EXISTS (
                  SELECT FROM disputes d WHERE d.order_id = o.id AND d.status = 'open')
              UNION ALL
              SELECT format('attempt %s: status %s, charged %s', id, status, charged)
              FROM attempts
              WHERE status NOT IN ('open', 'processing', 'succeeded', 'cancelled')
                 OR (status = 'succeeded') <> (charged IS NOT NULL)
                 OR unwanted AND status <> 'succeeded'
              UNION ALL
              SELECT format('ticket %s-%s of order %s: status %s', t.place, t.serial, t.order_id,
                            t.status)
              FROM tickets t LEFT JOIN orders o ON o.id = t.order_id
              WHERE t.status NOT IN ('valid', 'used', 'suspended', 'void')
                 OR t.status = 'valid' AND o.status = 'disputed'
                 OR t.status = 'suspended' AND o.status <> 'disputed'
              UNION ALL
              SELECT format('ticket %s-%s: order %s (%s) never paid', t.place, t.serial,
                            t.order_id, coalesce(o.status, 'missing'))
              FROM tickets t LEFT JOIN orders o ON o.id = t.order_id
              WHERE o.id IS NULL OR o.status NOT IN
                    ('paid', 'disputed', 'refund_pending', 'refunded')
              UNION ALL
              SELECT format('refund %s: status %s', id, status) FROM refunds
              WHERE status NOT IN ('due', 'pending', 'done', 'failed')",
    },
    Query {
        about: About {
            invariant: "13",
            name: "inbox",
            proves: "each event of a provider was taken in once",
        },
        when: When::Always,
        sql: "SELECT format('%s event %s is in the inbox %s times', provider, event_id, count(*))
              FROM inbox GROUP BY provider, event_id HAVING count(*) > 1",
    },
];
