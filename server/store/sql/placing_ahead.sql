-- What placing orders reads before it locks anything, as one JSON value (shop.allocation.Ahead): who buys, and from
-- which shops. $1 shops, $2 buyers. Cards and addresses: the newest first; cards
-- that have expired after all others.
SELECT json_build_object(
  'shops', (SELECT coalesce(json_agg(s), '[]') FROM (
      SELECT id, currency, tax_rate_bp, flat_shipping_minor FROM shops WHERE id = ANY($1::uuid[])) s),
  'buyers', (SELECT coalesce(json_agg(b), '[]') FROM (
      SELECT u.id, c.customer_ref,
        (SELECT coalesce(json_agg(json_build_object('id', k.id, 'payment_method_ref', k.payment_method_ref,
                'is_default', k.is_default AND NOT k.expired) ORDER BY k.expired, k.created_at DESC), '[]')
           FROM (SELECT *, (exp_year, exp_month) < (extract(year FROM now()), extract(month FROM now())) AS expired
                 FROM cards) k WHERE k.user_id = u.id AND k.removed_at IS NULL) AS cards,
        (SELECT coalesce(json_agg(json_build_object('id', a.id, 'is_default', a.is_default,
                'content', json_build_object('name', a.name, 'line1', a.line1, 'line2', a.line2, 'city', a.city,
                  'region', a.region, 'postal_code', a.postal_code, 'country', a.country, 'phone', a.phone))
                ORDER BY a.created_at DESC), '[]')
           FROM addresses a WHERE a.user_id = u.id) AS addresses
      FROM users u LEFT JOIN payment_customers c ON c.user_id = u.id WHERE u.id = ANY($2::uuid[])) b)
)::text
