"""Money: the gateway to Stripe, its webhooks and keys; and beside them the payment simulator."""
