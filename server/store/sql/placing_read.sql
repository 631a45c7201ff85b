-- What placing orders reads of what others may change, as one JSON value (shop.allocation.Contested).
-- $1 variants, $2 buyers, $3 order ids, $4 order ids that don't count as bought: this transaction's own.
SELECT json_build_object(
  'variants', (SELECT coalesce(json_agg(v), '[]') FROM (
      SELECT v.id, p.shop_id, p.title, v.title AS variant_title, v.price_minor, v.buyer_limit,
             v.state = 'active' AND p.state = 'active' AS active, s.available
      FROM variants v JOIN products p ON p.id = v.product_id JOIN stock s ON s.variant_id = v.id
      WHERE v.id = ANY($1::uuid[])) v),
  'bought', (SELECT coalesce(json_agg(t), '[]') FROM (
      SELECT o.user_id, l.variant_id, sum(l.quantity)::int AS units
      FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN variants v ON v.id = l.variant_id
      WHERE v.buyer_limit > 0 AND l.variant_id = ANY($1::uuid[]) AND o.user_id = ANY($2::uuid[])
        AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled') AND o.id <> ALL($4::uuid[])
      GROUP BY 1, 2 ORDER BY 1, 2) t),
  'orders', (SELECT coalesce(json_agg(e), '[]') FROM (
      SELECT o.id, encode(o.request_sha256, 'hex') AS digest, o.state, o.total_minor, o.currency,
             o.failure_code, o.failure_message,
             (SELECT client_secret FROM payment_attempts a WHERE a.order_id = o.id
               AND a.state = 'action_needed' AND o.state = 'action_needed') AS client_secret
      FROM orders o WHERE o.id = ANY($3::uuid[])) e)
)::text
