-- Who publishes a broadcast, over all nodes: one credential at a time. A node that says nothing more for the
-- lease's life lets go of it.
-- KEYS[1]  the lease: a hash of `credential` and `node`
-- ARGV     what to do (claim, keep, release), credential, node, life in ms
-- Returns  1, or 0 where another node has the broadcast for another credential: nothing is changed then
--
-- Two nodes may have it for the same credential: a host who moves is on both for a moment. The one that was
-- claimed last is then the lease's. On one node the node itself decides who takes over from whom.
local doing, credential, node, life = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local held = redis.call('HMGET', KEYS[1], 'credential', 'node')
local is_ours, is_same = held[2] == node, held[1] == credential
if doing == 'release' then
  if is_ours then redis.call('DEL', KEYS[1]) end
  return 1
end
if held[2] and not is_ours and not is_same then return 0 end
if not held[2] or (doing == 'claim' and is_same) or (doing == 'keep' and not is_same) then
  redis.call('HSET', KEYS[1], 'credential', credential, 'node', node)
end
redis.call('PEXPIRE', KEYS[1], life)
return 1
