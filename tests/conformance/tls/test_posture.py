"""What a scanner would find at the listener: every version, suite, group and trick, asked by hand.

That tickets of another secret are refused stands in `test_listening`, that sessions keep to what is
asked of clients in `test_resuming`.
"""

import shutil
import ssl
import subprocess
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest
import trio
import trustme

from tests.conformance.tls.hello import TLS12, TLS13, Answer, ask
from tests.conformance.tls.secure import (
    SecureGateway,
    authority,
    certificate,
    client_context,
    connect,
    open_plain,
    secured,
)

PROTOCOL_VERSION, HANDSHAKE_FAILURE, FALLBACK, UNRECOGNIZED_NAME = 70, 40, 86, 112

ECDSA = {0xC02B, 0xC02C, 0xCCA9}
RSA = {0xC02F, 0xC030, 0xCCA8}
"""ECDHE with AES-GCM and ChaCha20-Poly1305: forward secrecy and authenticated encryption only."""

SUITES_13 = {0x1301, 0x1302, 0x1303}

KNOWN_SUITES = [
    suite
    for first, last in ((0x0001, 0x00C7), (0xC001, 0xC0B5), (0xCC13, 0xCC15), (0xCCA8, 0xCCAE))
    for suite in range(first, last + 1)
] + [0xD001, 0xD002, 0xD003, 0xD005, 0xFEFE, 0xFEFF, *range(0x1301, 0x1308)]
"""All that IANA lists for TLS 1.2 and before, and what was never listed but used."""

X25519, P256, P384, ML_KEM = 29, 23, 24, 0x11EC


def kind_of(name: str) -> dict[str, bytes]:
    """The certificate of `a.test`, with a key of this kind."""
    leaf = authority().issue_cert("a.test", key_type=trustme.KeyType[name])
    return {"one": certificate("a.test", leaf=leaf)}


async def accepted(gateway: SecureGateway, version: int, suites: list[int]) -> set[int]:
    """Which of these suites the listener takes: it chooses until it has none left."""
    left, taken = list(suites), set[int]()
    while left:
        answer = await ask(gateway.port, version, left)
        if answer.alert is not None:
            assert answer.alert == HANDSHAKE_FAILURE
            break
        assert answer.version == version
        taken.add(answer.suite)
        left.remove(answer.suite)
    return taken


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
async def test_old_versions_are_refused(version: int) -> None:
    async with secured() as gateway:
        answer = await ask(gateway.port, version, KNOWN_SUITES)
        # SSL 3 cannot name a server, so it fails before its version counts.
        refusal = PROTOCOL_VERSION if version > 0x0300 else UNRECOGNIZED_NAME
        assert answer == Answer(alert=refusal)


@pytest.mark.parametrize(("key", "suites"), [("ECDSA", ECDSA), ("RSA", RSA)])
async def test_only_suites_with_forward_secrecy_are_taken(key: str, suites: set[int]) -> None:
    async with secured(certificates=kind_of(key)) as gateway:
        assert await accepted(gateway, TLS12, KNOWN_SUITES) == suites
        assert await accepted(gateway, TLS13, KNOWN_SUITES) == SUITES_13


async def test_strong_groups_only() -> None:
    groups = [*range(1, 42), *range(0x100, 0x105), *range(0x11E9, 0x11F0), 0x6399, 0xFF01, 0xFF02]
    async with secured() as gateway:
        taken = set[int]()
        for group in groups:
            answer = await ask(
                gateway.port, TLS13, sorted(SUITES_13), groups=[group], key_share=None
            )
            if answer.alert is None:
                assert answer.is_retry
                assert answer.extensions is not None
                assert answer.extensions[51] == group.to_bytes(2, "big")
                taken.add(group)
        assert taken - {ML_KEM} == {X25519, P256, P384}
        for group in groups:
            answer = await ask(gateway.port, TLS12, sorted(ECDSA), groups=[group])
            assert (answer.alert is None) == (group in {X25519, P256, P384}), group


async def test_nothing_is_compressed() -> None:
    async with secured() as gateway:
        answer = await ask(gateway.port, TLS12, sorted(ECDSA), compression=b"\1\0")
        assert (answer.alert, answer.compression) == (None, 0)
        answer = await ask(gateway.port, TLS12, sorted(ECDSA), compression=b"\1")
        assert answer.alert is not None


@pytest.mark.parametrize(
    ("suites", "more"), [([0x00FF], {}), ([], {0xFF01: b"\0"})], ids=["scsv", "extension"]
)
async def test_secure_renegotiation_is_reported(
    suites: list[int], more: Mapping[int, bytes]
) -> None:
    async with secured() as gateway:
        answer = await ask(gateway.port, TLS12, sorted(ECDSA) + suites, more=more)
        assert answer.extensions is not None
        assert answer.extensions[0xFF01] == b"\0"
        assert 23 in answer.extensions, "the extended master secret, too"
        assert 15 not in answer.extensions, "and no heartbeat"


async def test_a_client_that_was_made_to_fall_back_is_told() -> None:
    async with secured() as gateway:
        assert await ask(gateway.port, TLS12, [*ECDSA, 0x5600]) == Answer(alert=FALLBACK)
        answer = await ask(gateway.port, TLS13, [*SUITES_13, 0x5600])
        assert (answer.alert, answer.version) == (None, TLS13), "nobody fell back"


async def test_an_older_version_bears_the_mark_of_a_downgrade() -> None:
    async with secured() as gateway:
        answer = await ask(gateway.port, TLS12, sorted(ECDSA))
        assert answer.random.endswith(b"DOWNGRD\x01")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_unknown_protocol_is_refused(version: ssl.TLSVersion) -> None:
    context = client_context(version=version)
    context.set_alpn_protocols(["h2", "spdy/3"])
    async with secured() as gateway:
        with pytest.raises(trio.BrokenResourceError) as refused:
            await connect(gateway.port, context=context)
        assert "no application protocol" in str(refused.value.__cause__).lower()


async def test_sslv2_gets_no_answer_but_an_end() -> None:
    async with secured() as gateway:
        stream = await open_plain(gateway.port)
        await stream.send_all(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37))
        try:
            received = await stream.receive_some()
        except trio.BrokenResourceError:
            received = b""
        assert received[:1] in (b"", b"\x15")


async def test_the_chain_is_sent_whole() -> None:
    between = authority().create_child_ca()
    async with secured(certificates={"one": certificate("a.test", ca=between)}) as gateway:
        stream = await connect(gateway.port)
        assert stream.getpeercert()["subjectAltName"] == (("DNS", "a.test"),)


async def test_renegotiation_is_refused() -> None:
    async with secured() as gateway:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2"]
        process = await trio.lowlevel.open_process(
            [*command, "-servername", "a.test"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        said = bytearray()
        async with process.stdin, process.stdout:
            async for data in process.stdout:
                said += data
                if b"Extended master secret" in said and b"RENEGOTIATING" not in said:
                    await process.stdin.send_all(b"R\n")
                elif b"RENEGOTIATING" in said:
                    await gateway.caught_up()
                    gateway.pass_time(3600)
        await process.wait()
        assert b"Secure Renegotiation IS supported" in said
        assert b"RENEGOTIATING" in said
        assert gateway.count("handshakes") == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sslscan") is None, reason="sslscan is not installed")
@pytest.mark.parametrize("key", ["ECDSA", "RSA"])
async def test_sslscan_finds_nothing_weak(key: str) -> None:
    async with secured(certificates=kind_of(key)) as gateway:
        target = f"127.0.0.1:{gateway.port}"
        command = ["sslscan", "--xml=-", "--sni-name=a.test", target]
        report = await trio.run_process(command, capture_stdout=True)
    found = ET.fromstring(report.stdout)
    enabled = {
        (each.get("type"), each.get("version"))
        for each in found.iter("protocol")
        if each.get("enabled") == "1"
    }
    assert enabled == {("tls", "1.2"), ("tls", "1.3")}
    ciphers = list(found.iter("cipher"))
    assert len(ciphers) >= 6
    assert {each.get("strength") for each in ciphers} <= {"acceptable", "strong"}
    assert all(int(each.get("bits", "0")) >= 128 for each in ciphers)
    assert [each.get("supported") for each in found.iter("renegotiation")] == ["0"]
    assert {each.get("vulnerable") for each in found.iter("heartbleed")} <= {"0"}
    weak = {"sect", "secp160", "secp192", "secp224", "1024"}
    names = {each.get("name", "") for each in found.iter("group")}
    assert names
    assert not any(mark in name for mark in weak for name in names)
