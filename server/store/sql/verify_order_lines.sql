-- The first order whose subtotal is not that of its lines.
SELECT 'orders' AS "table", o.id::text, 'a subtotal of ' || coalesce(l.minor, 0) || ' (its lines)' AS expected,
       o.subtotal_minor::text AS found
FROM orders o FULL JOIN (
  SELECT order_id, sum(quantity * unit_price_minor) AS minor FROM order_lines GROUP BY order_id) l
  ON l.order_id = o.id
WHERE o.subtotal_minor IS DISTINCT FROM coalesce(l.minor, 0)
ORDER BY o.number LIMIT 1
