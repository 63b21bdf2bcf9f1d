"""Resumed sessions: what was checked when they began must still hold when they go on."""

import ssl

import pytest
import trio

from tests.conformance.http1.gateway import route
from tests.conformance.tls.secure import (
    SecureGateway,
    authority,
    backend,
    ca_certificate,
    certificate,
    client_context,
    connect,
    exchange,
    open_plain,
    secured,
)

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
STRICT = {"system_cas_for_clients": False, "strict": True}


async def _resume(
    gateway: SecureGateway, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, int]:
    """Offer a session; returns whether it was taken, and the status of a request."""
    plain = await open_plain(gateway.port)
    stream = trio.SSLStream(plain, context, server_hostname="a.test", https_compatible=True)
    stream._ssl_object.session = session  # pyright: ignore[reportPrivateUsage]
    await stream.do_handshake()
    status, _ = await exchange(stream)
    return stream.session_reused, status


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_without_certificate_does_not_go_on_where_one_is_needed(
    version: ssl.TLSVersion,
) -> None:
    certificates = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
    async with backend() as (port, _), secured(route(port), certificates=certificates) as gateway:
        context = client_context(version=version)
        stream = await connect(gateway.port, context=context)
        await exchange(stream)
        assert await _resume(gateway, context, stream.session) == (True, 200)
        for auth in ("Want", "None"):
            gateway.change(settings={"client_auth": auth, **STRICT})
            assert await _resume(gateway, context, stream.session) == (auth == "None", 200)
        gateway.change(settings={"client_auth": "Need", **STRICT})
        with pytest.raises(trio.BrokenResourceError):
            await _resume(gateway, context, stream.session)
        assert gateway.count("handshakes_resumed") == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("loss", ["authority", "strictness"])
async def test_a_session_ends_with_the_trust_in_its_certificate(
    version: ssl.TLSVersion, loss: str
) -> None:
    certificates = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
    shown = "theirs" if loss == "strictness" else "ours"
    leaf = authority(shown).issue_cert("someone@a.test")
    tls = {"client_auth": "Need", **STRICT, "strict": loss != "strictness"}
    async with (
        backend() as (port, _),
        secured(route(port), certificates=certificates, tls=tls) as gateway,
    ):
        context = client_context(version=version, shows=leaf)
        stream = await connect(gateway.port, context=context)
        assert (await exchange(stream))[0] == 200
        assert await _resume(gateway, context, stream.session) == (True, 200)
        if loss == "authority":
            gateway.change(ca=None)
        else:
            gateway.change(settings={"client_auth": "Need", **STRICT})
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            await _resume(gateway, context, stream.session)
        assert gateway.count("handshakes_resumed") == 1
        assert (await exchange(stream))[0] == 200, "what is open stays open"
