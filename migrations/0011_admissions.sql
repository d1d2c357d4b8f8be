-- What the admission controller learns from.

-- Places that were bought with the pass; none if it ended without a purchase.
ALTER TABLE passes ADD COLUMN places integer;

-- Passes that had ended without a purchase at the last decision, and those of them that did while
-- there was enough to choose from: the others tell nothing of how many of those who come buy.
ALTER TABLE waiting_rooms
    ADD COLUMN without_purchase bigint NOT NULL DEFAULT 0,
    ADD COLUMN left_a_choice bigint NOT NULL DEFAULT 0;
