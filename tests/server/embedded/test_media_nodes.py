"""How many media nodes a box runs, and what tells them apart."""

from __future__ import annotations

import os

from server.config import Settings
from server.embedded.media_nodes import media_nodes, origins
from server.embedded.ports import Port


def test_a_box_runs_one_a_core_with_ports_and_a_name_of_its_own() -> None:
    settings = Settings(stream_nodes=3, node_id="box", stream_announced=(("203.0.113.7", 8403),))
    nodes = media_nodes(settings)
    assert [node.name for node in nodes] == ["stream", "stream-2", "stream-3"]
    assert [node.url for node in nodes] == [f"http://127.0.0.1:{port}" for port in (8402, 8410, 8412)]
    assert nodes[0].environ == {}, "it is the one that the settings name"
    assert nodes[2].environ["HAWKER_NODE_ID"] == "box-3"
    assert nodes[2].environ["HAWKER_STREAM_UDP_PORT"] == "8413"
    assert nodes[2].environ["HAWKER_STREAM_ANNOUNCED"] == "203.0.113.7", "its media port is the one it binds"
    assert nodes[1].ports == (
        Port("media relay 2", "127.0.0.1", 8410),
        Port("media port 2", "127.0.0.1", 8411, udp=True),
    )
    assert (nodes[1].health.host, nodes[1].health.port) == ("127.0.0.1", 8410)


def test_pages_may_connect_to_each_of_them() -> None:
    settings = Settings(stream_nodes=2, stream_origins=("https://far.example",))
    assert origins(settings, media_nodes(settings)) == (
        "https://far.example,http://127.0.0.1:8402,http://127.0.0.1:8410"
    )


def test_unasked_there_is_one_a_core_unless_a_proxy_stands_in_front() -> None:
    cores = len(os.sched_getaffinity(0))
    assert len(media_nodes(Settings())) == cores
    behind = Settings(stream_public_url="https://media.example")
    assert [node.url for node in media_nodes(behind)] == ["https://media.example"]
    asked = Settings(stream_public_url="https://media.example", stream_nodes=2)
    assert media_nodes(asked)[1].url == "https://media.example:8410", "the proxy serves that, too"
