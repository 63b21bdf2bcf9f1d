"""Tell the backend who called, over what, and for which host, in one standard field.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ForwardedHeader``.
"""

import ipaddress
import re

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Step, steps

__all__ = ["ForwardedHeader"]

_WITH_PORT = re.compile(r"\[([^\]]*)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})")


class ForwardedHeader(Plugin):
    """Sets ``Forwarded`` as RFC 7239 writes it: a ``for`` a hop, then ``proto`` and ``host``.

    Hops before the last are what a trusted ``X-Forwarded-For`` says; one that is no address reads
    ``unknown``. Otoroshi writes ``for: `` where the standard has ``for=``, which no parser reads; here
    the standard counts.
    """

    id = "cp:otoroshi.next.plugins.ForwardedHeader"
    name = "Forwarded header"
    description = "Adds the Forwarded header of RFC 7239 to the backend's request."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        nodes = ", ".join(f"for={_node(hop)}" for hop in exchange.forwarded_for.split(","))
        proto = "https" if exchange.secured else "http"
        value = f'{nodes};proto={proto};host="{exchange.request.host}"'
        exchange.request.headers.set("Forwarded", value)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("forwarded", Phase.TRANSFORM_REQUEST),)


def _node(hop: str) -> str:
    """Return a hop's address as a node of RFC 7239; ``unknown`` when it is none."""
    text = hop.strip(" \t")
    found = _WITH_PORT.fullmatch(text)
    if found is not None and int(found[2] or found[4]) <= 65535:
        text = found[1] if found[1] is not None else found[3]
    try:
        # A zone (`fe80::1%eth0`) means something to its own host only.
        address = ipaddress.ip_address("" if "%" in text else text)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return f'"[{address}]"' if mapped is None else str(mapped)
