"""One publisher session: its packets into the broadcast, our feedback back to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .broadcast import Broadcast, Layer
from .ends import BroadcastViewer
from .intake import TURN_S, Intake
from .ports import Grant
from .signal.answer import Offer
from .wire.fanout import Fanout, Lane
from .wire.peer import Clock, Handle, Peer


class Publisher:
    """`on_closed` is called last, when nothing of the session is left."""

    kind = "whip"
    is_origin = True

    def __init__(
        self,
        session: str,
        grant: Grant,
        broadcast: Broadcast,
        offer: Offer,
        peer: Peer,
        fanout: Fanout,
        clock: Clock,
        on_closed: Callable[[Publisher, str], None],
    ) -> None:
        self.session = session
        self.grant = grant
        self.broadcast = broadcast
        self.peer = peer
        self.lane: Lane | None = None
        self._fanout = fanout
        self._clock = clock
        self._on_closed = on_closed
        self._timer: Handle | None = None
        self.intake = Intake(self, broadcast, offer, self._send)
        peer.owner = self

    @property
    def generation(self) -> str:
        """The newest ICE generation: it changes with each restart, and with nothing else."""
        return self.peer.ice.generations[-1].ufrag

    @property
    def counts(self) -> Counter[str]:
        return self.intake.counts

    def peer_connected(self, lane: Lane) -> None:
        self.lane = lane
        self._timer = self._clock.call_later(TURN_S, self._take_turn)

    def peer_sent_rtp(self, packet: bytes, now: float) -> None:
        self.intake.receive_rtp(packet, now)

    def peer_sent_rtcp(self, compound: bytes, now: float) -> None:
        self.intake.receive_rtcp(compound, now)

    def peer_closed(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.lane = None
        self.broadcast.publisher_left(self, self._clock.time())
        self._on_closed(self, reason)

    def close(self, reason: str) -> None:
        self.peer.close(reason)

    def request_keyframe(self, layer: Layer[BroadcastViewer]) -> None:
        self.intake.request_keyframe(layer)

    def _take_turn(self) -> None:
        self._timer = self._clock.call_later(TURN_S, self._take_turn)
        now = self._clock.time()
        self.intake.take_turn(now)
        self.broadcast.take_turn(self, now, TURN_S)

    def _send(self, packet: bytes) -> bool:
        return self.lane is not None and self._fanout.send_rtcp(self.lane, packet)
