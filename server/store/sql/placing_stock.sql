-- Hold the stock of placed orders, whose rows are locked, with a movement a line, and tell of it.
-- Lines as arrays: $1 order, $2 variant, $3 quantity. Returns the stock rows that moved: fewer than there are
-- variants means roll back.
WITH line AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS l (order_id, variant_id, quantity)
), taken AS MATERIALIZED (
  SELECT variant_id, sum(quantity)::int AS units FROM line GROUP BY variant_id
), movements AS (
  INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
  SELECT variant_id, 'hold', -quantity, quantity, 0, order_id FROM line
), news AS (
  INSERT INTO outbox (kind, payload) SELECT 'stock', jsonb_build_object('variant_id', variant_id) FROM taken
)
UPDATE stock s SET available = s.available - t.units, held = s.held + t.units,
                   version = s.version + 1, updated_at = now()
FROM taken t
WHERE s.variant_id = t.variant_id AND s.available >= t.units
RETURNING s.variant_id
