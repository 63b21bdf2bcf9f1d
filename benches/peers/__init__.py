"""The proxies that are compared: one file each, of one shape."""

from typing import Final

from benches.peers.caddy import Caddy
from benches.peers.envoy import Envoy
from benches.peers.haproxy import HAProxy
from benches.peers.nginx import Nginx
from benches.peers.oto_trio import OtoTrio
from benches.peers.proxy import Proxy

OTO_TRIO: Final[Proxy] = OtoTrio()
PEERS: Final[dict[str, Proxy]] = {
    peer.name: peer for peer in (Nginx(), HAProxy(), Caddy(), Envoy())
}

__all__ = ["OTO_TRIO", "PEERS", "Proxy"]
