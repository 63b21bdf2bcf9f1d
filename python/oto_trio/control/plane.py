"""The control plane as one service: the admin API and what it stands on.

Kept apart from the supervisor because it is slow to import (hypercorn, Starlette): `app` imports this
module in a thread while the gateway workers start.
"""

import logging
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from oto_trio.control.admin_api import AdminServer, build_app, serve_admin_api
from oto_trio.control.admin_api.admins import SessionCookie
from oto_trio.control.admin_api.audit_trail import AuditTrail
from oto_trio.control.admin_api.gateway_claims import GatewayClaims
from oto_trio.control.admin_route import AdminRoute, admin_api_names
from oto_trio.control.certificates import CertificateStore
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.exporting import Exporting
from oto_trio.control.first_admin import FirstAdmin, ShownAdmin
from oto_trio.control.first_start import bootstrap
from oto_trio.control.gateway import Gateway
from oto_trio.control.jobs import Job, run_jobs
from oto_trio.control.jobs.first_certificates import FirstCertificates, GivenCertificate
from oto_trio.control.jobs.issue_route_certificates import IssueRouteCertificates
from oto_trio.control.jobs.lease_installation_key import key_lease_job
from oto_trio.control.jobs.renew_certificates import RenewCertificates, log_alert
from oto_trio.control.jobs.rotate_api_keys import RotateApiKeys
from oto_trio.control.leaked_keys import disable_api_key
from oto_trio.control.settings import Settings
from oto_trio.control.store.base import Store
from oto_trio.control.store.history import Origin, acting
from oto_trio.control.supervisor.supervision import CertificateVerdict, Supervisor
from oto_trio.gateway.installer import GLOBAL_CONFIG
from oto_trio.model.certificate import Certificate, public_document
from oto_trio.model.errors import StoreError
from oto_trio.pki.auto_certificate import AutoCertificates
from oto_trio.pki.first_certificates import ROOT_CA
from oto_trio.plugin_api.folder import FolderPlugins
from oto_trio.plugin_api.registry import discover

if TYPE_CHECKING:
    from oto_trio.control.supervisor.listening import Listener

__all__ = ["ControlPlane"]

logger = logging.getLogger(__name__)

STORE_PROBE_S: Final = 2.0
"""Seconds between two looks at whether the store answers, and how long it may take to."""


class ControlPlane:
    """The admin API, the view of the gateway it works on, and the probe of the store.

    Args:
        store: Holds the entities.
        supervisor: Keeps the workers.
        credentials: The key of the admin API.
        settings: Where to listen, and the probes' access keys.
        folder: The folder of user plugins.
        route: The admin API's route through the gateway, on this node.
        for_workers: The listening socket that this route leads to.
    """

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        credentials: AdminCredentials,
        settings: Settings,
        folder: FolderPlugins,
        route: AdminRoute,
        for_workers: socket.socket,
    ) -> None:
        self.gateway = Gateway(supervisor, store, discover(), folder)
        """The gateway as the admin API sees it."""
        self.is_dev = False
        """Whether this is a gateway on a desk; set before `run`."""
        self.node = ""
        """Tells this gateway from others on the same store; empty when there are none; set before `run`."""
        self.has_https = False
        """Whether clients may come by HTTPS; set before `run`."""
        self.listener: Listener | None = None
        """The listener of the admin API, when it is open already; it stays its owner's; set before `run`."""
        self.first_admin: ShownAdmin | None = None
        """The first administrator, at the start that made it; set once `run` has started."""
        self.exporting = Exporting(
            store, supervisor.capture, redaction=settings.redaction, jq=settings.jq
        )
        """Makes events and exports them."""
        supervisor.on_events = self.exporting.take
        supervisor.on_alerts = self.exporting.take_alerts
        supervisor.on_tcp_records = self.exporting.take_tcp
        supervisor.on_websocket_records = self.exporting.take_websocket
        supervisor.extra_metrics.append(self.exporting.metrics)
        self._store = store
        self._certificates = CertificateStore(store)
        self._supervisor = supervisor
        self._settings = settings
        self._for_workers = for_workers
        self._app = build_app(
            store,
            [credentials],
            self.gateway,
            health_access_key=settings.health_access_key,
            metrics_access_key=settings.metrics_access_key,
            aia_base=_aia_base(settings),
            bypass_rights=settings.bypass_user_rights_check,
            session_ms=settings.backoffice_session_ms,
            entity_validators=settings.entity_validators,
            cookie=SessionCookie(settings.session_name, settings.session_secure_only),
            limits=supervisor.limits,
            claims=GatewayClaims(route),
            admin_names=admin_api_names(settings),
            trail=AuditTrail(
                self.exporting.audit,
                self.exporting.offer,
                self.exporting.redaction,
                audits=self.exporting.audits,
                alerts=self.exporting.alerts,
            ),
        )

    async def run(
        self, shutdown: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until told to stop; "started" with the admin API's URL once it listens.

        Args:
            shutdown: When set, requests under way are finished, and then everything ends.
            task_status: Told the URL.

        Raises:
            OSError: The admin API's socket cannot be opened.
            StoreError: The store cannot be read, or written the first time.
        """
        async with trio.open_nursery() as nursery:
            first_admin = FirstAdmin(self._settings)
            with acting(Origin("first start")):
                is_new = await bootstrap(self._store, first_admin.make)
            self.first_admin = await first_admin.told(is_kept=is_new)
            await nursery.start(self.gateway.run)
            nursery.start_soon(self._probe_store)
            self._supervisor.on_certificate_asked = self._make_certificates()
            self._supervisor.on_key_leaked = partial(disable_api_key, self._store)
            nursery.start_soon(self.exporting.run)
            first = self._first_certificates()
            nursery.start_soon(run_jobs, self._jobs(first))
            async with trio.open_nursery() as listeners:
                server: AdminServer = await listeners.start(
                    partial(
                        serve_admin_api,
                        self._app,
                        host=self._settings.admin_address.host,
                        port=self._settings.admin_port,
                        opened=self.listener,
                        for_workers=self._for_workers,
                        shutdown=shutdown,
                    )
                )
                if self.is_dev and self.has_https:
                    # Certificates are made for whoever comes, and it signs them.
                    await first.can_sign.wait()
                task_status.started(server.url)
            nursery.cancel_scope.cancel()

    def _first_certificates(self) -> FirstCertificates:
        """Return what makes the certificates that a gateway begins with."""
        settings = self._settings
        return FirstCertificates(
            self._certificates,
            domain=settings.domain,
            aia_base=_aia_base(settings),
            given=_given_certificates(settings),
            has_wildcard=settings.wildcard_certificate,
            is_awaited=self.has_https,
        )

    def _jobs(self, first: FirstCertificates) -> list[Job]:
        """Return what is done again and again beside the requests."""
        renewal = RenewCertificates(self._certificates, on_alert=self._alert_of_certificate)
        rotation = RotateApiKeys(
            self._store,
            now_ms=lambda: time.time_ns() // 1_000_000,
            on_alert=lambda name, fields: self.exporting.offer(
                self.exporting.audit.alert(name, fields)
            ),
        )
        issuing = IssueRouteCertificates(self._certificates)
        lease = [key_lease_job(self._store, self.node)] if self.node else []
        return [first.job(), issuing.job(), renewal.job(), rotation.job(), *lease]

    def _alert_of_certificate(self, name: str, certificate: Certificate) -> None:
        """Log what happened to a certificate, and tell the exporters."""
        log_alert(name, certificate)
        fields = {"certificate": public_document(certificate)}
        self.exporting.offer(self.exporting.audit.alert(name, fields))

    def _make_certificates(self) -> Callable[[str], Awaitable[CertificateVerdict]]:
        """Return what makes certificates for server names that workers ask for."""
        certificates = AutoCertificates(self._certificates, dev=self.is_dev)

        async def make(server_name: str) -> CertificateVerdict:
            verdict = await certificates.ask(server_name)
            return CertificateVerdict(verdict.ok, verdict.revision, verdict.unsaved)

        return make

    async def _probe_store(self) -> None:
        """Let the workers' probes show whether the store answers."""
        while True:
            is_healthy = False
            with trio.move_on_after(STORE_PROBE_S):
                try:
                    await self._store.count(GLOBAL_CONFIG)
                    is_healthy = True
                except StoreError as error:
                    logger.error("the store does not answer: %s", error)
            await self._supervisor.tell_health(
                store_is_healthy=is_healthy, is_started=self.gateway.is_started
            )
            await trio.sleep(STORE_PROBE_S)


def _aia_base(settings: Settings) -> str:
    """Return the base URL under which certificates say that their issuer is found."""
    port = "" if settings.http_port in (0, 80) else f":{settings.http_port}"
    return f"http://otoroshi-api.{settings.domain}{port}/.well-known/otoroshi/security"


def _given_certificates(settings: Settings) -> list[GivenCertificate]:
    """Return the certificates that the settings name, the root authority first."""
    root = GivenCertificate(
        settings="the settings root_ca_ca and root_ca_cert",
        id=ROOT_CA,
        ca=settings.root_ca_ca,
        cert=settings.root_ca_cert,
        key=settings.root_ca_key,
        import_ca=settings.root_ca_import_ca,
    )
    initial = GivenCertificate(
        settings="the settings initial_cacert and initial_cert",
        ca=settings.initial_cacert,
        cert=settings.initial_cert,
        key=settings.initial_cert_key,
        import_ca=settings.initial_cert_import_ca,
    )
    more = [
        GivenCertificate(
            settings=f"the setting initial_certs[{place}]",
            ca=given.ca,
            cert=given.cert,
            key=given.key,
            import_ca=given.import_ca,
        )
        for place, given in enumerate(settings.initial_certs)
    ]
    return [given for given in (root, initial, *more) if given.ca or given.cert]
