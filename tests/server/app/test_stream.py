"""The stream role's settings, as the media node takes them."""

from __future__ import annotations

from server.app.stream import node_settings
from server.config import Settings


def test_a_node_is_told_what_the_settings_say() -> None:
    told = node_settings(
        Settings(stream_announced=(("203.0.113.7", 0),), stream_public_url="https://media.example")
    )
    assert told.announced == (("203.0.113.7", 0),)
    assert told.public_base_url == "https://media.example"
