"""Every session of a node, and every broadcast: who comes in, who takes over, who has to go.

Who closes whom: a peer closes itself (DTLS, consent), a session by DELETE, a broadcast closes all of its
sessions, the node all broadcasts. Whatever the cause, it ends in `Peer.close`, which frees the lane, the keys
and the addresses, and then in `_closed` here, which forgets the session.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from .broadcast import Broadcast
from .packet.overrun import Overrun
from .ports import BroadcastId, BroadcastState, Carried, Grant, Observer, Purpose
from .publisher import Publisher
from .signal.answer import (
    Choice,
    Local,
    Offer,
    Outgoing,
    candidate_lines,
    one_per_codec,
    write_answer,
)
from .signal.counter import ANSWER_WITHIN_S, Countered, able_viewer, as_offer
from .signal.errors import (
    ConflictError,
    NoSuchSessionError,
    NotAllowedError,
    UnavailableError,
    UnsupportedError,
)
from .signal.events import EventStream, EventStreams
from .viewer import Viewer
from .wire.dtls import Dtls, DtlsContext
from .wire.fanout import Fanout
from .wire.ice import Credentials, IceLite
from .wire.ingress import Ingress
from .wire.peer import Clock, Peer

AWAY_S = 600.0
"""How long viewers wait for a publisher before the broadcast is over."""
RETRY_S = 2
SECOND_HOST = "another publisher is on this broadcast; stop it, or use its stream key to take over"

Session = Publisher | Viewer
_RETURN_AFTER = frozenset(("draining", "node_stopped", "consent_lost", "handshake_timeout"))
"""Causes after which a viewer does well to begin another session."""


@dataclass(slots=True)
class Totals:
    """What closed sessions leave behind for the metrics."""

    closed: Counter[str] = field(default_factory=Counter)
    events: dict[BroadcastId, dict[str, Counter[str]]] = field(default_factory=dict)
    """Of broadcasts that go on, by kind of session."""
    on_join: Callable[[float], None] = lambda _: None

    def add(self, session: Session, reason: str) -> None:
        self.closed[reason] += 1
        of_broadcast = self.events.setdefault(session.broadcast.id, {})
        of_broadcast.setdefault(session.kind, Counter()).update(session.counts)


class Sessions:
    """The node's state between the wire and the resources. All calls are the event loop's."""

    def __init__(
        self,
        ingress: Ingress,
        fanout: Fanout,
        dtls: DtlsContext,
        clock: Clock,
        observer: Observer,
        *,
        candidates: Sequence[tuple[str, int]],
        max_sessions: int,
        takes_tcp: bool = False,
    ) -> None:
        self.broadcasts: dict[BroadcastId, Broadcast] = {}
        self.totals = Totals()
        self.events = EventStreams()
        self.is_draining = False
        self._by_id: dict[str, Session] = {}
        self._countered: dict[str, Countered] = {}
        self._ingress = ingress
        self._fanout = fanout
        self._dtls = dtls
        self._clock = clock
        self._observer = observer
        self._candidates = candidates
        self._max_sessions = max_sessions
        self._overrun = Overrun()
        self._takes_tcp = takes_tcp

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_id.values()))

    def publish(self, grant: Grant, offer: Offer) -> tuple[Session, str]:
        """The session and the answer; ConflictError when another publisher holds the broadcast."""
        self._admit(grant)
        broadcast = self.broadcast(grant.broadcast)
        held = _host(broadcast)
        if held is not None:
            if held.grant.credential != grant.credential:
                raise ConflictError(SECOND_HOST)
            held.close("taken_over")
            broadcast = self.broadcast(grant.broadcast)  # one that was never live has gone with it
        session, peer, local = self._peer(offer)
        publisher = Publisher(session, grant, broadcast, offer, peer, self._fanout, self._clock, self._closed)
        broadcast.take(publisher)
        return self._add(publisher, offer, local, None)

    def view(self, grant: Grant, offer: Offer) -> tuple[Session, str]:
        """The session and the answer; ConflictError "not_live" when nobody has published."""
        self._admit(grant)
        return self._view(self._on_air(grant), grant, offer)

    def counter(self, grant: Grant) -> tuple[Countered, str]:
        """A session to be and our own offer, to be answered within `ANSWER_WITHIN_S`; errors as of `view`."""
        self._admit(grant)
        broadcast = self._on_air(grant)
        offer = able_viewer(broadcast.profile_level_id)
        offer.video.choices = self._shared(broadcast, offer)
        session, local = secrets.token_hex(16), Credentials.random()
        countered = Countered(
            session,
            grant,
            local,
            self._clock.time() + ANSWER_WITHIN_S,
            lambda _: _drop(self._countered, session),
        )
        self._countered[session] = countered
        text = write_answer(offer, self._side(local), session=session, outgoing=_outgoing(broadcast))
        return countered, as_offer(text)

    def answered(self, countered: Countered, answer: Offer) -> Session:
        """The counter-offer is answered: the session begins. One that won't do leaves it waiting."""
        viewer, _ = self._view(self._on_air(countered.grant), countered.grant, answer, countered)
        del self._countered[countered.session]
        return viewer

    def _view(
        self, broadcast: Broadcast, grant: Grant, offer: Offer, countered: Countered | None = None
    ) -> tuple[Session, str]:
        offer.video.choices = self._shared(broadcast, offer)
        choices = [*offer.video.choices, *(offer.audio.choices if offer.audio else ())]
        session, peer, local = self._peer(offer, countered)
        viewer = Viewer(
            session, grant, broadcast, choices, peer, self._fanout, self._clock, self._closed, self._joined
        )
        broadcast.join(viewer)
        return self._add(viewer, offer, local, _outgoing(broadcast))

    def prefer(self, session: Session, rid: str | None) -> None:
        """The viewer wants no better layer than this; None: the best that gets through."""
        layers = {layer.rid: layer.index for layer in session.broadcast.layers if layer.rid}
        if rid is not None and rid not in layers:
            raise UnsupportedError(
                f"there is no such layer; there are {', '.join(layers) or 'none to choose'}",
                code="layer_unknown",
            )
        if isinstance(session, Viewer):
            session.choice.preferred = layers[rid] if rid is not None else None
            session.choose_layer(self._clock.time())

    def watch(self, session: Session, wanted: Sequence[str]) -> EventStream:
        """News for one viewer, beginning with how things stand; UnavailableError when too many listen."""
        stream, broadcast = EventStream(wanted), session.broadcast
        self.events.add(broadcast.id, session.session, stream)
        stream.begin(_news(broadcast))
        return stream

    def find(self, session: str, kind: str) -> Session | Countered:
        found = self._by_id.get(session) or self._countered.get(session)
        if found is None or found.kind != kind:
            raise NoSuchSessionError("no such session; it has ended, or never was")
        return found

    def find_for(self, session: str, kind: str, bearer: str | None) -> Session | Countered:
        """NoSuchSessionError, or NotAllowedError when the session wants a bearer token and this isn't it."""
        found = self.find(session, kind)
        wanted = found.grant.bearer_sha256
        if wanted is not None and not hmac.compare_digest(wanted, sha256((bearer or "").encode()).digest()):
            raise NotAllowedError("this session wants the bearer token that began it", code="bearer_invalid")
        return found

    def restart_ice(self, session: Session, remote_ufrag: str = "") -> Credentials:
        """New credentials for the same session; the old ones stay good until the new ones are used."""
        local = Credentials.random()
        session.peer.ice.restart(local, remote_ufrag)
        self._ingress.add(session.peer, local)
        return local

    def hosts(self) -> dict[BroadcastId, Publisher]:
        """Who publishes here, on air already or not."""
        return {id: host for id, held in self.broadcasts.items() if (host := _host(held)) is not None}

    def end(self, broadcast_id: BroadcastId, reason: str = "ended") -> None:
        """Closes a broadcast and everyone on it; unknown ones are over already."""
        broadcast = self.broadcasts.pop(broadcast_id, None)
        if broadcast is not None:
            broadcast.end(reason)
            self.totals.events.pop(broadcast_id, None)

    def sweep(self, now: float) -> None:
        """Every half second: lost peers, silent publishers, broadcasts that nobody came back to."""
        for session in self:
            session.peer.sweep(now)
        for countered in list(self._countered.values()):
            if now > countered.until:
                countered.close("unanswered")
        drops = self._fanout.stats().drops
        self._overrun.note(drops["late"] + drops["queue_full"], now)
        for broadcast in list(self.broadcasts.values()):
            broadcast.sweep(now)
            if broadcast.publisher is None and self._is_over(broadcast, now):
                self.end(broadcast.id, "publisher_gone")

    def close_all(self, reason: str) -> None:
        self._countered.clear()
        for broadcast_id in list(self.broadcasts):
            self.end(broadcast_id, reason)

    def broadcast_changed(self, broadcast: Broadcast) -> None:
        self._observer.broadcast_changed(broadcast.id, _carried(broadcast))
        self.events.tell(broadcast.id, _news(broadcast))

    def counts(self) -> dict[BroadcastId, tuple[BroadcastState, int]]:
        return {held.id: (held.state, held.audience) for held in self.broadcasts.values()}

    def carried(self) -> dict[BroadcastId, Carried]:
        return {held.id: _carried(held) for held in self.broadcasts.values()}

    @property
    def faults(self) -> int:
        """Datagrams that broke something of ours: each is a bug."""
        return self._ingress.drops["fault"]

    def candidate_lines(self) -> list[str]:
        return candidate_lines(self._candidates, takes_tcp=self._takes_tcp)

    def _admit(self, grant: Grant) -> None:
        """Nodes that pull are let in always: each stands for many viewers, also for those who leave here."""
        if grant.is_edge:
            return
        if self.is_draining:
            raise UnavailableError(
                "this node is going away; ask the public address again", code="draining", retry_after_s=1
            )
        if len(self._by_id) + len(self._countered) >= self._max_sessions:
            raise UnavailableError("this node is full; ask the public address again", retry_after_s=RETRY_S)
        if grant.purpose is Purpose.VIEW and self._overrun.holds(self._clock.time()):
            raise UnavailableError(
                "this node can't keep up with the viewers it has; ask the public address again",
                retry_after_s=RETRY_S,
            )

    def _on_air(self, grant: Grant) -> Broadcast:
        broadcast = self.broadcasts.get(grant.broadcast)
        is_here = broadcast is not None and (broadcast.is_origin or not grant.is_edge)
        if broadcast is None or not is_here or broadcast.state is BroadcastState.IDLE:
            raise ConflictError(
                "nobody is on air here; ask again later", code="not_live", retry_after_s=RETRY_S
            )
        return broadcast

    def broadcast(self, broadcast_id: BroadcastId) -> Broadcast:
        """The one that is held, or a new one."""
        held = self.broadcasts.get(broadcast_id)
        if held is None:
            held = Broadcast(broadcast_id, self._fanout, self._clock, self)
            self.broadcasts[broadcast_id] = held
        return held

    def _shared(self, broadcast: Broadcast, offer: Offer) -> list[Choice]:
        """What the viewer's side may be sent, the codec on air first."""
        choices = one_per_codec(offer.video.choices, broadcast.profile_level_id)
        on_air = broadcast.video.codec
        if on_air is not None and all(choice.codec is not on_air for choice in choices):
            raise UnsupportedError(
                f"this broadcast is in {on_air.name}, which the offer doesn't have", code="codec_not_offered"
            )
        return sorted(choices, key=lambda choice: choice.codec is not on_air)

    def _peer(self, offer: Offer, countered: Countered | None = None) -> tuple[str, Peer, Credentials]:
        local = countered.local if countered else Credentials.random()
        dtls = Dtls(self._dtls, is_client=offer.is_dtls_server, fingerprints=offer.fingerprints)
        ice = IceLite(local, self._clock.time(), offer.remote_ufrag)
        peer = Peer(ice, dtls, self._fanout, self._ingress.send, self._clock)
        self._ingress.add(peer, local)
        return countered.session if countered else secrets.token_hex(16), peer, local

    def _add(
        self, session: Session, offer: Offer, local: Credentials, outgoing: dict[str, Outgoing] | None
    ) -> tuple[Session, str]:
        self._by_id[session.session] = session
        return session, write_answer(offer, self._side(local), session=session.session, outgoing=outgoing)

    def _side(self, local: Credentials) -> Local:
        return Local(local, self._dtls.fingerprint, self._candidates, self._takes_tcp)

    def _closed(self, session: Session, reason: str) -> None:
        self._by_id.pop(session.session, None)
        self._ingress.remove(session.peer)
        self.totals.add(session, reason)
        broadcast = session.broadcast
        if reason == "taken_over":  # else the two would take it from each other for ever
            self.events.tell_session(broadcast.id, session.session, "inactive", {"reason": reason})
        self.events.end(broadcast.id, session.session, reconnect=reason in _RETURN_AFTER)
        if self.broadcasts.get(broadcast.id) is broadcast and _never_began(broadcast):
            del self.broadcasts[broadcast.id]
            self.totals.events.pop(broadcast.id, None)

    def _joined(self, seconds: float) -> None:
        self.totals.on_join(seconds)

    @staticmethod
    def _is_over(broadcast: Broadcast, now: float) -> bool:
        return now - broadcast.since > AWAY_S


def _host(broadcast: Broadcast) -> Publisher | None:
    return next((held for held in (broadcast.heir, broadcast.publisher) if isinstance(held, Publisher)), None)


def _never_began(broadcast: Broadcast) -> bool:
    return broadcast.publisher is None and broadcast.state is BroadcastState.IDLE


def _carried(broadcast: Broadcast) -> Carried:
    return Carried(broadcast.state, broadcast.audience, broadcast.is_origin)


def _drop(countered: dict[str, Countered], session: str) -> None:
    countered.pop(session, None)


def _news(broadcast: Broadcast) -> Iterator[tuple[str, dict[str, object]]]:
    yield ("active" if broadcast.state is BroadcastState.LIVE else "inactive"), {}
    yield "layers", broadcast.describe_layers()
    yield "viewercount", {"viewercount": broadcast.audience}


def _outgoing(broadcast: Broadcast) -> dict[str, Outgoing]:
    cname = broadcast.cname.decode()
    return {
        "video": Outgoing(broadcast.video.ssrc, broadcast.rtx_ssrc, cname, cname),
        "audio": Outgoing(broadcast.audio.ssrc, 0, cname, cname),
    }
