"""How peers meet: SDP, and the WHIP and WHEP resources over HTTP."""
