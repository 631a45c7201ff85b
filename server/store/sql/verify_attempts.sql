-- The first attempt to charge that the payments don't bear out: one that says paid has its charge, in its amount.
SELECT 'payment_attempts' AS "table", a.order_id || ':' || a.attempt AS id,
       CASE WHEN a.state = 'paid' THEN 'a charge of ' || a.amount_minor ELSE 'state paid (payment ' || p.id || ')' END
         AS expected,
       CASE WHEN a.state = 'paid' THEN coalesce(a.payment_intent_ref || ': ' || p.amount_minor,
                                              coalesce(a.payment_intent_ref, 'none') || ': no charge')
            ELSE a.state END AS found
FROM payment_attempts a
LEFT JOIN payments p ON p.payment_intent_ref = a.payment_intent_ref AND p.kind = 'charge'
WHERE (a.state = 'paid' AND (p.id IS NULL OR p.order_id <> a.order_id OR p.amount_minor <> a.amount_minor))
   OR (a.state <> 'paid' AND p.id IS NOT NULL)
ORDER BY a.created_at, a.order_id, a.attempt LIMIT 1
