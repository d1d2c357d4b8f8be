//! What workers must have done within the bound.

use super::{About, Query, When};

pub const CHECKS: &[Query] = &[
    Query {
        about: About {
            invariant: "14",
            name: "nothing unsent",
            proves: "mirror, outbox and mails are empty beyond the bound",
        },
        when: When::AtRest,
        // A mail that was given up, or is no longer true, is due at infinity: nothing waits for it.
        // One that nothing is known against is on its way until it is due: it is sent again then,
        // in case its process has died.
        sql: "SELECT format('mirror row %s waits since %s', id, created_at) FROM mirror
              WHERE created_at < now() - (SELECT grace FROM scope)
              UNION ALL
              SELECT format('outbox row %s (%s) waits since %s', id, kind, created_at)
              FROM outbox WHERE created_at < now() - (SELECT grace FROM scope)
              UNION ALL
              SELECT format('mail (%s) to order %s waits since %s: %s', kind, order_id, created_at,
                            coalesce(problem, 'not tried'))
              FROM mails
              WHERE sent_at IS NULL AND due_at < 'infinity'
                AND CASE WHEN problem IS NULL THEN due_at ELSE created_at END
                    < now() - (SELECT grace FROM scope)",
    },
    Query {
        about: About {
            invariant: "21",
            name: "nobody is forgotten",
            proves: "every order that waits for something is on the list of those looked at",
        },
        when: When::Always,
        sql: "SELECT format('order %s (%s) will never be looked at again', o.id, o.status)
              FROM orders o
              LEFT JOIN (SELECT DISTINCT unnest(orders) AS id FROM payment_deadlines) d USING (id)
              WHERE o.status IN ('open', 'cancelling', 'late') AND d.id IS NULL",
    },
    Query {
        about: About {
            invariant: "21",
            name: "orders end",
            proves: "no order is on its way beyond its time and the bound",
        },
        when: When::AtRest,
        sql: "SELECT format('order %s is open, and was to be paid by %s', id, pay_by) FROM orders
              WHERE status = 'open' AND pay_by < now() - (SELECT grace FROM scope)
              UNION ALL
              SELECT format('order %s is %s since %s', id, status, changed_at) FROM orders
              WHERE status IN ('cancelling', 'late', 'refund_due', 'refund_pending')
                AND changed_at < now() - (SELECT grace FROM scope)",
    },
];
