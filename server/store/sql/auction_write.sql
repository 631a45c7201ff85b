-- Write what was decided: who is new, the book's new lines, and where the auction stands after them.
-- $1 auction, $2 state, $3 last line, $4 bids, $5 price, $6 next, $7 leader, $8 reserve met, $9 hammer and $10 cap in
-- Unix ms, $11 now in Unix ms; new bidders as arrays: $12 person, $13 alias, $14 card; new lines as arrays: $15 number,
-- $16 person, $17 command, $18 maximum, $19 amount, $20 media time, $21 line taken back, $22 received in Unix ms.
-- Returns the auction's new version.
WITH admitted AS (
  INSERT INTO auction_bidders (auction_id, user_id, alias, card_id)
  SELECT $1, p.user_id, p.alias, p.card_id FROM unnest($12::uuid[], $13::text[], $14::uuid[]) AS p (user_id, alias, card_id)
), written AS (
  INSERT INTO auction_book (auction_id, n, user_id, command_id, max_minor, amount_minor, media_time, takes_back,
                            received_at, decided_at)
  SELECT $1, l.n, l.user_id, l.command_id, l.max_minor, l.amount_minor, l.media_time, l.takes_back,
         from_unix_ms(l.received_ms), from_unix_ms($11)
  FROM unnest($15::int[], $16::uuid[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[], $21::int[],
              $22::bigint[])
    AS l (n, user_id, command_id, max_minor, amount_minor, media_time, takes_back, received_ms)
)
UPDATE auctions SET state = $2, last_n = $3, bids = $4, price_minor = $5, next_minor = $6, leader_id = $7,
  reserve_met = $8, ends_at = from_unix_ms($9), cap_at = from_unix_ms($10), version = version + 1,
  opened_at = CASE WHEN $2 = 'open' THEN coalesce(opened_at, from_unix_ms($11)) ELSE opened_at END,
  ended_at = CASE WHEN $2 IN ('sold', 'unsold', 'cancelled') THEN coalesce(ended_at, from_unix_ms($11)) END,
  updated_at = clock_timestamp()
WHERE id = $1
RETURNING version
