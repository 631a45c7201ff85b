"""The domain, pure: money, offers, stock, orders and payments as values, rules and tables."""
