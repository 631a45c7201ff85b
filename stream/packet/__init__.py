"""What a packet is and what may be done with it. Pure: bytes and `now` in, bytes and values out."""
