-- One order, whole (shop.record.OrderRecord). $1 order.
SELECT json_build_object(
  'id', o.id, 'shop_id', o.shop_id, 'show_id', o.show_id, 'user_id', o.user_id, 'number', o.number,
  'first_name', CASE WHEN o.show_first_name THEN split_part(u.display_name, ' ', 1) END,
  'state', o.state, 'currency', o.currency, 'total_minor', o.total_minor, 'refunded_minor', o.refunded_minor,
  'payment_intent_ref', o.payment_intent_ref, 'failure_code', o.failure_code,
  'failure_message', o.failure_message, 'auction_id', o.auction_id, 'drop_position', o.drop_position,
  'owed_minor', o.owed_minor, 'repaid_minor', o.repaid_minor,
  'lines', (SELECT json_agg(json_build_object('variant_id', l.variant_id, 'title', l.title,
              'variant_title', l.variant_title, 'quantity', l.quantity, 'flash_id', l.flash_id,
              'unit_price_minor', l.unit_price_minor) ORDER BY l.position)
            FROM order_lines l WHERE l.order_id = o.id),
  'attempts', (SELECT json_agg(json_build_object('attempt', a.attempt, 'state', a.state,
                 'idempotency_key', a.idempotency_key, 'customer_ref', a.customer_ref,
                 'payment_method_ref', a.payment_method_ref, 'amount_minor', a.amount_minor, 'tries', a.tries,
                 'age_s', extract(epoch FROM now() - a.created_at), 'client_secret', a.client_secret,
                 'off_session', a.off_session, 'failure_code', a.failure_code,
                 'payment_intent_ref', a.payment_intent_ref) ORDER BY a.attempt)
               FROM payment_attempts a WHERE a.order_id = o.id),
  'refunds', (SELECT coalesce(json_agg(json_build_object('id', r.id, 'amount_minor', r.amount_minor,
                'payment_intent_ref', r.payment_intent_ref, 'state', r.state, 'restock', r.restock,
                'refund_ref', r.refund_ref, 'failure_code', r.failure_code)), '[]')
              FROM refunds r WHERE r.order_id = o.id)
)::text
FROM orders o LEFT JOIN users u ON u.id = o.user_id
WHERE o.id = $1
