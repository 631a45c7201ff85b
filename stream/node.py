"""One media process: its ports, its HTTP, its clockwork, and an orderly way out.

start ─▶ serving ── drain ─▶ no new sessions, viewers sent elsewhere ─▶ stop ─▶ every resource free
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

import aiohttp
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .drain import drain
from .edge.edges import EdgeAdmission, Edges
from .metrics import Metrics
from .ports import Admission, BroadcastId, Observer, Origins
from .sessions import Sessions
from .signal.resources import IceServer, Resources
from .signal.server import SignalServer
from .wire.dtls import DtlsContext
from .wire.fanout import Fanout
from .wire.ingress import Ingress
from .wire.sockets import TcpPortUnavailableError, UdpPortUnavailableError, open_media, open_tcp, open_udp
from .wire.tcp import IceTcp

SWEEP_S = 0.5
BEAT_S = 1.0
CLOSE_S = 3.0

__all__ = ["IceServer", "Node", "NodeSettings", "TcpPortUnavailableError", "UdpPortUnavailableError"]


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where a node listens, and what it tells others.

    `announced` are the (ip, port) pairs that clients are told to send media to, the preferred first: behind
    NAT or in a container they differ from what the node binds. Port 0 stands for the bound port. Empty: the
    bound host, where it is one address.
    """

    http_host: str = "127.0.0.1"
    http_port: int = 0
    udp_host: str = "127.0.0.1"
    udp_port: int = 0
    tcp: bool = True
    """Take media over TCP as well, on the UDP port's number, where that is free."""
    announced: tuple[tuple[str, int], ...] = ()
    public_base_url: str = ""
    """What `Location` starts with; empty: `http://{http_host}:{http_port}`."""
    ice_servers: tuple[IceServer, ...] = ()
    max_sessions: int = 5000
    native: bool | None = None
    """Which fan-out: None the best there is, see `wire.fanout`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Shown by `/healthz`: the node's name, its region."""


class Node:
    """`await start()`, then it serves until `stop()`; `http_port` and `udp_port` are then the bound ones."""

    def __init__(
        self,
        settings: NodeSettings,
        admission: Admission,
        observer: Observer,
        origins: Origins | None = None,
    ) -> None:
        """Without `origins` it serves what is published to it, and nothing else."""
        self.settings = settings
        self.edges: Edges | None = None
        self._origins = origins
        self.http_port = 0
        self.udp_port = 0
        self._admission = admission
        self._observer = observer
        self._open: contextlib.AsyncExitStack | None = None
        self._sessions: Sessions | None = None
        self._fanout: Fanout | None = None
        self._tcp: IceTcp | None = None

    @property
    def sessions(self) -> Sessions:
        if self._sessions is None:
            raise RuntimeError("node_not_started: await start() first")
        return self._sessions

    @property
    def fanout(self) -> Fanout:
        if self._fanout is None:
            raise RuntimeError("node_not_started: await start() first")
        return self._fanout

    @property
    def takes_tcp(self) -> bool:
        return self._tcp is not None

    async def start(self) -> None:
        """UdpPortUnavailableError or TcpPortUnavailableError, with nothing left open."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._open = stack.pop_all()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        settings, loop = self.settings, asyncio.get_running_loop()
        host, port = settings.udp_host, settings.udp_port
        udp, tcp = open_media(host, port) if settings.tcp else (open_udp(host, port), None)
        stack.enter_context(udp)
        if tcp is not None:
            stack.enter_context(tcp)
        http = stack.enter_context(open_tcp(settings.http_host, settings.http_port))
        self.udp_port, self.http_port = udp.getsockname()[1], http.getsockname()[1]
        fanout = Fanout(udp, native=settings.native)
        stack.callback(fanout.stop)
        ingress = Ingress(udp, loop)
        ingress.start(loop)
        stack.callback(ingress.stop, loop)
        if tcp is not None:
            self._tcp = IceTcp(udp, tcp, ingress.drops)
            stack.callback(self._tcp.stop)
            await self._tcp.start()
        dtls = DtlsContext()
        self._sessions = sessions = Sessions(
            ingress,
            fanout,
            dtls,
            loop,
            self._observer,
            candidates=self._candidates(),
            max_sessions=settings.max_sessions,
            takes_tcp=self.takes_tcp,
        )
        stack.push_async_callback(self._close_sessions, sessions)
        admission = await self._start_edges(sessions, dtls, stack)
        stack.push_async_callback(
            _finish, asyncio.create_task(self._clockwork(sessions), name="node-clockwork")
        )
        metrics = Metrics(sessions, ingress, fanout, self.edges)
        resources = Resources(
            sessions,
            admission,
            public_base_url=settings.public_base_url
            or f"http://{_url_host(settings.http_host)}:{self.http_port}",
            ice_servers=settings.ice_servers,
            healthz=self._healthz,
            metrics=metrics.respond,
        )
        self._fanout = fanout
        await self._serve(resources, http, stack)
        stack.callback(sessions.events.end_all)  # else the HTTP server waits for their readers

    async def _start_edges(
        self, sessions: Sessions, dtls: DtlsContext, stack: contextlib.AsyncExitStack
    ) -> Admission:
        if self._origins is None:
            return self._admission
        # Each pull holds a connection for its origin's events: aiohttp's hundred would end the next one.
        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        stack.push_async_callback(http.close)
        self.edges = Edges(sessions, self._origins, http, dtls, self.settings.udp_host)
        stack.push_async_callback(self.edges.stop)
        return EdgeAdmission(self._admission, self.edges)

    async def _serve(
        self, resources: Resources, http: socket.socket, stack: contextlib.AsyncExitStack
    ) -> None:
        config = uvicorn.Config(
            resources.app,
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            timeout_keep_alive=20,
            timeout_graceful_shutdown=2,
            server_header=False,
            limit_concurrency=2 * self.settings.max_sessions + 1000,  # viewers hold one for their events
        )
        server = SignalServer(config)
        task = asyncio.create_task(server.serve(sockets=[http]), name="node-http")
        stack.push_async_callback(_end_http, server, task)
        async with asyncio.timeout(10):
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.005)

    async def drain(self, timeout_s: float) -> None:
        """No new sessions; everybody is asked to move, and carried until they have or the time is up."""
        await drain(self.sessions, timeout_s)

    async def stop(self) -> None:
        """Frees everything; again is nothing."""
        stack, self._open = self._open, None
        if stack is not None:
            await stack.aclose()

    def hosts(self) -> dict[BroadcastId, str]:
        """The credentials of those who publish here."""
        return {broadcast: host.grant.credential for broadcast, host in self.sessions.hosts().items()}

    def close_host(self, broadcast: BroadcastId) -> None:
        """Another node has the broadcast's host."""
        host = self.sessions.hosts().get(broadcast)
        if host is not None:
            host.close("taken_over")

    def end(self, broadcast: BroadcastId) -> None:
        """The show is over: its publisher and viewers are sent away."""
        self.sessions.end(broadcast)

    async def _close_sessions(self, sessions: Sessions) -> None:
        sessions.is_draining = True
        sessions.close_all("node_stopped")

    async def _clockwork(self, sessions: Sessions) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            sessions.sweep(now)
            if self.edges is not None:
                self.edges.sweep(now)
            if now >= beat_at:
                beat_at = now + BEAT_S
                self._observer.node_beat(sessions.carried())

    def _candidates(self) -> list[tuple[str, int]]:
        announced = self.settings.announced or ((self.settings.udp_host, 0),)
        return [(host, port or self.udp_port) for host, port in announced]

    async def _healthz(self, request: Request) -> Response:
        stats = self.fanout.stats()
        pulls = self.edges.pulls() if self.edges is not None else {}
        origins = {name: pull.origin.node for name, pull in pulls.items()}
        body = {
            "status": "draining" if self.sessions.is_draining else "ok",
            "parts": {
                "udp": {"status": "ok", "port": self.udp_port, "announced": self._candidates()},
                "tcp": {"status": "ok" if self.takes_tcp else "off"},
                "http": {"status": "ok", "port": self.http_port},
                "fanout": {"status": "ok", "native": stats.native, "gso": stats.gso},
            },
            "sessions": len(self.sessions),
            "broadcasts": {
                name: {"state": state, "viewers": viewers, "pulled_from": origins.get(name)}
                for name, (state, viewers) in self.sessions.counts().items()
            },
            **self.settings.labels,
        }
        return JSONResponse(body, status_code=503 if self.sessions.is_draining else 200)


async def _end_http(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await asyncio.shield(task)
    await _finish(task)


async def _finish(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
