"""The shop: HTTP, money, everything durable, and the composition root that wires the three rooms."""
