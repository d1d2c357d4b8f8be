//! Corruptions of Postgres: constraints dropped, rows changed behind the engine's back.

/// What it is called, exactly which checks it breaks, and how it is done.
pub struct Case {
    pub name: &'static str,
    pub breaks: &'static [&'static str],
    pub sql: &'static str,
}

const fn case(name: &'static str, breaks: &'static [&'static str], sql: &'static str) -> Case {
    Case { name, breaks, sql }
}

/// `:n:` is the id of order n.
pub const CASES: &[Case] = &[
    case("key_gone", &["keys in force"], "ALTER TABLE tickets DROP CONSTRAINT tickets_pkey"),
    case("index_gone", &["keys in force"], "DROP INDEX attempts_one_open"),
    case(
        "index_other",
        &["keys in force"],
        "DROP INDEX tickets_one_live; CREATE UNIQUE INDEX tickets_one_live
         ON tickets (event_id, place, order_id) WHERE status <> 'void'",
    ),
    case("trigger_off", &["edges enforced"], "ALTER TABLE orders DISABLE TRIGGER orders_edge"),
    case(
        "trigger_blind",
        &["edges enforced"],
        "DROP TRIGGER orders_edge ON orders;
         CREATE TRIGGER orders_edge BEFORE UPDATE OF status ON orders
             FOR EACH ROW WHEN (OLD.status <> 'paid') EXECUTE FUNCTION orders_edge()",
    ),
    case("trigger_gone", &["edges enforced"], "DROP TRIGGER tickets_edge ON tickets"),
    case(
        "check_gone",
        &["values enforced"],
        "ALTER TABLE orders DROP CONSTRAINT orders_total_not_negative",
    ),
    case(
        "two_claims",
        &["keys in force", "one claim per place", "all or nothing", "claims follow one another"],
        "ALTER TABLE claims DROP CONSTRAINT claims_pkey;
         INSERT INTO claims SELECT event_id, 0, :4:, true, claimed_at FROM claims WHERE place = 16",
    ),
    case(
        "two_tickets",
        &["keys in force", "one ticket per place", "tickets"],
        "DROP INDEX tickets_one_live;
         INSERT INTO tickets (event_id, place, serial, order_id) VALUES (:event, 0, 9, :10:)",
    ),
    case(
        "sold_unpaid",
        &["sold means paid", "drawer agrees"],
        "UPDATE claims SET sold = true WHERE order_id = :3:",
    ),
    case(
        "ownerless",
        &["claims have an owner", "claim before payment", "claimed is taken", "drawer agrees"],
        "INSERT INTO claims (event_id, place, order_id) VALUES (:event, 40, :6:)",
    ),
    case("claim_lost", &["all or nothing", "drawer agrees"], "DELETE FROM claims WHERE place = 1"),
    case(
        "nowhere",
        &["all or nothing", "claim before payment", "claimed is taken"],
        "INSERT INTO claims (event_id, place, order_id, sold) VALUES (:event, 999, :1:, true)",
    ),
    case(
        "lines_other",
        &["lines", "records follow orders"],
        "UPDATE orders SET lines = jsonb_set(lines, '{0,places}', '[0, 40]') WHERE id = :1:",
    ),
    case(
        "lines_nonsense",
        &["lines", "limits", "offer counts", "records follow orders"],
        "UPDATE orders SET lines = '{\"offer\": []}' WHERE id = :1:",
    ),
    case(
        "total_off",
        &["lines", "charged the total"],
        "UPDATE orders SET total = total + 1 WHERE id = :1:",
    ),
    case("ticket_lost", &["tickets"], "DELETE FROM tickets WHERE place = 16"),
    case("ticket_void", &["tickets"], "UPDATE tickets SET status = 'void' WHERE place = 0"),
    case("history_lost", &["history"], "DELETE FROM claims_history WHERE place = 6"),
    case(
        "history_extra",
        &["history"],
        "INSERT INTO claims_history (event_id, place, order_id, claimed_at, released_at, reason)
         VALUES (:event, 0, :1:, now() - interval '9 h', now() - interval '8 h', '')",
    ),
    case(
        "overlap",
        &["claims follow one another"],
        "UPDATE claims_history SET released_at = now() + interval '1 h' WHERE place = 18",
    ),
    case(
        "paid_early",
        &["claim before payment"],
        "UPDATE attempts SET created_at = created_at - interval '1 min' WHERE order_id = :1:",
    ),
    case(
        "two_open",
        &["keys in force", "one open attempt"],
        "DROP INDEX attempts_one_open;
         INSERT INTO attempts (order_id, id, provider, amount, currency)
         VALUES (:3:, :retake, 'sandbox', 2200, 'EUR')",
    ),
    case(
        "open_after_end",
        &["no release before the last word"],
        "ALTER TABLE attempts DISABLE TRIGGER attempts_edge;
         UPDATE attempts SET status = 'open' WHERE order_id = :6:;
         ALTER TABLE attempts ENABLE TRIGGER attempts_edge",
    ),
    case(
        "two_charges",
        &["keys in force", "charged once"],
        "DROP INDEX attempts_one_charge; INSERT INTO attempts
         (order_id, id, provider, reference, status, amount, currency, charged)
         VALUES (:1:, :retake, 'sandbox', 'sb_x', 'succeeded', 2200, 'EUR', 2200)",
    ),
    case(
        "charged_less",
        &["charged the total"],
        "UPDATE attempts SET charged = 1 WHERE order_id = :1:",
    ),
    case("paid_for_nothing", &["paid means charged"], "DELETE FROM attempts WHERE order_id = :1:"),
    case(
        "charged_unpaid",
        &["paid means charged"],
        "UPDATE attempts SET status = 'succeeded', charged = 2200 WHERE order_id = :3:",
    ),
    case(
        "refund_more",
        &["refunds within charges"],
        "UPDATE refunds SET amount = amount + 1 WHERE order_id = :2:",
    ),
    case(
        "refund_elsewhere",
        &["refunds within charges"],
        "INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
         VALUES (:retake, :1:, 'sandbox', 'sb_nobody', 5, 'EUR', '')",
    ),
    case(
        "refund_currency",
        &["refunds within charges"],
        "UPDATE refunds SET currency = 'USD' WHERE order_id = :2:",
    ),
    case(
        "no_order",
        &["payments map to orders"],
        "INSERT INTO attempts (order_id, id, provider, amount, currency)
         VALUES (gen_random_uuid(), :retake, 'sandbox', 1, 'EUR')",
    ),
    case(
        "shared_reference",
        &["keys in force", "payments map to orders"],
        "DROP INDEX attempts_reference_key;
         UPDATE attempts SET reference = 'sb_1' WHERE order_id = :3:",
    ),
    case("kept_silently", &["money without places"], "DELETE FROM refunds WHERE order_id = :9:"),
    case("kept_unwanted", &["money without places"], "DELETE FROM refunds WHERE order_id = :10:"),
    case(
        "refund_slow",
        &["refunds arrive"],
        "UPDATE refunds SET created_at = now() - interval '1 h' WHERE order_id = :7:",
    ),
    case(
        "refund_failed",
        &["refunds arrive"],
        "UPDATE refunds SET status = 'failed' WHERE order_id = :9:",
    ),
    case("impossible", &["possible states"], "DELETE FROM disputes"),
    case(
        "status_unknown",
        &["edges enforced", "values enforced", "possible states", "lines"],
        "ALTER TABLE orders DROP CONSTRAINT orders_status_known, DISABLE TRIGGER orders_edge;
         UPDATE orders SET status = 'lost' WHERE id = :abandoned",
    ),
    case(
        "suspended_paid",
        &["possible states"],
        "UPDATE tickets SET status = 'suspended' WHERE place = 0",
    ),
    case(
        "ticket_unpaid",
        &["tickets", "possible states"],
        "INSERT INTO tickets (event_id, place, serial, order_id) VALUES (:event, 4, 1, :3:)",
    ),
    case(
        "inbox_twice",
        &["keys in force", "inbox"],
        "ALTER TABLE inbox DROP CONSTRAINT inbox_pkey;
         INSERT INTO inbox SELECT * FROM inbox WHERE event_id = 'evt_1'",
    ),
    case(
        "unsent",
        &["nothing unsent"],
        "INSERT INTO outbox (kind, orders, created_at)
         VALUES ('paid', ARRAY[:1:::uuid], now() - interval '1 h')",
    ),
    case(
        "mail_unsent",
        &["nothing unsent"],
        "INSERT INTO mails (order_id, kind, created_at, due_at)
         VALUES (:1:, 'paid', now() - interval '1 h', now() - interval '1 h')",
    ),
    case(
        "mail_refused",
        &["nothing unsent"],
        "INSERT INTO mails (order_id, kind, created_at, due_at, problem)
         VALUES (:1:, 'paid', now() - interval '1 h', now() + interval '1 h', 'no relay')",
    ),
    case("offer_count", &["offer counts"], "UPDATE offer_counts SET places = places + 1"),
    case("promo_count", &["promo counts"], "DELETE FROM promo_counts"),
    case("quota", &["limits", "limits in Redis"], "UPDATE offers SET quota = 9 WHERE offer = 1"),
    case("promo_limit", &["limits", "limits in Redis"], "UPDATE promo_codes SET max_uses = 0"),
    case("account_limit", &["limits", "limits in Redis"], "UPDATE events SET account_limit = 1"),
    case("email_limit", &["limits"], "UPDATE orders SET email_key = 'same@x.y'"),
    case(
        "manifest",
        &["manifest", "stretches"],
        "UPDATE stretches SET length = 11 WHERE stretch = 1",
    ),
    case("forgotten", &["nobody is forgotten"], "DELETE FROM payment_deadlines"),
    case(
        "endless",
        &["orders end"],
        "UPDATE orders SET pay_by = now() - interval '1 h' WHERE id = :3:",
    ),
    case(
        "cancelling_on",
        &["orders end"],
        "UPDATE orders SET changed_at = now() - interval '1 h' WHERE id = :11:",
    ),
    case("run", &["generation"], "UPDATE epochs SET redis_run_id = 'another'"),
    case(
        "two_live_passes",
        &["keys in force", "one pass per turn"],
        "DROP INDEX passes_one_live;
         UPDATE passes SET ended_at = NULL, reason = NULL WHERE id = :4:",
    ),
    case(
        "turn_twice",
        &["keys in force", "one pass per turn"],
        "ALTER TABLE passes DROP CONSTRAINT passes_one_per_turn;
         UPDATE passes SET place = 4611686018427387904 WHERE id = :4:",
    ),
    case(
        "uncalled",
        &["called before inside"],
        "UPDATE passes SET place = 4611686018427387914 WHERE id = :1:",
    ),
    case("no_such_lane", &["called before inside"], "UPDATE passes SET lane = 3 WHERE id = :3:"),
    case(
        "too_many_let_in",
        &["admitted rate"],
        "INSERT INTO passes (id, event_id, lane, subject, place, expires_at, issued_at)
         SELECT gen_random_uuid(), :event, 0, gen_random_uuid(), n, now(),
                now() - interval '1 h' + n * interval '0.9 s'
         FROM generate_series(1, 70) n",
    ),
    case(
        "ended_silently",
        &["values enforced", "passes end for a reason"],
        "ALTER TABLE passes DROP CONSTRAINT passes_ended_for_a_reason;
         UPDATE passes SET reason = NULL WHERE id = :3:",
    ),
    case(
        "number_never_given",
        &["numbers were reserved"],
        "UPDATE waiting_places SET place = 4611686018427388904 WHERE account = :2:",
    ),
    case(
        "draw_written_down",
        &["numbers were reserved"],
        "UPDATE waiting_places SET place = 80 WHERE account = :3:",
    ),
    case(
        "code_uncounted",
        &["access codes"],
        "UPDATE access_codes SET uses = 0 WHERE prefix = 'A'",
    ),
    case("use_lost", &["access codes"], "DELETE FROM access_redemptions WHERE account = :1:"),
    case(
        "code_overused",
        &["values enforced", "access codes"],
        "ALTER TABLE access_codes DROP CONSTRAINT access_codes_uses_within;
         INSERT INTO access_redemptions SELECT id, :2: FROM access_codes WHERE prefix = 'B';
         UPDATE access_codes SET uses = 2 WHERE prefix = 'B'",
    ),
    case(
        "redeemed_twice",
        &["keys in force", "access codes"],
        "ALTER TABLE access_redemptions DROP CONSTRAINT access_redemptions_pkey;
         INSERT INTO access_redemptions SELECT id, :1: FROM access_codes WHERE prefix = 'C'",
    ),
    case(
        "rehearsal_charges",
        &["rehearsals charge nobody", "rehearsals end"],
        "INSERT INTO rehearsals (event_id, of_event, opens_at, ends_at)
         SELECT id, gen_random_uuid(), now() - interval '3 days', now() - interval '2 days'
         FROM events; UPDATE events SET status = 'on_sale'",
    ),
    case(
        "rehearsal_tells",
        &["rehearsals charge nobody", "rehearsals tell nobody"],
        "INSERT INTO rehearsals (event_id, of_event, opens_at, ends_at)
         SELECT id, gen_random_uuid(), now(), now() + interval '1 hour' FROM events;
         INSERT INTO mails (order_id, kind) VALUES (:1:, 'refunded');
         UPDATE mails SET sent_at = now() WHERE order_id = :1: AND kind = 'refunded'",
    ),
    case(
        "rehearsal_stays",
        &["rehearsals end"],
        "INSERT INTO rehearsals (event_id, of_event, opens_at, ends_at, ended_at)
         SELECT gen_random_uuid(), id, now() - interval '2 days', now(), now() - interval '1 day'
         FROM events",
    ),
    case(
        "rehearsal_leaves",
        &["nothing without an event"],
        "INSERT INTO rehearsal_payments (attempt, event_id, order_id, state)
         VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'cancelled')",
    ),
];
