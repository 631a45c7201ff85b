-- Take one unit off sale for an auction ($3 = 1, kind 'auction'), or put it back on sale ($3 = -1, 'auction_back').
-- $1 variant, $2 kind, $3 how many. Returns the stock row's version; no row: there are not enough.
WITH moved AS (
  UPDATE stock SET available = available - $3, version = version + 1, updated_at = now()
  WHERE variant_id = $1 AND available >= $3
  RETURNING variant_id, version
), movement AS (
  INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta)
  SELECT variant_id, $2, -$3, 0, 0 FROM moved
), news AS (
  INSERT INTO outbox (kind, payload) SELECT 'stock', jsonb_build_object('variant_id', variant_id) FROM moved
)
SELECT version FROM moved
