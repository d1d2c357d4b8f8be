-- When whoever is inside last got no places, or lost those they had: unless they ask again, they
-- keep nothing from those who wait to be let in. See src/waiting_room/seekers.rs.
ALTER TABLE passes ADD COLUMN missed_at timestamptz;
