-- A small event with an order in every state, made by the engine's own functions.
--
-- Order n has the id n, belongs to account n and was made by n@x.y.
--   1 paid, with a promo code      2 refunded           3 open          4 disputed
--   5 free and paid                6 released           7 refund pending
--   8 paid late, places re-taken   9 paid late, refund due
--  10 paid at the second attempt, after a charge of another amount      11 cancelling
CREATE TEMP TABLE wanted AS
SELECT n, ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid AS id, price, places
FROM (VALUES (1, 1100::bigint, '{0,1}'::integer[]), (2, 1100, '{2,3}'), (3, 1100, '{4,5}'),
             (4, 1100, '{16,17}'), (5, 0, '{32,33}'), (6, 1100, '{6,7}'), (7, 1100, '{19}'),
             (8, 1100, '{18}'), (9, 1100, '{22}'), (10, 1100, '{20}'), (11, 1100, '{21}'))
     AS w (n, price, places);

INSERT INTO venues (id, organizer_id, name, address, time_zone)
SELECT :event, id, 'Hall', '', 'UTC' FROM organizers;
INSERT INTO events (id, organizer_id, venue_id, slug, name, starts_at, currency, status,
                    account_limit, orphan_rule, return_seconds)
SELECT :event, id, :event, 'audited', 'Audited', now() + interval '9 days', 'EUR', 'on_sale', 6,
       false, 0
FROM organizers;
INSERT INTO epochs (event_id, epoch) VALUES (:event, 3);
INSERT INTO channels (event_id, channel, code, name)
VALUES (:event, 0, 'public', 'Public'), (:event, 1, 'fans', 'Fans');
INSERT INTO levels (event_id, level, code, name, color)
VALUES (:event, 0, 'A', 'Seats', '#000000'), (:event, 1, 'B', 'Floor', '#000000');
INSERT INTO sections (event_id, section, code, name, area)
VALUES (:event, 0, 'S', 'Seats', false), (:event, 1, 'G', 'Floor', true);
-- Two rows of ten seats and an area of twenty. Place 8 is killed, 24 and 25 are the fans'.
INSERT INTO stretches (event_id, stretch, first, length, level, class, section)
VALUES (:event, 0, 0, 10, 0, 0, 0), (:event, 1, 16, 10, 0, 0, 0), (:event, 2, 32, 20, 1, 2, 1);
INSERT INTO places (event_id, place, stretch, section, level, row_label, seat_label, killed,
                    channel)
SELECT :event, p, s.stretch, s.section, s.level, CASE WHEN s.level = 0 THEN s.stretch END,
       CASE WHEN s.level = 0 THEN p - s.first + 1 END, p = 8,
       CASE WHEN p IN (24, 25) THEN 1 ELSE 0 END
FROM stretches s CROSS JOIN generate_series(s.first, s.first + s.length - 1) p;
INSERT INTO price_types (event_id, price_type, code, name) VALUES (:event, 0, 'adult', 'Adult');
INSERT INTO offers (id, event_id, offer, name, level, price_type, channel, quota)
VALUES (gen_random_uuid(), :event, 1, 'Seat', 0, 0, 0, 17),
       (gen_random_uuid(), :event, 2, 'Floor', 1, 0, 0, NULL),
       (gen_random_uuid(), :event, 3, 'Fans', 0, 0, 1, 2);
INSERT INTO offer_tiers (offer_id, tier, price) SELECT id, 0, 1100 FROM offers;
INSERT INTO promo_codes (id, event_id, promo, code, max_uses)
VALUES (gen_random_uuid(), :event, 1, 'FANS', 1);

SELECT claim_orders(
    array_agg(id), array_agg(:event::uuid), array_agg(3), array_agg(id), array_agg(n || '@x.y'),
    array_agg(n || '@x.y'), array_agg(0::smallint), array_agg(CASE n WHEN 1 THEN 1 END),
    array_agg('EUR'::text), array_agg(price * cardinality(places)),
    array_agg(jsonb_build_array(jsonb_build_object(
        'offer', CASE WHEN places[1] < 32 THEN 1 ELSE 2 END, 'tier', 0, 'places', places,
        'price', price * 10 / 11, 'fee', price / 11, 'tax', 0, 'discount', 0))),
    array_agg(''::bytea), array_agg(false), array_agg(900), array_agg('{}'::jsonb),
    array_agg(id), array_agg('sandbox'::text), array_agg('sb_' || n),
    array_agg(upto - cardinality(places) + 1), array_agg(upto),
    (SELECT array_agg(w.n ORDER BY w.n) FROM wanted w CROSS JOIN unnest(w.places)),
    (SELECT array_agg(p ORDER BY w.n, p) FROM wanted w CROSS JOIN unnest(w.places) p))
FROM (SELECT *, (sum(cardinality(places)) OVER (ORDER BY n))::integer AS upto
      FROM wanted ORDER BY n) w;

SELECT settle_charges('{sandbox}', ARRAY['evt_' || n], ARRAY[id], ARRAY[id], ARRAY['sb_' || n],
                      ARRAY[price * cardinality(places)], '{EUR}')
FROM wanted WHERE n IN (1, 2, 4, 7);
SELECT settle_charges('{""}', ARRAY[NULL::text], ARRAY[id], ARRAY[NULL::uuid], '{""}', '{0}',
                      '{""}')
FROM wanted WHERE n = 5;
SELECT request_refund(id, 'asked') FROM wanted WHERE n IN (2, 7);
SELECT note_refund(id, provider, intent, 're_2', NULL, amount, currency, 'done')
FROM refunds WHERE intent = 'sb_2';
SELECT note_dispute('sandbox', 'dp_4', 'sb_4', 'open');

SELECT begin_cancel(id) FROM wanted WHERE n IN (6, 8, 9, 11);
SELECT note_attempt(id, id, 'sb_' || n, 'cancelled') FROM wanted WHERE n IN (6, 8, 9);
SELECT release_order(id, 'unpaid') FROM wanted WHERE n IN (6, 8, 9);
INSERT INTO attempts (order_id, id, provider, reference, status, amount, currency, charged)
SELECT id, gen_random_uuid(), 'sandbox', 'sb_late_' || n, 'succeeded', 1100, 'EUR', 1100
FROM wanted WHERE n IN (8, 9);
UPDATE orders SET status = 'late' WHERE id IN (SELECT id FROM wanted WHERE n IN (8, 9));
SELECT retake_order(id, :retake, 3, places, (SELECT lines FROM orders o WHERE o.id = w.id))
FROM wanted w WHERE n = 8;
SELECT refund_late(id) FROM wanted WHERE n = 9;

SELECT settle_charges('{sandbox}', '{evt_10}', ARRAY[id], ARRAY[id], '{sb_10}', '{1}', '{EUR}')
FROM wanted WHERE n = 10;
INSERT INTO attempts (order_id, id, provider, reference, amount, currency)
SELECT id, :retake, 'sandbox', 'sb_10b', 1100, 'EUR' FROM wanted WHERE n = 10;
SELECT settle_charges('{sandbox}', '{evt_10b}', ARRAY[id], ARRAY[:retake::uuid], '{sb_10b}',
                      '{1100}', '{EUR}')
FROM wanted WHERE n = 10;
SELECT abandon_hold(:abandoned, :event, :abandoned, 'abandoned');
-- The rebuild brings Redis what these commits left to be mirrored.
DELETE FROM mirror;

-- A waiting room that was lifted in the meantime: two have a number, one of them is inside, as is
-- one who was drawn, and two passes have ended.
INSERT INTO waiting_rooms (event_id, state, per_minute) VALUES (:event, 'lifted', 60);
INSERT INTO waiting_lanes (event_id, lane, code, name, kind, draw_at, opens_at, seed, beacon_name,
                           serving, ceiling)
SELECT :event, 0, 'general', 'General', 'general', now(), now(), sha256(''), 'a coin',
       base + 10, base + 1000
FROM (VALUES (4611686018427387904)) AS b (base);
INSERT INTO waiting_places (event_id, account, lane, place)
VALUES (:event, :1:, 0, 4611686018427387904), (:event, :2:, 0, 4611686018427388900),
       (:event, :3:, 0, NULL);
INSERT INTO passes (id, event_id, lane, subject, place, expires_at, ended_at, reason)
VALUES (:1:, :event, 0, :1:, 4611686018427387904, now() + interval '1 h', NULL, NULL),
       (:2:, :event, 0, :3:, 77, now() + interval '1 h', NULL, NULL),
       (:3:, :event, 0, :4:, 78, now() + interval '1 h', now(), 'bought'),
       (:4:, :event, 0, :1:, 79, now() + interval '1 h', now(), 'gave_up');

-- A code that two may use and one has, one that is used up, and one without a limit.
INSERT INTO code_sets (id, event_id, name, binding, codes) VALUES (:1:, :event, 'Fans', 'bearer', 3);
INSERT INTO access_codes (event_id, code_set, hash, prefix, max_uses, uses)
VALUES (:event, :1:, '0123456789abcdea', 'A', 2, 1), (:event, :1:, '0123456789abcdeb', 'B', 1, 1),
       (:event, :1:, '0123456789abcdec', 'C', NULL, 0);
INSERT INTO access_redemptions (code, account)
SELECT id, :1:::uuid FROM access_codes
UNION ALL SELECT id, :2:::uuid FROM access_codes WHERE prefix = 'C';
