-- What an order for a won auction is made of, as one JSON value (store.auction_awards.Buyer). $1 auction, $2 person.
SELECT json_build_object(
  'currency', s.currency, 'tax_rate_bp', s.tax_rate_bp, 'flat_shipping_minor', s.flat_shipping_minor,
  'title', p.title, 'variant_title', v.title, 'show_first_name', u.show_first_name, 'customer_ref', c.customer_ref,
  'card', (SELECT json_build_object('id', k.id, 'payment_method_ref', k.payment_method_ref) FROM cards k
           WHERE k.user_id = u.id AND k.removed_at IS NULL
             AND make_date(k.exp_year, k.exp_month, 1) + interval '1 month' > now()
           ORDER BY k.is_default DESC, k.created_at DESC LIMIT 1),
  'address', (SELECT json_build_object('name', d.name, 'line1', d.line1, 'line2', d.line2, 'city', d.city,
                'region', d.region, 'postal_code', d.postal_code, 'country', d.country, 'phone', d.phone)
              FROM addresses d WHERE d.user_id = u.id ORDER BY d.is_default DESC, d.created_at DESC LIMIT 1),
  'over_limit', v.buyer_limit > 0 AND v.buyer_limit < 1 + (
      SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
      WHERE l.variant_id = v.id AND o.user_id = u.id
        AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled'))
)::text
FROM auctions a JOIN shops s ON s.id = a.shop_id JOIN variants v ON v.id = a.variant_id
JOIN products p ON p.id = v.product_id JOIN users u ON u.id = $2
LEFT JOIN payment_customers c ON c.user_id = u.id
WHERE a.id = $1
