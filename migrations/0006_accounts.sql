-- Buyers who sign in: by a one-time code or link that is mailed to them, never by a password.

-- One person is one account: the key is the address in lower case, without tags, and without dots
-- where the provider ignores them. Mail always goes to the address that the account began with.
CREATE TABLE accounts (
    id          uuid PRIMARY KEY,
    email       text NOT NULL,
    email_key   text NOT NULL CONSTRAINT accounts_email_key UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The one code of a person that may be valid, whether there is an account or not. Neither code
-- nor link is stored: both are computed from the id with a secret key (src/accounts/code.rs), so
-- a copy of this table signs nobody in. The row is also the mail's place in the outbox.
CREATE TABLE sign_ins (
    email_key     text PRIMARY KEY,
    id            uuid NOT NULL CONSTRAINT sign_ins_id_key UNIQUE,
    -- Where it was asked from; another address of an account is not written to.
    email         text NOT NULL,
    locale        text,
    -- The secret key's id.
    key           smallint NOT NULL,
    expires_at    timestamptz NOT NULL,
    used          boolean NOT NULL DEFAULT false,
    wrong         integer NOT NULL DEFAULT 0,
    -- Codes asked for in the hour since then, and wrong ones tried in the day since then.
    hour_from     timestamptz NOT NULL DEFAULT now(),
    requests      integer NOT NULL DEFAULT 1,
    day_from      timestamptz NOT NULL DEFAULT now(),
    wrong_in_day  integer NOT NULL DEFAULT 0,
    -- The mail.
    tries         integer NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    problem       text
) WITH (fillfactor = 70);
CREATE INDEX sign_ins_due ON sign_ins (due_at) WHERE sent_at IS NULL;
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

-- Sessions of people who have signed in. A token names session and generation; each rotation
-- raises the generation, and who comes with an old one ends the session.
CREATE TABLE account_sessions (
    id          uuid PRIMARY KEY,
    account     uuid NOT NULL REFERENCES accounts,
    created_at  timestamptz NOT NULL DEFAULT now(),
    rotated_at  timestamptz NOT NULL DEFAULT now(),
    generation  integer NOT NULL DEFAULT 1,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    user_agent  text NOT NULL DEFAULT ''
);
CREATE INDEX account_sessions_by_account ON account_sessions (account);
CREATE INDEX account_sessions_expires ON account_sessions (expires_at);
CREATE INDEX account_sessions_revoked ON account_sessions (revoked_at)
    WHERE revoked_at IS NOT NULL;

-- Whether places are only held for people who have signed in.
ALTER TABLE events ADD COLUMN needs_account boolean NOT NULL DEFAULT false;

-- Mails about no order: sign-in codes.
ALTER TABLE mailbox ALTER COLUMN order_id DROP NOT NULL;
