-- Auctions as they are shown, one JSON value each (store.auction_views.AuctionRow). $1 auctions.
-- One whose hammer has fallen is closing, whether or not that was written down yet.
SELECT json_build_object(
  'id', a.id, 'shop_id', a.shop_id, 'show_id', a.show_id, 'variant_id', a.variant_id, 'product_id', v.product_id,
  'currency', s.currency, 'version', a.version,
  'state', CASE WHEN a.state = 'open' AND clock_timestamp() > a.ends_at THEN 'closing' ELSE a.state END,
  'start_minor', a.start_minor, 'increment_minor', a.increment_minor, 'duration_ms', a.duration_ms,
  'extension_ms', a.extension_ms, 'latency_window_ms', a.latency_window_ms, 'misbid_ms', a.misbid_ms,
  'reserve_minor', a.reserve_minor,
  'price_minor', a.price_minor, 'next_minor', a.next_minor, 'bids', a.bids, 'reserve_met', a.reserve_met,
  'ends_ms', unix_ms(a.ends_at), 'cap_ms', unix_ms(a.cap_at), 'created_at', a.created_at, 'opened_at', a.opened_at,
  'ended_at', a.ended_at,
  'leader', (SELECT d.alias FROM auction_bidders d WHERE d.auction_id = a.id AND d.user_id = a.leader_id),
  'recent', (SELECT coalesce(json_agg(r ORDER BY r.bid_n), '[]') FROM (
      SELECT b.n AS bid_n, d.alias, b.amount_minor, unix_ms(b.received_at) AS at_ms,
             EXISTS (SELECT FROM auction_book k WHERE k.auction_id = a.id AND k.takes_back = b.n) AS retracted
      FROM auction_book b JOIN auction_bidders d USING (auction_id, user_id)
      WHERE b.auction_id = a.id AND b.takes_back IS NULL ORDER BY b.n DESC LIMIT 10) r),
  'offers', (SELECT coalesce(json_agg(json_build_object('n', f.n, 'alias', d.alias, 'user_id', f.user_id,
                'price_minor', f.price_minor, 'on_session', f.on_session, 'order_id', f.order_id,
                'order_state', o.state, 'failure', f.failure,
                'failure_code', o.failure_code) ORDER BY f.n), '[]')
             FROM auction_offers f JOIN auction_bidders d USING (auction_id, user_id)
             LEFT JOIN orders o ON o.id = f.order_id WHERE f.auction_id = a.id)
)::text
FROM auctions a JOIN shops s ON s.id = a.shop_id JOIN variants v ON v.id = a.variant_id
WHERE a.id = ANY($1::uuid[])
ORDER BY a.created_at, a.id
