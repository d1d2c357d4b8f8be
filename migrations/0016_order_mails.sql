-- What buyers ask for after they have paid: their confirmation once more, and another address for
-- their order (src/orders/contact).

-- The how many of its kind a mail is: 0 for what the engine tells by itself, which it tells once.
ALTER TABLE mails ADD COLUMN nth integer NOT NULL DEFAULT 0;
ALTER TABLE mails DROP CONSTRAINT mails_pkey,
    ADD CONSTRAINT mails_pkey PRIMARY KEY (order_id, kind, nth);
-- To whom, if not to the order's address as it is when the mail leaves: the one before a change is
-- told of it. With asked_by and created_at these rows are the record of changes. They are personal
-- data like orders.email and orders.email_key.
ALTER TABLE mails ADD COLUMN recipient text;
-- The account, signed in or not, whose wish it was; null for what the engine tells by itself.
ALTER TABLE mails ADD COLUMN asked_by uuid;

-- Where an order's mails go may change; what limits count by stays as it was bought.
COMMENT ON COLUMN orders.email IS 'Where mails about the order go now.';
COMMENT ON COLUMN orders.email_key IS 'The person who was named at checkout. Never changed: limits count by it.';
