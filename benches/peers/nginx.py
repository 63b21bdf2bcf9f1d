"""nginx: a master and one worker, default proxy buffering."""

import os
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
    worker_connections 16384;
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
    proxy_set_header Connection "";
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
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        ssl, tls = "", ""
        if job.tls:
            ssl, tls = " ssl http2" if job.http2 else " ssl", TLS.format(pem=server_file(folder))
        servers = []
        for domain, prefixes in job.by_domain().items():
            locations = "".join(
                f"        location {prefix} {{ proxy_pass http://origin; }}\n"
                for prefix in prefixes
            )
            servers.append(
                f"    server {{\n        listen 127.0.0.1:{port}{ssl};\n        server_name {domain};\n"
                f"{locations}    }}\n"
            )
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                # As root, a worker under another user could not enter the bench's folder.
                user="user root;\n" if os.geteuid() == 0 else "",
                folder=folder,
                port=port,
                ssl=ssl,
                tls=tls,
                upstream_port=job.upstream_port,
                # Its default stores a large body in a file before the upstream sees any of it.
                streams="    proxy_request_buffering off;\n    proxy_max_temp_file_size 0;"
                if job.streams
                else "",
                servers="".join(servers),
            )
        )
        program = self.executable() or self.name
        return CommandLine((program, "-p", str(folder), "-e", "stderr", "-c", str(config)))
