"""The demo: `up` with embedded stores, demo payments, a sample shop and a show already on air."""
