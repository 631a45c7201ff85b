from typing import Any

WINDOW: int

class Lane:
    def __init__(self, session: Any, context: int, address: tuple[Any, ...]) -> None: ...
    def move(self, address: tuple[Any, ...]) -> None: ...
    def number(self, track: int, numbers: tuple[int, int, int, int, int, int]) -> None: ...
    def close(self) -> None: ...

class Sender:
    gso: bool
    def __init__(self, fd: int, protect: int, protect_rtcp: int) -> None: ...
    def send(
        self,
        lanes: tuple[Lane, ...],
        packets: tuple[bytes, ...],
        sizes: list[int],
        kinds: bytes,
        frame: int,
        numbers: tuple[int, int, int, int, int, int] | None,
        wait_ms: int,
    ) -> tuple[int, int, int, int, int, int, int, int]: ...
    def send_rtcp(self, lane: Lane, packet: bytes) -> tuple[int, int, int, int, int, int, int, int]: ...
