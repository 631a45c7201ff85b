-- The first order whose units are not where its state says: held while it is open, sold once paid, else nowhere.
-- Where a line's units moved in another number than it has, the line is named, else the order.
WITH due AS (
  SELECT l.order_id, l.variant_id, l.quantity, o.state, o.number,
         CASE WHEN o.state IN ('charging', 'action_needed') THEN l.quantity ELSE 0 END AS held,
         CASE WHEN o.state IN ('paid', 'fulfilled') OR (o.state = 'refunded' AND NOT EXISTS (
                     SELECT FROM refunds r WHERE r.order_id = o.id AND r.restock))
              THEN l.quantity ELSE 0 END AS sold
  FROM order_lines l JOIN orders o ON o.id = l.order_id
), moved AS (
  SELECT order_id, variant_id, sum(held_delta) AS held, sum(sold_delta) AS sold, max(held_delta) AS most
  FROM stock_movements WHERE order_id IS NOT NULL AND kind NOT IN ('offer', 'offer_back')
  GROUP BY order_id, variant_id
)
SELECT CASE WHEN d.quantity = m.most OR m.most IS NULL THEN 'orders' ELSE 'order_lines' END AS "table",
       CASE WHEN d.quantity = m.most OR m.most IS NULL THEN order_id::text
            ELSE order_id || ':' || variant_id END AS id,
       concat_ws(', ', 'held ' || coalesce(m.held, 0), 'sold ' || coalesce(m.sold, 0), m.most || ' in all')
         || ' of variant ' || variant_id || ' (its movements)' AS expected,
       coalesce(concat_ws(', ', 'held ' || d.held, 'sold ' || d.sold, d.quantity || ' in all')
         || ' (state ' || d.state || ')', 'no such line') AS found
FROM due d FULL JOIN moved m USING (order_id, variant_id)
WHERE (coalesce(d.held, 0), coalesce(d.sold, 0)) <> (coalesce(m.held, 0), coalesce(m.sold, 0))
   OR d.quantity <> m.most
ORDER BY d.number NULLS FIRST, variant_id LIMIT 1
