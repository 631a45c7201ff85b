-- An auction's row under its lock, as one JSON value (store.auctions.Head). $1 auction.
SELECT json_build_object(
  'id', id, 'shop_id', shop_id, 'show_id', show_id, 'variant_id', variant_id, 'state', state, 'version', version,
  'alias_key', encode(alias_key, 'hex'), 'ends_ms', unix_ms(ends_at), 'cap_ms', unix_ms(cap_at), 'last_n', last_n,
  'terms', json_build_object('start_minor', start_minor, 'increment_minor', increment_minor,
    'duration_ms', duration_ms, 'extension_ms', extension_ms, 'max_extension_ms', max_extension_ms,
    'latency_window_ms', latency_window_ms, 'misbid_ms', misbid_ms, 'reserve_minor', reserve_minor)
)::text
FROM auctions WHERE id = $1 FOR UPDATE
