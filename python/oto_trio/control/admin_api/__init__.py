"""The admin API: every entity through one table of resources, in Otoroshi's two dialects.

`resources` is the table; `operations` reads and writes entities of any row; `generic` speaks
``/apis/<group>/<version>/<plural>``, `legacy` speaks ``/api/<plural>``; `app` puts them together and
`server` serves the result.
"""

from oto_trio.control.admin_api.app import build_app
from oto_trio.control.admin_api.gateway_control import GatewayControl, GatewayHealth
from oto_trio.control.admin_api.server import AdminServer, serve_admin_api

__all__ = ["AdminServer", "GatewayControl", "GatewayHealth", "build_app", "serve_admin_api"]
