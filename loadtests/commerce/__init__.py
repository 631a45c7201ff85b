"""Crowds that buy and bid while things break, and a reader of the books that shares no code with the path."""
