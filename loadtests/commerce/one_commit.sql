-- One order as one statement and one commit: what placing_write.sql does for a batch, and what is read before it.
-- $1 order, $2 shop, $3 show, $4 buyer, $5 variant, $6 quantity, $7 price seen, $8 digest, $9 key, $10 lease owner.
WITH moved AS (
  UPDATE stock SET available = available - $6, held = held + $6, version = version + 1, updated_at = now()
  WHERE variant_id = $5 AND available >= $6
  RETURNING variant_id
), wanted AS MATERIALIZED (
  SELECT v.id AS variant_id, p.title, v.title AS variant_title, v.price_minor, s.currency,
         v.price_minor * $6 AS subtotal_minor, s.flat_shipping_minor,
         (v.price_minor * $6 + s.flat_shipping_minor) * s.tax_rate_bp / (10000 + s.tax_rate_bp) AS tax_minor,
         c.customer_ref, k.id AS card_id, k.payment_method_ref,
         jsonb_build_object('name', a.name, 'line1', a.line1, 'line2', a.line2, 'city', a.city, 'region', a.region,
                            'postal_code', a.postal_code, 'country', a.country, 'phone', a.phone) AS address
  FROM moved m
  JOIN variants v ON v.id = m.variant_id AND v.state = 'active' AND v.price_minor = $7
  JOIN products p ON p.id = v.product_id AND p.state = 'active' AND p.shop_id = $2
  JOIN shops s ON s.id = $2
  JOIN payment_customers c ON c.user_id = $4
  JOIN LATERAL (SELECT id, payment_method_ref FROM cards WHERE user_id = $4 AND removed_at IS NULL
                ORDER BY is_default DESC, created_at DESC LIMIT 1) k ON true
  JOIN LATERAL (SELECT * FROM addresses WHERE user_id = $4
                ORDER BY is_default DESC, created_at DESC LIMIT 1) a ON true
  WHERE v.buyer_limit = 0
), new_order AS (
  INSERT INTO orders (id, shop_id, show_id, user_id, state, currency, subtotal_minor, shipping_minor, tax_minor,
                      total_minor, address, card_id, request_sha256)
  SELECT $1, $2, $3, $4, 'charging', currency, subtotal_minor, flat_shipping_minor, tax_minor,
         subtotal_minor + flat_shipping_minor, address, card_id, $8 FROM wanted
  RETURNING total_minor
), new_line AS (
  INSERT INTO order_lines (order_id, position, variant_id, title, variant_title, quantity, unit_price_minor)
  SELECT $1, 0, variant_id, title, variant_title, $6, price_minor FROM wanted
), new_attempt AS (
  INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref,
                                amount_minor, state, lease_owner, lease_until)
  SELECT $1, 1, $9, customer_ref, payment_method_ref, subtotal_minor + flat_shipping_minor, 'leased', $10,
         now() + interval '10 seconds' FROM wanted
), new_event AS (
  INSERT INTO order_events (order_id, kind, actor_id, detail)
  SELECT $1, 'placed', $4, jsonb_build_object('total_minor', total_minor) FROM new_order
), movement AS (
  INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
  SELECT variant_id, 'hold', -$6, $6, 0, $1 FROM wanted
), news AS (
  INSERT INTO outbox (kind, payload) SELECT 'stock', jsonb_build_object('variant_id', variant_id) FROM wanted
)
SELECT count(*) FROM wanted
