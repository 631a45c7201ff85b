-- The first variant of which offers from the waitlist hold other units than their movements set aside.
SELECT 'waitlist' AS "table", 'variant ' || variant_id AS id,
       coalesce(m.held, 0) || ' units offered (its movements)' AS expected, coalesce(w.units, 0) || ' offered' AS found
FROM (SELECT variant_id, sum(held_delta) AS held FROM stock_movements
      WHERE kind IN ('offer', 'offer_back') GROUP BY 1) m
FULL JOIN (SELECT variant_id, sum(offered) AS units FROM waitlist WHERE state = 'offered' GROUP BY 1) w
  USING (variant_id)
WHERE coalesce(m.held, 0) <> coalesce(w.units, 0)
ORDER BY variant_id LIMIT 1
