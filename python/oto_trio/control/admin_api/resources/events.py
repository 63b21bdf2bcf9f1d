"""The row of what sends events away: ``events.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.data_exporter import DATA_EXPORTERS as DATA_EXPORTER_KIND
from oto_trio.model.data_exporter import DataExporter, data_exporter_template
from oto_trio.model.ids import named_id

__all__ = ["DATA_EXPORTERS"]

DATA_EXPORTERS: Final = Resource(
    kind="DataExporter",
    plural="data-exporters",
    singular="data-exporter",
    group="events.otoroshi.io",
    legacy_path="/api/data-exporter-configs",
    store_kind=DATA_EXPORTER_KIND,
    cls=DataExporter,
    template=lambda env: data_exporter_template(env=env),
    template_key="dataExporter",
    new_id=lambda: named_id("data_exporter"),
)
