-- Move an order's units: $1 order, $2 kind of movement, $3..$5 what one unit does to available, held and sold.
-- Its stock rows are locked in the order of their ids. Returns the variants that moved; a place that would
-- fall below zero moves nothing.
WITH line AS (
  SELECT variant_id, quantity FROM order_lines WHERE order_id = $1
), locked AS MATERIALIZED (
  SELECT s.variant_id FROM stock s JOIN line USING (variant_id) ORDER BY s.variant_id FOR UPDATE OF s
), moved AS (
  UPDATE stock s SET available = s.available + $3 * l.quantity, held = s.held + $4 * l.quantity,
                     sold = s.sold + $5 * l.quantity, version = s.version + 1, updated_at = now()
  FROM locked k JOIN line l USING (variant_id)
  WHERE s.variant_id = k.variant_id AND s.available + $3 * l.quantity >= 0
  RETURNING s.variant_id
)
INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
SELECT variant_id, $2, $3 * quantity, $4 * quantity, $5 * quantity, $1 FROM moved JOIN line USING (variant_id)
RETURNING variant_id
