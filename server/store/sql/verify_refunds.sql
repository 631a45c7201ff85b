-- The first refund that the payments don't bear out: carried out, and returned, exactly where it says so, in its amount.
WITH moved AS (
  SELECT refund_ref, min(id) AS id, sum(amount_minor) FILTER (WHERE kind = 'refund') AS given,
         sum(amount_minor) FILTER (WHERE kind = 'refund_returned') AS returned,
         min(payment_intent_ref) AS ref, max(payment_intent_ref) AS last_ref,
         min(order_id::text) AS order_id, max(order_id::text) AS last_order
  FROM payments WHERE kind <> 'charge' GROUP BY refund_ref
)
SELECT 'refunds' AS "table", coalesce(r.id::text, m.refund_ref) AS id,
       CASE WHEN m.given IS NULL THEN 'not carried out (no such payment)'
            ELSE 'carried out: ' || m.given || ' of ' || m.ref || ' (payment ' || m.id || ')'
              || coalesce(', returned: ' || m.returned, '') END AS expected,
       coalesce(r.state || ': ' || r.amount_minor || ' of ' || r.payment_intent_ref, 'missing') AS found
FROM (SELECT * FROM refunds WHERE state IN ('done', 'returned') OR state = 'queued' AND refund_ref IS NOT NULL) r
FULL JOIN moved m ON m.refund_ref = r.refund_ref
WHERE m.given IS NULL OR r.id IS NULL OR r.state NOT IN ('done', 'returned') OR r.amount_minor <> m.given
   OR (r.state = 'returned') <> (m.returned IS NOT NULL) OR m.returned <> m.given
   OR r.payment_intent_ref <> m.ref OR m.ref <> m.last_ref OR m.order_id <> m.last_order
   OR r.order_id::text IS DISTINCT FROM m.order_id
ORDER BY m.id NULLS FIRST, 2 LIMIT 1
