-- How long an offer out of a drop's waitlist stands.
ALTER TABLE drops ADD COLUMN offer_s integer NOT NULL DEFAULT 120 CHECK (offer_s BETWEEN 30 AND 3600);
