-- An order's whole trail on one page: the webhooks about its payments are found by them.
CREATE INDEX webhook_inbox_payment ON webhook_inbox
    ((coalesce(payload #>> '{data,object,payment_intent}', payload #>> '{data,object,id}')));
