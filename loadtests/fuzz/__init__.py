"""Malformed input for the relay, with a show on air that must not notice."""
