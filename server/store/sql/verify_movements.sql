-- The first movement that is not what its kind does: units go from one place to another. Auctions are a
-- place of their own, beside the three.
SELECT 'stock_movements' AS "table", id::text, 'units moved as "' || kind || '" moves them' AS expected,
       concat_ws(', ', 'available ' || available_delta, 'held ' || held_delta, 'sold ' || sold_delta) AS found
FROM stock_movements
WHERE NOT CASE kind
    WHEN 'set'     THEN held_delta = 0 AND sold_delta = 0
    WHEN 'hold'    THEN held_delta > 0 AND available_delta = -held_delta AND sold_delta = 0
    WHEN 'sell'    THEN sold_delta > 0 AND held_delta = -sold_delta AND available_delta = 0
    WHEN 'release' THEN available_delta > 0 AND held_delta = -available_delta AND sold_delta = 0
    WHEN 'return'  THEN available_delta > 0 AND sold_delta = -available_delta AND held_delta = 0
    WHEN 'offer'   THEN held_delta > 0 AND available_delta = -held_delta AND sold_delta = 0
    WHEN 'offer_back' THEN available_delta > 0 AND held_delta = -available_delta AND sold_delta = 0
    WHEN 'auction' THEN available_delta < 0 AND held_delta = 0 AND sold_delta = 0
    WHEN 'auction_back' THEN available_delta > 0 AND held_delta = 0 AND sold_delta = 0
    WHEN 'award'   THEN held_delta > 0 AND available_delta = 0 AND sold_delta = 0
    WHEN 'award_back' THEN held_delta < 0 AND available_delta = 0 AND sold_delta = 0
    ELSE false END
ORDER BY id LIMIT 1
