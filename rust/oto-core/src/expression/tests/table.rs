//! Every form of the language with what it gives against the exchange of `full_flow`.

/// (form as the reference lists it, template, what it gives).
pub(super) const TABLE: &[(&str, &str, &str)] = &[
    // Chains.
    (
        "a || b || c::default",
        "${req.headers.none || req.headers.x-a}",
        "1",
    ),
    (
        "a || b || c::default",
        "${user.none||req.headers.none||req.host::d}",
        "api.oto.tools:8443",
    ),
    (
        "a || b || c::default",
        "${nothing || req.query.none:: dv }",
        "dv",
    ),
    (
        "a || b || c::default",
        "${nothing || req.query.none}",
        "no-chain-value",
    ),
    (
        "a || b || c::default",
        "${nothing || req.query.none::}",
        "no-chain-value-d",
    ),
    (
        "a || b || c::default",
        "${req.headers.none:first || req.host}",
        "first",
    ),
    // Dates; the clock stands at 2026-11-22T10:41:30.123Z.
    ("date", "${date}", "2026-11-22T10:41:30.123Z"),
    ("now", "${now}", "2026-11-22T10:41:30.123Z"),
    ("date.format('F')", "${date.format('yyyy/MM')}", "2026/11"),
    ("now.format('F')", "${now.format('EEEE HH')}", "Sunday 10"),
    ("date.epoch_ms", "${date.epoch_ms}", "1795344090123"),
    ("date.epoch_sec", "${date.epoch_sec}", "1795344090"),
    ("now.epoch_ms", "${now.epoch_ms}", "1795344090123"),
    ("now.epoch_sec", "${now.epoch_sec}", "1795344090"),
    (
        "now.plus_ms(N)",
        "${now.plus_ms(1000)}",
        "2026-11-22T10:41:31.123Z",
    ),
    (
        "now.plus_ms(N)",
        "${now.plus_ms(86400000).format('dd')}",
        "23",
    ),
    (
        "now.plus_ms(N)",
        "${now.plus_ms(1).epoch_ms}",
        "1795344090124",
    ),
    (
        "now.minus_ms(N)",
        "${now.minus_ms(123)}",
        "2026-11-22T10:41:30.000Z",
    ),
    (
        "now.minus_ms(N)",
        "${now.minus_ms(1000).epoch_sec}",
        "1795344089",
    ),
    (
        "date(D)",
        "${date(2026-01-01T00:00:00.000+02:00).plus_ms(1)}",
        "2026-01-01T00:00:00.001+02:00",
    ),
    (
        "date(D)",
        "${date(2026-01-01).minus_ms(1).format('yyyy')}",
        "2025",
    ),
    ("date(D)", "${date(2026-01-01).format('DDD')}", "001"),
    (
        "date(D)",
        "${date(1970-01-02T00:00:00Z).epoch_ms}",
        "86400000",
    ),
    (
        "date(D)",
        "${date(1970-01-02T00:00:00Z).plus_ms(5).epoch_sec}",
        "86400",
    ),
    (
        "date_el(E)",
        "${date_el(req.headers.x-date).epoch_sec}",
        "86400",
    ),
    (
        "date_el(E)",
        "${date_el(req.headers.x-date).plus_ms(60000)}",
        "1970-01-02T00:01:00.000Z",
    ),
    (
        "date_el(E)",
        "${date_el(req.headers.none:2026-05-01).format('MMM')}",
        "May",
    ),
    // Context.
    ("item.F", "${item.price} ${item.none}", "12 no-item-none"),
    (
        "params.F",
        "${params.size} ${params.none}",
        "xl no-params-none",
    ),
    ("ctx.F", "${ctx.tier} ${ctx.none}", "gold no-ctx-none"),
    ("ctx.F:dv", "${ctx.tier:x} ${ctx.none:x}", "gold x"),
    (
        "ctx.F|ctx.G",
        "${ctx.none|ctx.tier} ${ctx.a|ctx.b}",
        "gold no-ctx-a-b",
    ),
    (
        "ctx.F|ctx.G:dv",
        "${ctx.none|ctx.tier:x} ${ctx.a|ctx.b:x}",
        "gold x",
    ),
    (
        "ctx.F.replace('a','b')",
        "${ctx.tier.replace('g','b')} ${ctx.tier.replace('old', 'as')}",
        "bold gas",
    ),
    (
        "ctx.F.replaceAll('re','b')",
        "${ctx.tier.replaceAll('[go]+','-')} ${ctx.x.replaceAll('a','b')}",
        "-ld no-ctx-x",
    ),
    (
        "ctx.useragent.F",
        "${ctx.useragent.browser} ${ctx.useragent.os}",
        "Trio no-ctx-useragent.os",
    ),
    (
        "ctx.geolocation.F",
        "${ctx.geolocation.country} ${ctx.geolocation.x}",
        "FR no-ctx-geolocation.x",
    ),
    ("ctx.requestId", "${ctx.requestId}", "7"),
    ("ctx.requestSnowflake", "${ctx.requestSnowflake}", "7"),
    (
        "ctx.requestTimestamp",
        "${ctx.requestTimestamp}",
        "2026-11-22T10:41:30.123Z",
    ),
    (
        "token.F",
        "${token.tier} ${token.none}",
        "gold no-token-none",
    ),
    ("token.F:dv", "${token.none:x}", "x"),
    (
        "token.F|token.G",
        "${token.a|token.tier} ${token.a|token.b}",
        "gold no-token-a-b",
    ),
    ("token.F|token.G:dv", "${token.a|token.b:x}", "x"),
    (
        "token.F.replace('a','b')",
        "${token.tier.replace('old','ift')}",
        "gift",
    ),
    (
        "token.F.replaceAll('re','b')",
        "${token.tier.replaceAll('(g)(o)','$2$1')}",
        "ogld",
    ),
    // Service and route.
    ("service.domain", "${service.domain}", "--"),
    ("service.subdomain", "${service.subdomain}", "--"),
    ("service.tld", "${service.tld}", "--"),
    ("service.env", "${service.env}", "prod"),
    ("service.id", "${service.id}", "route_1"),
    ("service.name", "${service.name}", "a route"),
    (
        "service.groups['i']",
        "${service.groups['1']} ${service.groups['9']}",
        "blue no-group-9",
    ),
    (
        "service.groups['i':'dv']",
        "${service.groups['0':'x']} ${service.groups['9':'x']}",
        "default x",
    ),
    (
        "service.metadata.K",
        "${service.metadata.owner} ${service.metadata.none}",
        "ann no-meta-none",
    ),
    ("service.metadata.K:dv", "${service.metadata.none:x}", "x"),
    (
        "route.domains['i']",
        "${route.domains['0']} ${route.domains['3']}",
        "api.oto.tools/users/:id no-domain-3",
    ),
    ("route.domains['i':'dv']", "${route.domains['3':'x']}", "x"),
    ("route.id", "${route.id}", "route_1"),
    ("route.name", "${route.name}", "a route"),
    ("route.json", "${route.json}", r#"{"id":"route_1"}"#),
    (
        "route.json.pretty",
        "${route.json.pretty}",
        "{\n  \"id\": \"route_1\"\n}",
    ),
    (
        "route.metadata.K",
        "${route.metadata.owner} ${route.metadata.none}",
        "ann no-meta-none",
    ),
    (
        "route.metadata.K:dv",
        "${route.metadata.owner:x} ${route.metadata.none:x}",
        "ann x",
    ),
    // Request.
    (
        "req.fullUrl",
        "${req.fullUrl}",
        "https://api.oto.tools:8443/users/12?q=a%20b&q=2",
    ),
    ("req.listener", "${req.listener}", "standard-listener"),
    ("req.id", "${req.id}", "7"),
    ("req.path", "${req.path}", "/users/12"),
    ("req.uri", "${req.uri}", "/users/12?q=a%20b&q=2"),
    ("req.host", "${req.host}", "api.oto.tools:8443"),
    ("req.domain", "${req.domain}", "api.oto.tools"),
    ("req.method", "${req.method}", "GET"),
    ("req.protocol", "${req.protocol}", "https"),
    ("req.version", "${req.version}", "HTTP/1.1"),
    ("req.ip", "${req.ip}", "192.0.2.7"),
    ("req.ip_address", "${req.ip_address}", "192.0.2.7"),
    ("req.secured", "${req.secured}", "true"),
    (
        "req.headers.N",
        "${req.headers.X-A} ${req.headers.none}",
        "1 no-header-none",
    ),
    (
        "req.headers.N:dv",
        "${req.headers.x-a:x} ${req.headers.none:x}",
        "1 x",
    ),
    (
        "req.query.N",
        "${req.query.q} ${req.query.none}",
        "a b no-query-none",
    ),
    ("req.query.N:dv", "${req.query.none:x}", "x"),
    (
        "req.cookies.N",
        "${req.cookies.sid} ${req.cookies.none}",
        "s=1 no-query-none",
    ),
    ("req.cookies.N:dv", "${req.cookies.none:x}", "x"),
    (
        "req.pathparams.N",
        "${req.pathparams.id} ${req.pathparams.none}",
        "12 no-path-param-none",
    ),
    ("req.pathparams.N:dv", "${req.pathparams.none:x}", "x"),
    ("req.client_cert.dn", "${req.client_cert.dn}", "OU=b, CN=a"),
    (
        "req.client_cert.issuer_dn",
        "${req.client_cert.issuer_dn}",
        "CN=ca",
    ),
    ("req.client_cert.id", "${req.client_cert.id}", "2a"),
    ("req.client_cert.domain", "${req.client_cert.domain}", "a"),
    ("req.client_cert.cn", "${req.client_cert.cn}", "a"),
    // API key.
    (
        "apikeyjwt.F",
        "${apikeyjwt.sub} ${apikeyjwt.$.deep.a[0]} ${apikeyjwt.deep/a/1} ${apikeyjwt.deep.b}",
        "k 1 2 x",
    ),
    ("apikeyjwt.F", "${apikeyjwt.none}", "no-path-at-none"),
    // User.
    ("user.name", "${user.name}", "Ann"),
    ("user.email", "${user.email}", "ann@oto.tools"),
    (
        "user.json",
        "${user.json}",
        r#"{"email":"ann@oto.tools","name":"Ann","otoroshiData":{"a":{"b":"deep"}},"profile":{"lang":"fr"},"realm":"r"}"#,
    ),
    ("user.json.pretty", "${user.json.pretty}", ""),
    (
        "user.tokens.id_token",
        "${user.tokens.id_token}",
        "no-id_token",
    ),
    (
        "user.tokens.access_token",
        "${user.tokens.access_token}",
        "at",
    ),
    (
        "user.tokens.refresh_token",
        "${user.tokens.refresh_token}",
        "no-refresh_token",
    ),
    (
        "user.tokens.token_type",
        "${user.tokens.token_type}",
        "no-token_type",
    ),
    ("user.tokens.expires_in", "${user.tokens.expires_in}", "60"),
    (
        "user.tokens.F",
        "${user.tokens.access_token} ${user.tokens.none}",
        "at no-none",
    ),
    ("user.tokens.F:dv", "${user.tokens.none:x}", "x"),
    (
        "user.metadata.PATH",
        "${user.metadata.a.b} ${user.metadata.a.c}",
        "deep no-meta-a.c",
    ),
    ("user.metadata.PATH:dv", "${user.metadata.a.c:x}", "x"),
    (
        "user.profile.PATH",
        "${user.profile.lang} ${user.profile.none}",
        "fr no-meta-none",
    ),
    ("user.profile.PATH:dv", "${user.profile.none:x}", "x"),
    // Consumer.
    ("consumer.id", "${consumer.id}", "ann@oto.tools"),
    ("consumer.long_id", "${consumer.long_id}", "r-ann@oto.tools"),
    ("consumer.name", "${consumer.name}", "Ann"),
    ("consumer.kind", "${consumer.kind}", "user"),
    (
        "consumer.metadata.PATH",
        "${consumer.metadata.a.b} ${consumer.metadata.x}",
        "deep no-meta-x",
    ),
    ("consumer.metadata.PATH:dv", "${consumer.metadata.x:y}", "y"),
    // Tokens.
    (
        "in_jwt.F",
        "${in_jwt.sub} ${in_jwt.deep.n} ${in_jwt.none}",
        "s 3 no-jwt-none",
    ),
    ("in_jwt.F:dv", "${in_jwt.none:x}", "x"),
    (
        "out_jwt.F",
        "${out_jwt.sub} ${out_jwt.none}",
        "o no-jwt-none",
    ),
    ("out_jwt.F:dv", "${out_jwt.none:x}", "x"),
    ("in_raw_jwt", "${in_raw_jwt}", "a.b.c"),
    ("out_raw_jwt", "${out_raw_jwt}", "d.e.f"),
    ("nbf", "${nbf}", "{nbf}"),
    ("iat", "${iat}", "{iat}"),
    ("exp", "${exp}", "{exp}"),
    // What the operator wrote.
    (
        "env.NAME",
        "${env.REGION} ${env.NONE}",
        "eu no-env-var-NONE",
    ),
    ("env.NAME:dv", "${env.NONE:x}", "x"),
    (
        "config.PATH",
        "${config.otoroshi.domain} ${config.otoroshi.port} ${config.otoroshi}",
        "oto.tools 8080 no-config-otoroshi",
    ),
    ("config.PATH:dv", "${config.otoroshi.none:x}", "x"),
    (
        "vault://…",
        "a ${vault://local/secret} b",
        "a ${vault://local/secret} b",
    ),
    (
        "global_config.metadata.K",
        "${global_config.metadata.team} ${global_config.metadata.x}",
        "core no-metadata-x",
    ),
    (
        "global_config.env.PATH",
        "${global_config.env.a.b} ${global_config.env.x}",
        "c no-global-env-at-x",
    ),
    // API plans are not there yet: they are unknown.
    ("plan.id", "${plan.id}", "bad-expr"),
    ("plan.name", "${plan.name}", "bad-expr"),
    ("api.id", "${api.id}", "bad-expr"),
    ("api.name", "${api.name}", "bad-expr"),
];

/// The same for an exchange whose caller is an API key.
pub(super) const KEY_TABLE: &[(&str, &str, &str)] = &[
    ("apikey.name", "${apikey.name}", "a key"),
    ("apikey.id", "${apikey.id}", "id"),
    ("apikey.clientId", "${apikey.clientId}", "id"),
    (
        "apikey.metadata.K",
        "${apikey.metadata.plan} ${apikey.metadata.x}",
        "gold no-meta-x",
    ),
    ("apikey.metadata.K:dv", "${apikey.metadata.x:dv}", "dv"),
    (
        "apikey.tags['i']",
        "${apikey.tags['1']} ${apikey.tags['2']}",
        "y no-tag-2",
    ),
    ("apikey.tags['i':'dv']", "${apikey.tags['2':'dv']}", "dv"),
    ("consumer.id", "${consumer.id}", "id"),
    ("consumer.long_id", "${consumer.long_id}", "id"),
    ("consumer.name", "${consumer.name}", "a key"),
    ("consumer.kind", "${consumer.kind}", "apikey"),
    (
        "consumer.metadata.PATH",
        "${consumer.metadata.plan} ${consumer.metadata.x}",
        "gold no-meta-x",
    ),
    (
        "consumer.metadata.PATH:dv",
        "${consumer.metadata.x:dv}",
        "dv",
    ),
];
