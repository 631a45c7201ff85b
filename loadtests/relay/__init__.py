"""Load on a relay, ours or a peer's: publishers, viewers, bad networks, what is measured of them."""
