-- Which process reads a provider's list of payments, and when it last began a page of it: all of
-- them at once would only use up what the provider allows. See src/workers/reconcile.rs.
CREATE TABLE provider_lists (
    provider text PRIMARY KEY,
    node     uuid NOT NULL,
    read_at  timestamptz NOT NULL DEFAULT now()
);
