"""nginx: a master and one worker, default proxy buffering."""

import os
import subprocess
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from benches.job import Job
from benches.peers.proxy import CommandLine, Proxy, server_file

CONFIG = """\
daemon off;
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{
    worker_connections {connections};
}}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_names_hash_max_size 262144;
    server_names_hash_bucket_size 128;

{tls}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Connection {connection};
    grpc_set_header Host $http_host;
{streams}
    upstream origin {{
        server 127.0.0.1:{upstream_port};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port}{ssl} default_server;
        server_name _;
        return 404;
    }}
{servers}
}}
"""


# The header fields of a connection, as its page on WebSockets has them.
UPGRADES = """\
    map $http_upgrade $upgrades {
        default upgrade;
        '' '';
    }
    proxy_set_header Upgrade $http_upgrade;
    proxy_read_timeout 1h;
"""

TCP_CONFIG = """\
daemon off;
{user}{module}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{
    worker_connections 16384;
}}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{upstream_port};
    }}
}}
"""

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Where Debian's package has what speaks TCP; other builds may have it within."""


TLS = """\
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:bench:10m;
    ssl_session_tickets on;
"""


class Nginx(Proxy):
    """nginx as a reverse proxy."""

    name: ClassVar[str] = "nginx"
    install: ClassVar[str] = "apt-get install nginx-light"
    limits_rates: ClassVar[bool] = False

    @override
    def lacks(self, job: Job) -> str | None:
        if job.tcp and not STREAM_MODULE.exists() and not self._has_stream_within():
            return "whose module for TCP is missing: apt-get install libnginx-mod-stream"
        if job.http3:
            return "whose version in Debian speaks no HTTP/3"
        return None

    def _has_stream_within(self) -> bool:
        """Whether nginx was built with what speaks TCP."""
        said = subprocess.run(
            [self.executable() or self.name, "-V"], capture_output=True, text=True, check=False
        )
        return "--with-stream" in said.stderr.split()

    @override
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        config = folder / "nginx.conf"
        program = self.executable() or self.name
        command = CommandLine((program, "-p", str(folder), "-e", "stderr", "-c", str(config)))
        # As root, a worker under another user could not enter the bench's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        if job.tcp:
            module = f"load_module {STREAM_MODULE};\n" if STREAM_MODULE.exists() else ""
            config.write_text(
                TCP_CONFIG.format(
                    user=user,
                    module=module,
                    folder=folder,
                    port=port,
                    upstream_port=job.upstream_port,
                )
            )
            return command
        ssl, tls = "", ""
        if job.tls:
            ssl, tls = " ssl http2" if job.http2 else " ssl", TLS.format(pem=server_file(folder))
        passing = "grpc_pass grpc" if job.grpc else "proxy_pass http"
        servers = []
        for domain, prefixes in job.by_domain().items():
            locations = "".join(
                f"        location {prefix} {{ {passing}://origin; }}\n" for prefix in prefixes
            )
            servers.append(
                f"    server {{\n        listen 127.0.0.1:{port}{ssl};\n        server_name {domain};\n"
                f"{locations}    }}\n"
            )
        config.write_text(
            CONFIG.format(
                user=user,
                # Each of 10,000 WebSockets has two; places cost memory, used or not.
                connections=32_768 if job.websocket else 16_384,
                connection="$upgrades" if job.websocket else '""',
                folder=folder,
                port=port,
                ssl=ssl,
                tls=tls + (UPGRADES if job.websocket else ""),
                upstream_port=job.upstream_port,
                # Its default stores a large body in a file before the upstream sees any of it.
                streams="    proxy_request_buffering off;\n    proxy_max_temp_file_size 0;"
                if job.streams
                else "",
                servers="".join(servers),
            )
        )
        return command
