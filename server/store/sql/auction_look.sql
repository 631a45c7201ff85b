-- What is decided from, read after the lock, as one JSON value (store.auctions.Look).
-- $1 auction, $2 the last line already known, $3 people who want to bid.
-- The time is this server's, whoever asks. Of people not admitted yet: what they need before their first bid.
SELECT json_build_object(
  'now_ms', unix_ms(clock_timestamp()),
  'lines', (SELECT coalesce(json_agg(json_build_object('n', b.n, 'user_id', b.user_id, 'alias', d.alias,
              'command_id', b.command_id, 'max_minor', b.max_minor, 'amount_minor', b.amount_minor,
              'received_ms', unix_ms(b.received_at), 'media_time', b.media_time, 'takes_back', b.takes_back)
              ORDER BY b.n), '[]')
            FROM auction_book b JOIN auction_bidders d USING (auction_id, user_id)
            WHERE b.auction_id = $1 AND b.n > $2),
  'staff', (SELECT coalesce(json_agg(DISTINCT m.user_id), '[]') FROM memberships m
            JOIN auctions a ON a.shop_id = m.shop_id WHERE a.id = $1 AND m.user_id = ANY($3::uuid[])),
  'newcomers', (SELECT coalesce(json_agg(p), '[]') FROM (
      SELECT u.id AS user_id,
        EXISTS (SELECT FROM addresses d WHERE d.user_id = u.id) AS has_address,
        (SELECT k.id FROM cards k JOIN payment_customers c ON c.user_id = k.user_id
          WHERE k.user_id = u.id AND k.removed_at IS NULL
            AND make_date(k.exp_year, k.exp_month, 1) + interval '1 month' > now()
          ORDER BY k.is_default DESC, k.created_at DESC LIMIT 1) AS card_id
      FROM users u WHERE u.id = ANY($3::uuid[])
        AND NOT EXISTS (SELECT FROM auction_bidders d WHERE d.auction_id = $1 AND d.user_id = u.id)) p)
)::text
