-- What an event asks of its buyers at checkout: a name for each ticket, and that its terms are
-- accepted. Terms are kept by their digest and never changed or deleted: an order says which it
-- accepted (orders.details, "terms"), and what they said is found here for good. Names are in an
-- order's lines, beside their places, so that they move with these, and tickets are shown with
-- them from there. Shadows of rehearsals ask for nothing.

CREATE TABLE terms (
    -- SHA-256 of text and link.
    digest      bytea PRIMARY KEY CONSTRAINT terms_digest_whole CHECK (octet_length(digest) = 32),
    text        text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 5000),
    url         text CHECK (url LIKE 'https://%' AND char_length(url) <= 500),
    created_at  timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE events
    ADD COLUMN attendee_names boolean NOT NULL DEFAULT false,
    ADD COLUMN terms bytea REFERENCES terms;
