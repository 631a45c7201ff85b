-- A refund may put the order's units back on sale.
ALTER TABLE refunds ADD COLUMN restock boolean NOT NULL DEFAULT false;
