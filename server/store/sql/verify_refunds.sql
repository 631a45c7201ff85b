-- The first refund that the payments don't bear out: carried out exactly where it says so, in its amount.
SELECT 'refunds' AS "table", coalesce(r.id::text, p.refund_ref) AS id,
       CASE WHEN p.id IS NULL THEN 'not carried out (no such payment)'
            ELSE 'carried out: ' || p.amount_minor || ' of ' || p.payment_intent_ref || ' (payment ' || p.id || ')'
       END AS expected,
       coalesce(r.state || ': ' || r.amount_minor || ' of ' || r.payment_intent_ref, 'missing') AS found
FROM (SELECT * FROM refunds WHERE state = 'done' OR refund_ref IS NOT NULL) r
FULL JOIN (SELECT * FROM payments WHERE kind = 'refund') p ON p.refund_ref = r.refund_ref
WHERE p.id IS NULL OR r.id IS NULL OR r.state <> 'done' OR r.amount_minor <> p.amount_minor
   OR r.payment_intent_ref <> p.payment_intent_ref OR r.order_id IS DISTINCT FROM p.order_id
ORDER BY p.id NULLS FIRST, 2 LIMIT 1
