"""Rows of Otoroshi's extensions, each in an API group of its own. They come last in its catalogue."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.coraza_config import CORAZA_CONFIGS as CORAZA_CONFIG_KIND
from oto_trio.model.coraza_config import CorazaConfig, coraza_config_template
from oto_trio.model.green_score import GREEN_SCORES as GREEN_SCORE_KIND
from oto_trio.model.green_score import GreenScore, green_score_template
from oto_trio.model.http_listener import HTTP_LISTENERS as HTTP_LISTENER_KIND
from oto_trio.model.http_listener import HttpListener, http_listener_template
from oto_trio.model.remote_catalog import REMOTE_CATALOGS as REMOTE_CATALOG_KIND
from oto_trio.model.remote_catalog import RemoteCatalog, remote_catalog_template

__all__ = ["CORAZA_CONFIGS", "GREEN_SCORES", "HTTP_LISTENERS", "REMOTE_CATALOGS"]

CORAZA_CONFIGS: Final = Resource(
    kind="CorazaConfig",
    plural="coraza-configs",
    singular="coraza-config",
    group="coraza-waf.extensions.otoroshi.io",
    legacy_path=None,
    store_kind=CORAZA_CONFIG_KIND,
    cls=CorazaConfig,
    template=lambda env: coraza_config_template(env=env),
    template_key="",
)

REMOTE_CATALOGS: Final = Resource(
    kind="RemoteCatalog",
    plural="remote-catalogs",
    singular="remote-catalog",
    group="catalogs.otoroshi.io",
    legacy_path=None,
    store_kind=REMOTE_CATALOG_KIND,
    cls=RemoteCatalog,
    template=lambda env: remote_catalog_template(env=env),
    template_key="",
)

HTTP_LISTENERS: Final = Resource(
    kind="HttpListener",
    plural="http-listeners",
    singular="http-listener",
    group="http-listeners.proxy.otoroshi.io",
    legacy_path=None,
    store_kind=HTTP_LISTENER_KIND,
    cls=HttpListener,
    template=lambda env: http_listener_template(env=env),
    template_key="",
)

GREEN_SCORES: Final = Resource(
    kind="GreenScore",
    plural="green-scores",
    singular="green-score",
    group="green-score.extensions.otoroshi.io",
    legacy_path=None,
    store_kind=GREEN_SCORE_KIND,
    cls=GreenScore,
    template=lambda env: green_score_template(env=env),
    template_key="",
)
