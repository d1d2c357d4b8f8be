-- Rehearsals: a shadow of an event, sold by the deployment as it runs, to nobody who pays.
--
-- For programs that know nothing of rehearsals a shadow is a draft, and so neither shown nor
-- sold; they may tell and charge all the same what others have sold. So that they don't is
-- refused here, by the two triggers below.

CREATE TABLE rehearsals (
    -- The shadow. No reference: the row outlives it, until nothing can be written any more.
    event_id    uuid PRIMARY KEY,
    -- Whose shadow it is.
    of_event    uuid NOT NULL,
    opens_at    timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- From then on nothing of it is sold; from then on nothing of it is left.
    ended_at    timestamptz,
    removed_at  timestamptz,
    CONSTRAINT rehearsals_in_order CHECK (opens_at < ends_at),
    CONSTRAINT rehearsals_end_before_removal CHECK (removed_at IS NULL OR ended_at IS NOT NULL)
);
CREATE UNIQUE INDEX rehearsals_one_per_event ON rehearsals (of_event) WHERE ended_at IS NULL;

-- What shadows' orders were paid with. No provider stands behind it: this table is all there is.
CREATE TABLE rehearsal_payments (
    attempt   uuid PRIMARY KEY,
    event_id  uuid NOT NULL,
    order_id  uuid NOT NULL,
    state     text NOT NULL CONSTRAINT rehearsal_payments_state_known CHECK
              (state IN ('succeeded', 'cancelled')),
    charged   bigint CHECK (charged > 0),
    at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rehearsal_payments_charged_iff_succeeded CHECK
        ((state = 'succeeded') = (charged IS NOT NULL))
);
CREATE INDEX rehearsal_payments_by_event ON rehearsal_payments (event_id);

-- A shadow's order is paid nowhere else, and nothing else is paid there. By statement: where there
-- is no rehearsal, a batch of orders pays for one look at an empty table.
CREATE FUNCTION attempts_of_rehearsals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh f WHERE f.provider = 'rehearsal')
       OR EXISTS (SELECT FROM rehearsals) THEN
        IF EXISTS (
            SELECT FROM fresh f JOIN orders o ON o.id = f.order_id
            LEFT JOIN rehearsals r ON r.event_id = o.event_id
            WHERE (r.event_id IS NOT NULL) <> (f.provider = 'rehearsal')
        ) THEN
            RAISE EXCEPTION 'a rehearsal charges nobody, and nobody pays by one'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'rehearsals_charge_nobody';
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER attempts_of_rehearsals AFTER INSERT ON attempts
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION attempts_of_rehearsals();

-- Nobody is told of a shadow's order: the mail counts as settled before anybody can send it.
CREATE FUNCTION mails_of_rehearsals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM rehearsals) THEN
        UPDATE mails m SET due_at = 'infinity', problem = 'rehearsal'
        FROM fresh f JOIN orders o ON o.id = f.order_id
             JOIN rehearsals r ON r.event_id = o.event_id
        WHERE m.order_id = f.order_id AND m.kind = f.kind;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER mails_of_rehearsals AFTER INSERT ON mails
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION mails_of_rehearsals();

-- Makes the shadow of an event: its places, terms, offers and waiting room, with nobody in them and
-- nothing sold. What has a time keeps its distance from the opening, which is p_opens. The
-- seeds of the lanes' draws are new, so that the real ones stay secret. Nobody is asked for an
-- account, and code sets have no codes: a shadow mails nothing that could be typed in.
CREATE FUNCTION make_rehearsal(
    p_event uuid, p_shadow uuid, p_slug text, p_opens timestamptz, p_ends timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_opening timestamptz;
    v_later interval;
    v_beacon text := 'a random number that is drawn when joining has closed';
BEGIN
    INSERT INTO rehearsals (event_id, of_event, opens_at, ends_at)
    VALUES (p_shadow, p_event, p_opens, p_ends);

    SELECT min(l.opens_at) INTO v_opening FROM waiting_lanes l
    WHERE l.event_id = p_event AND l.kind = 'general';
    SELECT coalesce(v_opening, min(f.starts_at), p_opens) INTO v_opening FROM offers f
    WHERE f.event_id = p_event AND f.active AND f.channel = 0 AND f.access_code IS NULL
      AND f.code_set IS NULL;
    v_later := p_opens - v_opening;

    INSERT INTO events (id, organizer_id, venue_id, slug, name, description, starts_at, currency,
                        status, account_limit, hold_seconds, hold_max_seconds, pay_seconds,
                        orphan_rule, focus_x, focus_y, return_seconds)
    SELECT p_shadow, e.organizer_id, e.venue_id, p_slug, e.name, e.description, e.starts_at,
           e.currency, 'draft', e.account_limit, e.hold_seconds, e.hold_max_seconds,
           e.pay_seconds, e.orphan_rule, e.focus_x, e.focus_y, e.return_seconds
    FROM events e WHERE e.id = p_event;
    INSERT INTO epochs (event_id) VALUES (p_shadow);
    INSERT INTO levels (event_id, level, code, name, color)
    SELECT p_shadow, level, code, name, color FROM levels WHERE event_id = p_event;
    INSERT INTO sections (event_id, section, code, name, area, outline)
    SELECT p_shadow, section, code, name, area, outline FROM sections WHERE event_id = p_event;
    INSERT INTO stretches (event_id, stretch, first, length, level, class, section)
    SELECT p_shadow, stretch, first, length, level, class, section
    FROM stretches WHERE event_id = p_event;
    INSERT INTO channels (event_id, channel, code, name)
    SELECT p_shadow, channel, code, name FROM channels WHERE event_id = p_event;
    INSERT INTO places (event_id, place, stretch, section, level, attributes, row_label,
                        seat_label, x, y, killed, channel)
    SELECT p_shadow, place, stretch, section, level, attributes, row_label, seat_label, x, y,
           killed, channel
    FROM places WHERE event_id = p_event;
    INSERT INTO price_types (event_id, price_type, code, name)
    SELECT p_shadow, price_type, code, name FROM price_types WHERE event_id = p_event;

    -- Names of what has one of its own are derived, so that references find them.
    INSERT INTO code_sets (id, event_id, name, starts_at, ends_at, max_uses, binding, revoked_at)
    SELECT md5(p_shadow::text || s.id::text)::uuid, p_shadow, s.name, s.starts_at + v_later,
           s.ends_at + v_later, s.max_uses, s.binding, s.revoked_at
    FROM code_sets s WHERE s.event_id = p_event;
    INSERT INTO offers (id, event_id, offer, name, level, price_type, channel, fee_fixed, fee_bp,
                        tax_bp, starts_at, ends_at, access_code, quota, min_per_order,
                        max_per_order, multiple_of, package_size, active, code_set)
    SELECT md5(p_shadow::text || f.id::text)::uuid, p_shadow, f.offer, f.name, f.level,
           f.price_type, f.channel, f.fee_fixed, f.fee_bp, f.tax_bp,
           coalesce(f.starts_at + v_later,
                    CASE WHEN NOT EXISTS (SELECT FROM waiting_rooms w WHERE w.event_id = p_event)
                         THEN p_opens END),
           f.ends_at + v_later, f.access_code, f.quota, f.min_per_order, f.max_per_order,
           f.multiple_of, f.package_size, f.active, md5(p_shadow::text || f.code_set::text)::uuid
    FROM offers f WHERE f.event_id = p_event;
    INSERT INTO offer_tiers (offer_id, tier, name, price, until_count, until)
    SELECT md5(p_shadow::text || t.offer_id::text)::uuid, t.tier, t.name, t.price,
           t.until_count, t.until + v_later
    FROM offer_tiers t JOIN offers f ON f.id = t.offer_id WHERE f.event_id = p_event;
    INSERT INTO promo_codes (id, event_id, promo, code, percent_bp, amount_off, max_uses,
                             starts_at, ends_at, active)
    SELECT gen_random_uuid(), p_shadow, promo, code, percent_bp, amount_off, max_uses,
           starts_at + v_later, ends_at + v_later, active
    FROM promo_codes WHERE event_id = p_event;

    INSERT INTO waiting_rooms (event_id, message, target_inside, per_minute, turn_seconds,
                               pass_seconds, missed, proof)
    SELECT p_shadow, message, target_inside, per_minute, turn_seconds, pass_seconds, missed, proof
    FROM waiting_rooms WHERE event_id = p_event;
    -- One can join from now on: nobody rehearses for a day.
    INSERT INTO waiting_lanes (event_id, lane, code, name, kind, access_code, share, joins_at,
                               draw_at, opens_at, closes_at, seed, beacon_name, code_set)
    SELECT p_shadow, l.lane, l.code, l.name, l.kind, l.access_code, l.share, now(),
           greatest(now(), l.draw_at + v_later), greatest(now(), l.opens_at + v_later),
           l.closes_at + v_later,
           sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), v_beacon,
           md5(p_shadow::text || l.code_set::text)::uuid
    FROM waiting_lanes l WHERE l.event_id = p_event;
END $$;

-- Ends a rehearsal: nothing is sold any more once this has committed, for it has waited for the
-- claims that were running. False if it had ended before.
CREATE FUNCTION end_rehearsal(p_shadow uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rehearsals SET ended_at = clock_timestamp()
    WHERE event_id = p_shadow AND ended_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE epochs SET epoch = epoch + 1, redis_run_id = NULL, claims_frozen = true
    WHERE event_id = p_shadow;
    UPDATE waiting_rooms SET state = 'closed', joining = false, version = version + 1
    WHERE event_id = p_shadow;
    UPDATE events SET version = version + 1 WHERE id = p_shadow;
    RETURN true;
END $$;

-- Deletes what was sold of a shadow, and who waited for it; of a rehearsal that has ended, and of
-- nothing else. Harmless twice.
CREATE FUNCTION remove_rehearsal_sales(p_shadow uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- One at a time: two would wait for one another's rows.
    PERFORM 1 FROM rehearsals WHERE event_id = p_shadow AND ended_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no rehearsal that has ended', p_shadow;
    END IF;
    -- Rows of batches, which may have other events' orders as well.
    DELETE FROM mirror m WHERE NOT EXISTS (
        SELECT FROM unnest(m.orders) AS u (id) LEFT JOIN orders o ON o.id = u.id
        WHERE o.event_id IS DISTINCT FROM p_shadow);
    DELETE FROM payment_deadlines m WHERE NOT EXISTS (
        SELECT FROM unnest(m.orders) AS u (id) LEFT JOIN orders o ON o.id = u.id
        WHERE o.event_id IS DISTINCT FROM p_shadow);
    DELETE FROM outbox m WHERE NOT EXISTS (
        SELECT FROM unnest(m.orders) AS u (id) LEFT JOIN orders o ON o.id = u.id
        WHERE o.event_id IS DISTINCT FROM p_shadow);

    DELETE FROM mails m USING orders o WHERE o.event_id = p_shadow AND m.order_id = o.id;
    DELETE FROM disputes d USING orders o WHERE o.event_id = p_shadow AND d.order_id = o.id;
    DELETE FROM refunds r USING orders o WHERE o.event_id = p_shadow AND r.order_id = o.id;
    DELETE FROM attempts a USING orders o WHERE o.event_id = p_shadow AND a.order_id = o.id;
    DELETE FROM rehearsal_payments WHERE event_id = p_shadow;
    DELETE FROM tickets WHERE event_id = p_shadow;
    DELETE FROM claims WHERE event_id = p_shadow;
    DELETE FROM claims_history WHERE event_id = p_shadow;
    DELETE FROM orders WHERE event_id = p_shadow;
    DELETE FROM offer_counts WHERE event_id = p_shadow;
    DELETE FROM promo_counts WHERE event_id = p_shadow;
    DELETE FROM passes WHERE event_id = p_shadow;
    DELETE FROM waiting_calls WHERE event_id = p_shadow;
    DELETE FROM waiting_places WHERE event_id = p_shadow;
    DELETE FROM suspicion WHERE event_id = p_shadow;
    DELETE FROM suspicion_overrides WHERE event_id = p_shadow;
    DELETE FROM suspicion_cards WHERE event_id = p_shadow;
    DELETE FROM places WHERE event_id = p_shadow;
END $$;

-- Deletes the rest, in a transaction after that one: places that are only just gone would be
-- looked at again for each of their stretches.
CREATE FUNCTION remove_rehearsal(p_shadow uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM remove_rehearsal_sales(p_shadow);
    DELETE FROM waiting_lanes WHERE event_id = p_shadow;
    DELETE FROM waiting_rooms WHERE event_id = p_shadow;
    DELETE FROM promo_codes WHERE event_id = p_shadow;
    DELETE FROM offer_tiers t USING offers f WHERE f.event_id = p_shadow AND t.offer_id = f.id;
    DELETE FROM offers WHERE event_id = p_shadow;
    DELETE FROM code_sets WHERE event_id = p_shadow;
    DELETE FROM price_types WHERE event_id = p_shadow;
    DELETE FROM stretches WHERE event_id = p_shadow;
    DELETE FROM channels WHERE event_id = p_shadow;
    DELETE FROM sections WHERE event_id = p_shadow;
    DELETE FROM levels WHERE event_id = p_shadow;
    DELETE FROM epochs WHERE event_id = p_shadow;
    DELETE FROM events WHERE id = p_shadow;
    DELETE FROM creations WHERE made = p_shadow;
    UPDATE rehearsals SET removed_at = coalesce(removed_at, clock_timestamp())
    WHERE event_id = p_shadow;
END $$;
