-- Write placed orders with their lines, first attempts, movements and news; move the stock last.
-- $1 orders as JSON (placing._Order), $2 owner of the first lease on their charges, $3 its length in seconds.
-- Returns the stock rows that moved: fewer than there are variants means roll back.
WITH placed AS MATERIALIZED (
  SELECT * FROM json_to_recordset($1::json) AS o (
    id uuid, shop_id uuid, show_id uuid, user_id uuid, currency char(3), subtotal_minor bigint,
    shipping_minor bigint, tax_minor bigint, total_minor bigint, address jsonb, card_id uuid, digest text,
    show_first_name boolean, media_time bigint, idempotency_key text, customer_ref text,
    payment_method_ref text, lines json)
), line AS MATERIALIZED (
  SELECT p.id AS order_id, l.* FROM placed p, json_to_recordset(p.lines) AS l (
    position int, variant_id uuid, title text, variant_title text, quantity int, unit_price_minor bigint)
), new_orders AS (
  INSERT INTO orders (id, shop_id, show_id, user_id, state, currency, subtotal_minor, shipping_minor, tax_minor,
                      total_minor, address, card_id, request_sha256, show_first_name, media_time)
  SELECT id, shop_id, show_id, user_id, 'charging', currency, subtotal_minor, shipping_minor, tax_minor,
         total_minor, address, card_id, decode(digest, 'hex'), show_first_name, media_time FROM placed
), new_lines AS (
  INSERT INTO order_lines (order_id, position, variant_id, title, variant_title, quantity, unit_price_minor)
  SELECT order_id, position, variant_id, title, variant_title, quantity, unit_price_minor FROM line
), new_attempts AS (
  INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref,
                                amount_minor, state, lease_owner, lease_until)
  SELECT id, 1, idempotency_key, customer_ref, payment_method_ref, total_minor, 'leased', $2,
         now() + make_interval(secs => $3) FROM placed
), new_events AS (
  INSERT INTO order_events (order_id, kind, actor_id, detail)
  SELECT id, 'placed', user_id, jsonb_build_object('total_minor', total_minor) FROM placed
), movements AS (
  INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
  SELECT variant_id, 'hold', -quantity, quantity, 0, order_id FROM line ORDER BY order_id, position
), news AS (
  INSERT INTO outbox (kind, payload)
  SELECT DISTINCT 'stock', jsonb_build_object('variant_id', variant_id) FROM line
)
UPDATE stock s SET available = s.available - t.units, held = s.held + t.units,
                   version = s.version + 1, updated_at = now()
FROM (SELECT variant_id, sum(quantity)::int AS units FROM line GROUP BY variant_id) t
WHERE s.variant_id = t.variant_id AND s.available >= t.units
RETURNING s.variant_id
