-- The first order that its payments don't bear out: one charge of its total once paid, none before; what was given
-- back of that charge, and not returned, is what the order says was refunded.
WITH back AS (
  SELECT payment_intent_ref, sum(CASE kind WHEN 'refund' THEN amount_minor ELSE -amount_minor END) AS minor,
         coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund_returned'), 0) AS returned
  FROM payments WHERE kind <> 'charge' GROUP BY 1
), known AS (
  SELECT o.id, o.number, o.state, o.total_minor, o.currency, o.refunded_minor, o.payment_intent_ref AS ref,
         p.order_id, p.amount_minor, p.currency AS charged_in, coalesce(b.minor, 0) AS back_minor,
         coalesce(b.returned, 0) AS returned,
         o.state IN ('paid', 'fulfilled', 'refunded') AS paid
  FROM orders o
  LEFT JOIN payments p ON p.payment_intent_ref = o.payment_intent_ref AND p.kind = 'charge'
  LEFT JOIN back b ON b.payment_intent_ref = o.payment_intent_ref
), judged AS (
  SELECT *, order_id IS DISTINCT FROM id OR amount_minor <> total_minor OR charged_in <> currency AS not_its
  FROM known
)
SELECT 'orders' AS "table", id::text, CASE
         WHEN NOT paid THEN 'no payment (state ' || state || ')'
         WHEN not_its THEN 'one charge of ' || total_minor || ' ' || currency
         WHEN back_minor <> refunded_minor THEN 'refunded ' || back_minor || ' (its payments)'
         ELSE 'refunded in full, or returned by the bank' END AS expected,
       CASE
         WHEN NOT paid THEN ref
         WHEN not_its THEN coalesce(ref, 'none') || ': ' || coalesce(amount_minor || ' ' || charged_in, 'no charge')
         ELSE 'refunded ' || refunded_minor END AS found
FROM judged
WHERE (NOT paid AND ref IS NOT NULL)
   OR (paid AND (not_its OR back_minor <> refunded_minor))
   OR (state = 'refunded' AND refunded_minor + returned < total_minor)
ORDER BY number LIMIT 1
