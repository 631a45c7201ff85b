"""What happens to a tap: reserve, write down, charge, settle, refund. Stores and Stripe come in as ports."""
