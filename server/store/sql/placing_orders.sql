-- Write placed orders with their lines, first attempts and history. Touches no stock.
-- Orders as arrays, one element an order: $1 id, $2 shop, $3 show, $4 buyer, $5 currency, $6 subtotal, $7 shipping,
-- $8 tax, $9 total, $10 address as JSON, $11 card, $12 digest, $13 show first name, $14 media time, $15 idempotency
-- key, $16 customer, $17 payment method; their lines: $18 order, $19 position, $20 variant, $21 title, $22 variant
-- title, $23 quantity, $24 unit price; $25 owner of the first lease on their charges, $26 its length in seconds.
WITH placed AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[],
                       $8::bigint[], $9::bigint[], $10::text[], $11::uuid[], $12::bytea[], $13::boolean[],
                       $14::bigint[], $15::text[], $16::text[], $17::text[])
    AS o (id, shop_id, show_id, user_id, currency, subtotal_minor, shipping_minor, tax_minor, total_minor, address,
          card_id, digest, show_first_name, media_time, idempotency_key, customer_ref, payment_method_ref)
), new_orders AS (
  INSERT INTO orders (id, shop_id, show_id, user_id, state, currency, subtotal_minor, shipping_minor, tax_minor,
                      total_minor, address, card_id, request_sha256, show_first_name, media_time)
  SELECT id, shop_id, show_id, user_id, 'charging', currency, subtotal_minor, shipping_minor, tax_minor,
         total_minor, address::jsonb, card_id, digest, show_first_name, media_time FROM placed
), new_attempts AS (
  INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref,
                                amount_minor, state, lease_owner, lease_until)
  SELECT id, 1, idempotency_key, customer_ref, payment_method_ref, total_minor, 'leased', $25,
         now() + make_interval(secs => $26) FROM placed
), new_events AS (
  INSERT INTO order_events (order_id, kind, actor_id, detail)
  SELECT id, 'placed', user_id, jsonb_build_object('total_minor', total_minor) FROM placed
)
INSERT INTO order_lines (order_id, position, variant_id, title, variant_title, quantity, unit_price_minor)
SELECT * FROM unnest($18::uuid[], $19::int[], $20::uuid[], $21::text[], $22::text[], $23::int[], $24::bigint[])
