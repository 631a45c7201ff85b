-- What placing orders reads of what others may change, as one JSON value (shop.allocation.Contested).
-- What was bought at a flash price with a limit of its own is counted by the flash price, too. Time is this server's.
-- $1 variants, $2 buyers, $3 order ids, $4 order ids that don't count as bought: this transaction's own.
SELECT json_build_object(
  'variants', (SELECT coalesce(json_agg(v), '[]') FROM (
      SELECT v.id, p.shop_id, p.title, v.title AS variant_title, v.price_minor, v.buyer_limit,
             v.state = 'active' AND p.state = 'active' AS active, s.available, d.id AS drop_id,
             CASE WHEN d.opens_at > statement_timestamp()
               THEN (extract(epoch FROM d.opens_at) * 1000)::bigint END AS opens_ms,
             CASE WHEN f.id IS NOT NULL THEN json_build_object('id', f.id, 'price_minor', f.price_minor,
               'buyer_limit', f.buyer_limit) END AS flash,
             coalesce(d.state = 'sold_out', true)
               AND EXISTS (SELECT FROM waitlist w WHERE w.variant_id = v.id AND w.state = 'waiting') AS waiting
      FROM variants v JOIN products p ON p.id = v.product_id JOIN stock s ON s.variant_id = v.id
      LEFT JOIN drops d ON d.variant_id = v.id AND d.over_at IS NULL
      LEFT JOIN flash_prices f ON f.variant_id = v.id AND f.over_at IS NULL
                              AND f.starts_at <= statement_timestamp() AND f.ends_at > statement_timestamp()
      WHERE v.id = ANY($1::uuid[])) v),
  'bought', (SELECT coalesce(json_agg(t), '[]') FROM (
      SELECT o.user_id, l.variant_id, sum(l.quantity)::int AS units
      FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN variants v ON v.id = l.variant_id
      WHERE v.buyer_limit > 0 AND l.variant_id = ANY($1::uuid[]) AND o.user_id = ANY($2::uuid[])
        AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled') AND o.id <> ALL($4::uuid[])
      GROUP BY 1, 2
      UNION ALL
      SELECT o.user_id, f.id, sum(l.quantity)::int
      FROM flash_prices f JOIN order_lines l ON l.flash_id = f.id JOIN orders o ON o.id = l.order_id
      WHERE f.variant_id = ANY($1::uuid[]) AND f.over_at IS NULL AND f.buyer_limit > 0
        AND o.user_id = ANY($2::uuid[])
        AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled') AND o.id <> ALL($4::uuid[])
      GROUP BY 1, 2 ORDER BY 1, 2) t),
  'now_ms', (extract(epoch FROM statement_timestamp()) * 1000)::bigint,
  'orders', (SELECT coalesce(json_agg(e), '[]') FROM (
      SELECT o.id, encode(o.request_sha256, 'hex') AS digest, o.state, o.total_minor, o.currency,
             o.drop_position AS position, o.failure_code, o.failure_message,
             (SELECT client_secret FROM payment_attempts a WHERE a.order_id = o.id
               AND a.state = 'action_needed' AND o.state = 'action_needed') AS client_secret
      FROM orders o WHERE o.id = ANY($3::uuid[])) e)
)::text
