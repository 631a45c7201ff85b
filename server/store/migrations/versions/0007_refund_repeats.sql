-- How often a refund was begun again under another key, since the provider failed and had done nothing.
ALTER TABLE refunds ADD COLUMN repeats integer NOT NULL DEFAULT 0 CHECK (repeats >= 0);
