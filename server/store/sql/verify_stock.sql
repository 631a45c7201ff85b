-- The first stock row that is not the sum of its movements.
SELECT 'stock' AS "table", variant_id::text AS id,
       concat_ws(', ', 'available ' || coalesce(m.a, 0), 'held ' || coalesce(m.h, 0), 'sold ' || coalesce(m.s, 0))
         || ' (the sums of its movements)' AS expected,
       coalesce(concat_ws(', ', 'available ' || s.available, 'held ' || s.held, 'sold ' || s.sold), 'missing')
         AS found
FROM stock s FULL JOIN (
  SELECT variant_id, sum(available_delta) AS a, sum(held_delta) AS h, sum(sold_delta) AS s
  FROM stock_movements GROUP BY variant_id) m USING (variant_id)
WHERE (coalesce(s.available, 0), coalesce(s.held, 0), coalesce(s.sold, 0))
      <> (coalesce(m.a, 0), coalesce(m.h, 0), coalesce(m.s, 0))
ORDER BY variant_id LIMIT 1
