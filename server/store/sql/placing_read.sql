-- All that placing orders reads, as one JSON value (shop.allocation.Reading).
-- $1 shops, $2 variants (locked before), $3 buyers, $4 order ids. Cards and addresses: the newest first.
SELECT json_build_object(
  'shops', (SELECT coalesce(json_agg(s), '[]') FROM (
      SELECT id, currency, tax_rate_bp, flat_shipping_minor FROM shops WHERE id = ANY($1::uuid[])) s),
  'variants', (SELECT coalesce(json_agg(v), '[]') FROM (
      SELECT v.id, p.shop_id, p.title, v.title AS variant_title, v.price_minor, v.buyer_limit,
             v.state = 'active' AND p.state = 'active' AS active, s.available
      FROM variants v JOIN products p ON p.id = v.product_id JOIN stock s ON s.variant_id = v.id
      WHERE v.id = ANY($2::uuid[])) v),
  'buyers', (SELECT coalesce(json_agg(b), '[]') FROM (
      SELECT u.id, c.customer_ref,
        (SELECT coalesce(json_agg(json_build_object('id', k.id, 'payment_method_ref', k.payment_method_ref,
                'is_default', k.is_default) ORDER BY k.created_at DESC), '[]')
           FROM cards k WHERE k.user_id = u.id AND k.removed_at IS NULL) AS cards,
        (SELECT coalesce(json_agg(json_build_object('id', a.id, 'is_default', a.is_default,
                'content', json_build_object('name', a.name, 'line1', a.line1, 'line2', a.line2, 'city', a.city,
                  'region', a.region, 'postal_code', a.postal_code, 'country', a.country, 'phone', a.phone))
                ORDER BY a.created_at DESC), '[]')
           FROM addresses a WHERE a.user_id = u.id) AS addresses
      FROM users u LEFT JOIN payment_customers c ON c.user_id = u.id WHERE u.id = ANY($3::uuid[])) b),
  'bought', (SELECT coalesce(json_agg(t), '[]') FROM (
      SELECT o.user_id, l.variant_id, sum(l.quantity)::int AS units
      FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN variants v ON v.id = l.variant_id
      WHERE v.buyer_limit > 0 AND l.variant_id = ANY($2::uuid[]) AND o.user_id = ANY($3::uuid[])
        AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')
      GROUP BY 1, 2) t),
  'orders', (SELECT coalesce(json_agg(e), '[]') FROM (
      SELECT o.id, encode(o.request_sha256, 'hex') AS digest, o.state, o.total_minor, o.currency,
             o.failure_code, o.failure_message,
             (SELECT client_secret FROM payment_attempts a WHERE a.order_id = o.id
               AND a.state = 'action_needed' AND o.state = 'action_needed') AS client_secret
      FROM orders o WHERE o.id = ANY($4::uuid[])) e)
)::text
