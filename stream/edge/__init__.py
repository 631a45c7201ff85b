"""A broadcast from another node, pulled once by WHEP and served here as if its host were here."""
