-- The first variant of which not as many units are off sale as auctions are up. One that is being charged has its
-- unit off sale only between one winner's failed payment and the next.
SELECT 'auctions' AS "table", 'variant ' || variant_id AS id,
       coalesce(m.off, 0) || ' units off sale (its movements)' AS expected,
       coalesce(a.up, 0) || ' auctions up, ' || coalesce(a.charging, 0) || ' being charged' AS found
FROM (SELECT variant_id, -sum(available_delta + held_delta) AS off FROM stock_movements
      WHERE kind IN ('auction', 'auction_back', 'award', 'award_back') GROUP BY 1) m
FULL JOIN (SELECT variant_id, count(*) FILTER (WHERE state <> 'charging') AS up,
                  count(*) FILTER (WHERE state = 'charging') AS charging
           FROM auctions WHERE state IN ('announced', 'open', 'closing', 'charging') GROUP BY 1) a
  USING (variant_id)
WHERE coalesce(m.off, 0) < coalesce(a.up, 0) OR coalesce(m.off, 0) > coalesce(a.up + a.charging, 0)
ORDER BY variant_id LIMIT 1
