"""Ways to sell beyond a pin: flash prices, drops, waitlists: their commands, and what is told of them."""
