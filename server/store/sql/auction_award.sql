-- Write an offer and its order: charging, with its first attempt, its history, and the auction's unit held for it.
-- $1 order, $2 auction, $3 number of the offer, $4 person, $5 price, $6 on session, $7 shipping, $8 tax, $9 total,
-- $10 currency, $11 address as JSON, $12 card, $13 digest, $14 show first name, $15 title, $16 variant title,
-- $17 idempotency key, $18 customer, $19 payment method, $20 owner of the first lease on the charge, $21 its seconds,
-- $22 the letter that tells its buyer.
WITH a AS MATERIALIZED (
  SELECT * FROM auctions WHERE id = $2
), placed AS (
  INSERT INTO orders (id, shop_id, show_id, user_id, state, currency, subtotal_minor, shipping_minor, tax_minor,
                      total_minor, address, card_id, request_sha256, show_first_name, auction_id)
  SELECT $1, shop_id, show_id, $4, 'charging', $10, $5, $7, $8, $9, $11::text::jsonb, $12, $13, $14, id FROM a
), line AS (
  INSERT INTO order_lines (order_id, position, variant_id, title, variant_title, quantity, unit_price_minor)
  SELECT $1, 0, variant_id, $15, $16, 1, $5 FROM a
), attempt AS (
  INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref, amount_minor,
                                state, lease_owner, lease_until, off_session)
  VALUES ($1, 1, $17, $18, $19, $9, 'leased', $20, now() + make_interval(secs => $21), NOT $6)
), happened AS (
  INSERT INTO order_events (order_id, kind, actor_id, detail)
  VALUES ($1, 'auction_won', $4, jsonb_build_object('amount_minor', $5::bigint)),
         ($1, 'placed', $4, jsonb_build_object('total_minor', $9::bigint))
), offered AS (
  INSERT INTO auction_offers (auction_id, n, user_id, price_minor, on_session, order_id)
  VALUES ($2, $3, $4, $5, $6, $1)
), news AS (
  INSERT INTO outbox (kind, payload)
  VALUES ('personal', jsonb_build_object('order_id', $1::uuid, 'user_id', $4::uuid)),
         ('order_mail', jsonb_build_object('letter', $22::text, 'order_id', $1::uuid))
), movement AS (
  INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
  SELECT variant_id, 'award', 0, 1, 0, $1 FROM a
)
UPDATE stock SET held = held + 1, version = version + 1, updated_at = now()
WHERE variant_id = (SELECT variant_id FROM a)
