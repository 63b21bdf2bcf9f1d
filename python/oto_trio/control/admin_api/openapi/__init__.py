"""The OpenAPI document of the admin API, made from the table of resources, and the page that shows it.

`entities` describes what every resource has, `further` the paths beside the resources; `components` has
the schemas and `parts` what operations are put together from. `document` keeps what is really served,
and `serving` answers it.
"""

from oto_trio.control.admin_api.openapi.document import openapi_document
from oto_trio.control.admin_api.openapi.serving import OpenApiPaths, is_docs_path

__all__ = ["OpenApiPaths", "is_docs_path", "openapi_document"]
