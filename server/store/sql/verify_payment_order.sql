-- The first payment that no order bears out: a charge pays its order, or goes back whole; no more goes back than
-- was taken. What was given back at the provider comes on top of what we promised; what the bank returned, off.
WITH back AS (
  SELECT payment_intent_ref, sum(CASE kind WHEN 'refund' THEN amount_minor ELSE -amount_minor END) AS done
  FROM payments WHERE kind <> 'charge' GROUP BY 1
), promised AS (
  SELECT payment_intent_ref, sum(amount_minor) FILTER (WHERE state <> 'returned') AS minor,
         sum(amount_minor) FILTER (WHERE state <> 'returned' AND NOT at_provider) AS ours, sum(amount_minor) AS ever
  FROM refunds WHERE state <> 'failed' GROUP BY 1
)
SELECT 'payments' AS "table", p.id::text,
       CASE WHEN p.kind <> 'charge' THEN 'a charge it gives back'
            WHEN b.done > p.amount_minor OR q.ours > p.amount_minor
              THEN 'at most ' || p.amount_minor || ' given back'
            ELSE 'to pay order ' || p.order_id || ', or to go back' END AS expected,
       CASE WHEN p.kind <> 'charge' THEN p.payment_intent_ref || ' was never charged'
            WHEN b.done > p.amount_minor OR q.ours > p.amount_minor THEN greatest(b.done, q.ours)::text
            ELSE p.payment_intent_ref || ' keeps ' || p.amount_minor - coalesce(q.minor, 0) END AS found
FROM payments p
LEFT JOIN orders o ON o.id = p.order_id
LEFT JOIN back b ON b.payment_intent_ref = p.payment_intent_ref
LEFT JOIN promised q ON q.payment_intent_ref = p.payment_intent_ref
WHERE (p.kind = 'charge' AND (b.done > p.amount_minor OR q.ours > p.amount_minor))
   OR (p.kind = 'charge' AND o.payment_intent_ref IS DISTINCT FROM p.payment_intent_ref
       AND coalesce(q.ever, 0) < p.amount_minor)
   OR (p.kind <> 'charge' AND NOT EXISTS (
       SELECT FROM payments c WHERE c.kind = 'charge' AND c.payment_intent_ref = p.payment_intent_ref))
ORDER BY p.id LIMIT 1
