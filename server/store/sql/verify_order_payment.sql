-- The first order that its payments don't bear out: one charge of its total once paid, none before; what was given
-- back of that charge is what the order says was refunded.
WITH back AS (
  SELECT payment_intent_ref, sum(amount_minor) AS minor FROM payments WHERE kind = 'refund' GROUP BY 1
), line AS (
  SELECT order_id, sum(quantity * unit_price_minor) AS minor FROM order_lines GROUP BY 1
), known AS (
  SELECT o.id, o.number, o.state, o.total_minor, o.currency, o.refunded_minor, o.subtotal_minor,
         o.payment_intent_ref AS ref, p.order_id, p.amount_minor, p.currency AS charged_in,
         coalesce(b.minor, 0) AS back_minor, coalesce(l.minor, 0) AS lines_minor,
         o.state IN ('paid', 'fulfilled', 'refunded') AS paid
  FROM orders o
  LEFT JOIN payments p ON p.payment_intent_ref = o.payment_intent_ref AND p.kind = 'charge'
  LEFT JOIN back b ON b.payment_intent_ref = o.payment_intent_ref
  LEFT JOIN line l ON l.order_id = o.id
)
SELECT 'orders' AS "table", id::text, CASE
         WHEN lines_minor <> subtotal_minor THEN 'a subtotal of ' || lines_minor || ' (its lines)'
         WHEN NOT paid THEN 'no payment (state ' || state || ')'
         WHEN order_id IS DISTINCT FROM id OR amount_minor <> total_minor OR charged_in <> currency
           THEN 'one charge of ' || total_minor || ' ' || currency
         WHEN back_minor <> refunded_minor THEN 'refunded ' || back_minor || ' (its payments)'
         ELSE 'refunded in full' END AS expected,
       CASE
         WHEN lines_minor <> subtotal_minor THEN subtotal_minor::text
         WHEN NOT paid THEN ref
         WHEN order_id IS DISTINCT FROM id OR amount_minor <> total_minor OR charged_in <> currency
           THEN coalesce(ref || ': ' || amount_minor || ' ' || charged_in, coalesce(ref, 'none') || ': no charge')
         ELSE 'refunded ' || refunded_minor END AS found
FROM known
WHERE lines_minor <> subtotal_minor
   OR (NOT paid AND ref IS NOT NULL)
   OR (paid AND (order_id IS DISTINCT FROM id OR amount_minor <> total_minor OR charged_in <> currency))
   OR (paid AND back_minor <> refunded_minor)
   OR (state = 'refunded' AND refunded_minor <> total_minor)
ORDER BY number LIMIT 1
