"""Where a request comes from: the client's address behind proxies that the operator named, and its origin."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """`X-Forwarded-For` is believed as far as trusted proxies wrote it: read from the right."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[str]) -> TrustedProxies:
        return cls(tuple(ipaddress.ip_network(network) for network in networks))

    def client_ip(self, peer: str, forwarded_for: str) -> str:
        """The nearest address that is no trusted proxy."""
        nearest = peer
        for hop in reversed([hop.strip() for hop in forwarded_for.split(",") if hop.strip()]):
            if not self._trusts(nearest):
                break
            nearest = hop
        return nearest

    def _trusts(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self.networks)


def client_ip(request: Request, proxies: TrustedProxies) -> str:
    peer = request.client.host if request.client else ""
    return proxies.client_ip(peer, request.headers.get("x-forwarded-for", ""))


def origin_of(url: str) -> str:
    """`scheme://host[:port]` as browsers write it in `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def same_site(request: Request, public_url: str) -> bool:
    """Whether a page of ours sent this: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.

    A page of another site can forge neither (Fetch Standard, forbidden request headers).
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin", "").lower() == origin_of(public_url)
