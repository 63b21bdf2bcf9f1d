"""A Cassandra server of the test's own: from the jars of Maven Central, in a folder of its own, on free ports of loopback."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.integration.ports import free_port

__all__ = ["PASSWORD", "USER", "CassandraServer"]

START_S: Final = 300.0
USER: Final = "cassandra"
PASSWORD: Final = "cassandra"

_POM: Final = Path(__file__).parent / "cassandra_pom.xml"
_CACHE: Final = Path(__file__).parents[3] / ".cache" / "cassandra"

_EXPORTED: Final = (
    *("java.base/jdk.internal.misc", "java.base/jdk.internal.ref", "java.base/sun.nio.ch"),
    *("java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry"),
    *("java.rmi/sun.rmi.server", "java.sql/java.sql", "java.base/java.lang.ref"),
    "jdk.unsupported/sun.misc",
)
_OPENED: Final = (
    *("java.base/java.lang.module", "java.base/jdk.internal.loader", "java.base/jdk.internal.ref"),
    *("java.base/jdk.internal.reflect", "java.base/jdk.internal.math", "java.base/java.io"),
    *("java.base/jdk.internal.module", "java.base/jdk.internal.util.jar", "java.base/java.nio"),
    *("jdk.management/com.sun.management.internal", "java.base/sun.nio.ch", "java.base/java.util"),
    *("java.base/java.lang", "java.base/java.lang.reflect", "java.base/java.util.concurrent"),
    "java.base/java.util.concurrent.atomic",
)
"""What a server on Java 17 needs of it."""

_SETTINGS: Final = """
cluster_name: tests
num_tokens: 1
initial_token: "0"
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
data_file_directories: [{folder}/data]
commitlog_directory: {folder}/commitlog
saved_caches_directory: {folder}/caches
hints_directory: {folder}/hints
cdc_raw_directory: {folder}/cdc
commitlog_sync: batch
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{storage_port}"}}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
auto_bootstrap: false
client_encryption_options:
  enabled: true
  optional: true
  keystore: {folder}/server.pem
  require_client_auth: false
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
"""

_LOGGING: Final = """
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %d{HH:mm:ss.SSS} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"""


def _class_path() -> str:
    """Return the server's jars, which Maven brings when they are missing."""
    name = hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]
    known = _CACHE / f"{name}.classpath"
    if known.exists():
        text = known.read_text().strip()
        if all(Path(jar).exists() for jar in text.split(":")):
            return text
    if shutil.which("mvn") is None:
        pytest.fail("Maven is missing; .ci/run installs Debian's packages maven and openjdk-17")
    _CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            "mvn", "-q", "-B", "-f", str(_POM), "dependency:build-classpath",
            f"-Dmdep.outputFile={known}", "-Dmdep.includeScope=runtime",
        ],
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(f"Maven brings no Cassandra: {done.stdout[-2000:]}")
    return known.read_text().strip()


def _java() -> str:
    """Return a Java that the server runs on: 17 or 11."""
    homes = sorted(Path("/usr/lib/jvm").glob("java-1[17]-openjdk-*/bin/java"), reverse=True)
    if homes:
        return str(homes[0])
    if os.environ.get("JAVA_HOME"):
        return os.path.join(os.environ["JAVA_HOME"], "bin", "java")  # noqa: PTH118
    pytest.fail("Java 17 is missing; .ci/run installs Debian's package openjdk-17-jre-headless")


class CassandraServer:
    """A server of one node that is started, killed and started again. Nothing runs before `start`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="oto-trio-cassandra-"))
        self.port = free_port()
        self.ca = self.folder / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()

    def url(self, store: str, query: str = "", password: str = PASSWORD) -> str:
        """Return the url of a store, in a keyspace that all tests share: making tables takes seconds."""
        where = f"{USER}:{password}@127.0.0.1:{self.port}"
        return f"cassandra://{where}/oto_tests?store={store}{query}"

    def new_url(self) -> str:
        """Return the url of an empty store."""
        return self.url(f"s{next(self._numbers)}")

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended by a test."""
        return self._process is not None

    def _prepare(self) -> None:
        """Write what the server reads at its first start."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        certificate = authority.issue_cert("127.0.0.1")
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "server.pem").write_bytes(pem + chain)
        settings = _SETTINGS.format(folder=self.folder, port=self.port, storage_port=free_port())
        (self.folder / "cassandra.yaml").write_text(settings)
        (self.folder / "logback.xml").write_text(_LOGGING)

    def start(self) -> None:
        """Start it, and wait until clients can log in."""
        if not (self.folder / "cassandra.yaml").exists():
            self._prepare()
        options = {
            "cassandra.config": f"file://{self.folder}/cassandra.yaml",
            "logback.configurationFile": f"{self.folder}/logback.xml",
            "cassandra.storagedir": str(self.folder),
            "cassandra-foreground": "yes",
            "cassandra.skip_wait_for_gossip_to_settle": "0",
            "cassandra.ring_delay_ms": "0",
            "cassandra.superuser_setup_delay_ms": "0",
            "cassandra.auth_bcrypt_gensalt_log2_rounds": "4",
            "cassandra.jmx.local.port": "0",
            "jdk.attach.allowAttachSelf": "true",
            "java.io.tmpdir": str(self.folder),
        }
        modules = [f"--add-exports={module}=ALL-UNNAMED" for module in _EXPORTED]
        modules += [f"--add-opens={module}=ALL-UNNAMED" for module in _OPENED]
        path = self.folder / "log"
        path.write_bytes(b"")
        with path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _java(), "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                    *(f"-D{name}={value}" for name, value in options.items()), *modules,
                    "-cp", _class_path(), "org.apache.cassandra.service.CassandraDaemon",
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )  # fmt: skip
        deadline = time.perf_counter() + START_S
        first = not (self.folder / "ready").exists()
        while not self._answers(first=first):
            if time.perf_counter() > deadline or self._process.poll() is not None:
                pytest.fail(path.read_text()[-4000:])
            time.sleep(0.05)
        (self.folder / "ready").touch()

    def _answers(self, *, first: bool) -> bool:
        """Tell whether it takes connections, and knows its user."""
        log = (self.folder / "log").read_text()
        if "Starting listening for CQL clients" not in log:
            return False
        if first and "Created default superuser role" not in log:
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM in order, SIGKILL as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_S)

    def kill(self) -> None:
        """Kill the server, whatever it does."""
        self.stop(signal.SIGKILL)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
