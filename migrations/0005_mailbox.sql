-- Mails that went nowhere else: shown at /mailbox in the demo and in tests. The newest 1,000.
CREATE TABLE mailbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    uuid NOT NULL,
    kind        text NOT NULL,
    recipient   text NOT NULL,
    subject     text NOT NULL,
    -- The text part, and the whole message as it would have gone over the wire (RFC 5322).
    body        text NOT NULL,
    message     bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
