//! Every form of the language against one exchange, and the rules that hold for all of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::http1::{HeadLimits, Request, ResponseHead, Version};
use crate::plan::{Change, Downstream, Moment, Snapshot};
use crate::tls::ClientCertificate;

mod table;

use table::{KEY_TABLE, TABLE};

fn flow_of(route: &Value) -> Flow {
    let settings = json!({"expressions": {
        "env": {"REGION": "eu"}, "allows_env": true,
        "config": {"otoroshi": {"domain": "oto.tools", "port": 8080}}, "allows_config": true,
        "global_metadata": {"team": "core"}, "global_env": {"a": {"b": "c"}},
    }});
    let (route, settings) = (route.to_string(), settings.to_string());
    let snapshot = Snapshot::default()
        .apply(&Change {
            routes: &[route.as_bytes()],
            settings: Some(settings.as_bytes()),
            ..Change::default()
        })
        .expect("valid");
    let fields: [(&[u8], &[u8]); 5] = [
        (b"host", b"api.oto.tools:8443"),
        (b"x-a", b"1"),
        (b"x-date", b"1970-01-02"),
        (b"x-evil", b"${env.REGION}"),
        (b"cookie", b"a=b; sid=\"s=1\"; c"),
    ];
    let request = Request::from_parts(
        b"GET",
        b"/users/12?q=a%20b&q=2",
        fields.into_iter(),
        Version::Http11,
        &HeadLimits::default(),
    )
    .expect("valid");
    let downstream = Downstream {
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)).into(),
        secured: true,
        listener: Arc::from("standard-listener"),
        is_exclusive: false,
        client_cert: None,
    };
    let moment = Moment {
        unix_s: 1_795_344_090.123_4,
        ..Moment::default()
    };
    let snapshot = Arc::new(snapshot);
    Flow::begin(
        7,
        request,
        ResponseHead::default(),
        downstream,
        snapshot,
        moment,
    )
}

fn bare_flow() -> Flow {
    flow_of(&json!({
        "id": "route_1", "name": "a route",
        "frontend": {"domains": ["api.oto.tools/users/:id"]},
        "facts": {
            "groups": ["default", "blue"], "domains": ["api.oto.tools/users/:id"],
            "metadata": {"owner": "ann", "nested": "<${req.method} ${route.metadata.owner}>",
                         "loop": "${route.metadata.loop}x"},
            "document": {"id": "route_1"},
        },
    }))
}

fn full_flow() -> Flow {
    let mut flow = bare_flow();
    flow.downstream.client_cert = Some(Arc::new(ClientCertificate {
        chain: Vec::new(),
        subject: "OU=b, CN=a".into(),
        issuer: "CN=ca".into(),
        common_name: Some("a".into()),
        serial: "2a".into(),
        alternative_names: Vec::new(),
        not_before_s: 0,
        not_after_s: 0,
        is_trusted: true,
    }));
    flow.attrs.user = Some(Arc::new(json!({
        "name": "Ann", "email": "ann@oto.tools", "realm": "r", "randomId": "session",
        "token": {"access_token": "at", "expires_in": 60},
        "otoroshiData": {"a": {"b": "deep"}}, "profile": {"lang": "fr"},
    })));
    flow.attrs.claims = Some(Arc::new(json!({"sub": "s", "deep": {"n": 3}})));
    flow.attrs.claims_out = Some(Arc::new(json!({"sub": "o"})));
    flow.attrs.apikey_claims = Some(Arc::new(
        json!({"sub": "k", "deep": {"a": [1, 2], "b": "x"}}),
    ));
    flow.attrs.token_in = Some("a.b.c".into());
    flow.attrs.token_out = Some("d.e.f".into());
    for (name, value) in [
        ("tier", "gold"),
        ("item.price", "12"),
        ("params.size", "xl"),
        ("useragent.browser", "Trio"),
        ("geolocation.country", "FR"),
    ] {
        flow.attrs.tell(name, value);
    }
    flow
}

fn render(flow: &Flow, template: &str) -> String {
    Template::parse(template)
        .expect(template)
        .text(flow)
        .into_owned()
}

#[test]
fn every_form_gives_what_the_reference_says() {
    let flow = full_flow();
    for (form, template, expected) in TABLE {
        let text = render(&flow, template);
        if form.ends_with(".pretty") && expected.is_empty() {
            let plain = render(&flow, &template.replace(".pretty", ""));
            let (one, other): (Value, Value) = (
                serde_json::from_str(&text).expect("JSON"),
                serde_json::from_str(&plain).expect("JSON"),
            );
            assert_eq!(one, other, "{form}");
            assert!(text.contains('\n'), "{form}");
            continue;
        }
        assert_eq!(&text, expected, "{form}: {template}");
    }
}

#[test]
fn what_the_exchange_lacks_is_unknown() {
    let flow = bare_flow();
    for template in [
        "${req.client_cert.dn}",
        "${req.client_cert.cn}",
        "${apikey.name}",
        "${apikey.id}",
        "${apikey.clientId}",
        "${apikey.json}",
        "${apikey.json.pretty}",
        "${apikey.metadata.a:x}",
        "${apikey.tags['0':'x']}",
        "${apikeyjwt.sub}",
        "${user.name}",
        "${user.json}",
        "${user.tokens.a:x}",
        "${user.metadata.a:x}",
        "${user.profile.a:x}",
        "${consumer.id}",
        "${consumer.long_id}",
        "${consumer.name}",
        "${consumer.metadata.a}",
        "${in_jwt.sub:x}",
        "${out_jwt.sub}",
        "${in_raw_jwt}",
        "${out_raw_jwt}",
        "${}",
        "${ req.host }",
        "${req.hosts}",
        "${req}",
        "${date.plus_ms(1)}",
        "${route.groups['0']}",
        "${service.domains['0']}",
        "${now.format(yyyy)}",
        "${REQ.HOST}",
    ] {
        assert_eq!(render(&flow, template), "bad-expr", "{template}");
    }
    assert_eq!(render(&flow, "${consumer.kind}"), "public");
    let none = r#"{"consumer":null,"kind":"public"}"#;
    assert_eq!(render(&flow, "${consumer.json}"), none);
}

#[test]
fn without_a_route_its_expressions_are_unknown() {
    let mut flow = bare_flow();
    flow.route = None;
    for name in [
        "route.id",
        "route.json",
        "service.env",
        "route.metadata.a:x",
    ] {
        assert_eq!(render(&flow, &format!("${{{name}}}")), "bad-expr", "{name}");
    }
}

#[test]
fn a_key_is_told_without_its_secret() {
    let mut flow = bare_flow();
    let key = br#"{"clientId": "id", "clientSecret": "hidden", "clientName": "a key",
        "authorizedEntities": ["group_default"], "tags": ["x", "y"], "metadata": {"plan": "gold"}}"#;
    flow.attrs.apikey = Some(Arc::new(crate::apikeys::ApiKey::read(key).expect("valid")));
    let light =
        r#"{"clientId":"id","clientName":"a key","metadata":{"plan":"gold"},"tags":["x","y"]}"#;
    for (form, template, expected) in KEY_TABLE {
        assert_eq!(&render(&flow, template), expected, "{form}");
    }
    assert_eq!(render(&flow, "${apikey.json}"), light);
    let pretty = render(&flow, "${apikey.json.pretty}");
    let value: Value = serde_json::from_str(&pretty).expect("JSON");
    assert_eq!(value["clientId"], "id");
    assert!(!pretty.contains("hidden"));
    let shown = format!(r#"{{"consumer":{light},"kind":"apikey"}}"#);
    assert_eq!(render(&flow, "${consumer.json}"), shown);
}

#[test]
fn the_user_comes_before_the_key_but_in_json() {
    let mut flow = full_flow();
    let shown: Value = serde_json::from_str(&render(&flow, "${consumer.json}")).expect("JSON");
    assert_eq!(shown["kind"], "user");
    assert_eq!(shown["consumer"]["token"], Value::Null);
    flow.attrs.user = Some(Arc::new(json!({"name": "n", "email": "e"})));
    let text = render(&flow, "${user.profile.a} ${user.profile.a:x}");
    assert_eq!(text, "no-profile-a no-profile-a");
}

#[test]
fn what_cannot_be_worked_out_gives_the_source() {
    let flow = full_flow();
    for template in [
        "a ${now.format('bb')} ${req.host}",
        "${date(yesterday).epoch_ms}",
        "${date_el(req.host).plus_ms(1)}",
        "${now.plus_ms(x)}",
        "${now.plus_ms(9223372036854775807)}",
        "${service.groups['x']}",
    ] {
        assert_eq!(render(&flow, template), template);
    }
}

#[test]
fn only_what_the_operator_wrote_is_evaluated_again() {
    let flow = full_flow();
    assert_eq!(render(&flow, "${route.metadata.nested}"), "<GET ann>");
    // Four levels deep, then it stays.
    assert_eq!(
        render(&flow, "${route.metadata.loop}"),
        "${route.metadata.loop}xxxxx"
    );
    assert_eq!(render(&flow, "${req.headers.x-evil}"), "${env.REGION}");
    assert_eq!(
        render(&flow, "${req.headers.none:${req.host}}"),
        "${req.host}"
    );
}

#[test]
fn fields_are_asked_for_as_they_arrived_where_the_route_says_so() {
    for (says, header, cookie) in [(true, "1", "b"), (false, "no-header-x-a", "later")] {
        let mut flow = flow_of(&json!({
            "id": "r", "frontend": {"domains": ["api.oto.tools"]}, "reads_arrived": says,
        }));
        flow.request.headers.remove(b"x-a");
        flow.request.headers.remove(b"cookie");
        flow.request.headers.add(b"Cookie", b"a=later");
        assert_eq!(render(&flow, "${req.headers.x-a}"), header);
        assert_eq!(render(&flow, "${req.cookies.a}"), cookie);
    }
}

#[test]
fn text_without_expressions_is_literal() {
    let flow = bare_flow();
    for text in ["", "a", "$a {b}", "${open", "x ${vault://a} y", "}${"] {
        let template = Template::parse(text).expect(text);
        assert_eq!(template.literal(), Some(text));
        assert!(matches!(template.text(&flow), Cow::Borrowed(_)), "{text}");
    }
    assert!(!Template::parse("a${req.host}").expect("valid").is_literal());
}

#[test]
fn bounds_hold() {
    let long = "a".repeat(SOURCE_BYTES + 1);
    let error = Template::parse(&long).expect_err("too long");
    assert!(error.contains("1048576"), "{error}");
    let many = "${now}".repeat(EXPRESSIONS + 1);
    assert!(Template::parse(&many).is_err());
    assert!(Template::parse(&"${now}".repeat(EXPRESSIONS)).is_ok());
    let deep = format!("${{{}x", "date_el(".repeat(EXPRESSIONS));
    assert!(Template::parse(&deep).is_ok(), "open: literal");
    let deep = format!(
        "${{{}x{}}}",
        "date_el(".repeat(1000),
        ").epoch_ms".repeat(1000)
    );
    assert!(Template::parse(&deep).is_ok());

    let mut flow = full_flow();
    flow.attrs.tell("large", &"x".repeat(OUTPUT_BYTES / 2));
    let twice = "${ctx.large}${ctx.large}";
    assert_eq!(render(&flow, twice).len(), OUTPUT_BYTES);
    let thrice = format!("{twice}${{ctx.large}}");
    assert_eq!(render(&flow, &thrice), thrice, "too much gives the source");
}

#[test]
fn values_that_name_each_other_end_soon() {
    let many = |name: &str| format!("${{route.metadata.{name}}}").repeat(EXPRESSIONS);
    let flow = flow_of(&json!({
        "id": "route_1", "name": "a route",
        "frontend": {"domains": ["api.oto.tools"]},
        "facts": {"metadata": {
            "a": many("b"), "b": many("c"), "c": many("d"), "d": many("none:"),
            "few": "${route.metadata.owner}".repeat(100), "owner": "x",
        }},
    }));
    // 1,024 times 1,024 times 1,024 … empty texts: nobody waits for that.
    assert_eq!(render(&flow, "${route.metadata.a}"), "${route.metadata.a}");
    assert_eq!(render(&flow, "${route.metadata.few}"), "x".repeat(100));
}

#[test]
fn a_replacement_cannot_make_a_value_huge() {
    let mut flow = bare_flow();
    flow.attrs.tell("long", &"a".repeat(8 << 10));
    let long = "b".repeat(1 << 10);
    for call in [
        format!("${{ctx.long.replace('a','{long}')}}"),
        format!("${{ctx.long.replaceAll('a','{long}')}}"),
        format!("${{ctx.long.replaceAll('a*','{}')}}", "$0".repeat(1 << 10)),
    ] {
        let mut told = String::new();
        let used = allocation_counter::measure(|| told = render(&flow, &call));
        assert_eq!(told, call);
        assert!(used.bytes_max < 1 << 20, "{} bytes", used.bytes_max);
    }
    let twice = render(&flow, "${ctx.long.replaceAll('a','$0$0')}");
    assert_eq!(twice, "a".repeat(16 << 10));
}

#[test]
fn settings_that_may_not_be_read_are_unknown() {
    let mut flow = flow_of(&json!({"id": "r", "frontend": {"domains": ["api.oto.tools"]}}));
    let mut snapshot = (*flow.snapshot).clone();
    let mut settings = (*snapshot.settings).clone();
    settings.expressions = Environment {
        env: [("A".to_owned(), "b".to_owned())].into(),
        ..Environment::default()
    };
    snapshot.settings = Arc::new(settings);
    flow.snapshot = Arc::new(snapshot);
    assert_eq!(
        render(&flow, "${env.A:x} ${config.a:x}"),
        "bad-expr bad-expr"
    );
}

/// The forms in the first column of the tables of `docs/expressions.md`.
fn documented() -> Vec<String> {
    let page = include_str!("../../../../docs/expressions.md");
    page.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| {
            let column = line.split(" | ").next().unwrap_or(line);
            column
                .split("`, `")
                .map(|form| form.trim_end_matches('`').replace("\\|", "|"))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_form_is_documented_and_every_documented_form_is_tried() {
    let documented = documented();
    let tried: Vec<&str> = TABLE
        .iter()
        .chain(KEY_TABLE)
        .map(|(form, _, _)| *form)
        .collect();
    // Values that differ from one rendering to the next, or are compared as JSON.
    let elsewhere = [
        "rand",
        "apikey.json",
        "apikey.json.pretty",
        "consumer.json",
        "consumer.json.pretty",
    ];
    for form in tried.iter().chain(&elsewhere) {
        assert!(
            documented.iter().any(|known| known == form),
            "undocumented: {form}"
        );
    }
    for form in &documented {
        let known = tried.contains(&form.as_str()) || elsewhere.contains(&form.as_str());
        assert!(known, "not tried: {form}");
    }
}

#[test]
fn random_tokens_differ() {
    let flow = bare_flow();
    let (one, other) = (render(&flow, "${rand}"), render(&flow, "${rand}"));
    assert_eq!(one.len(), 64);
    assert_ne!(one, other);
}

#[test]
fn header_values_cannot_split_a_message() {
    assert_eq!(header_bytes("a\r\nb\0c\u{e9}\u{20ac}\t"), b"a??b?c\xe9?\t");
}

#[test]
fn json_is_walked() {
    let flow = full_flow();
    let value = json!({"a": "${req.method}", "${req.host}": [1, "x", "${ctx.tier}"], "b": true});
    let template = JsonTemplate::parse(&value).expect("valid");
    let expected = json!({"a": "GET", "${req.host}": [1, "x", "gold"], "b": true});
    assert_eq!(template.render(&flow), expected);
    assert!(
        JsonTemplate::parse(&json!({"a": [1, "b"]}))
            .expect("valid")
            .is_literal()
    );
}

#[test]
fn claims_of_the_verified_token_stand_in_for_what_the_context_lacks() {
    let mut flow = bare_flow();
    flow.attrs.tell("told", "context");
    let claims = json!({"told": "token", "sub": "jo", "n": 1, "list": [1], "none": null});
    flow.attrs.claims = Some(Arc::new(claims));
    let text = |source: &str| {
        let template = Template::parse(source).expect("a template");
        template.text(&flow).into_owned()
    };
    assert_eq!(
        text("${token.told} ${token.sub} ${token.n}"),
        "context jo 1"
    );
    assert_eq!(
        text("${token.x|token.sub} ${token.sub.replace('j','y')}"),
        "jo yo"
    );
    assert_eq!(
        text("${token.list:-} ${token.none:-} ${ctx.sub:-}"),
        "- - -"
    );
}

#[test]
fn what_is_counted_by_has_networks_of_ipv6_and_other_texts_have_addresses() {
    let both = Template::parse("${req.method} ${req.ip} ${req.ip_address || req.host}");
    let template = both.expect("a template");
    // A client of IPv4 on a port of both families has the address it has elsewhere.
    for (prefix, ip, counted) in [
        (64, "192.0.2.7", "192.0.2.7"),
        (64, "::ffff:192.0.2.7", "192.0.2.7"),
        (64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (56, "2001:db8:1:2ff:3:4:5:6", "2001:db8:1:200::/56"),
        (128, "2001:db8::6", "2001:db8::6"),
        (0, "2001:db8::6", "::/0"),
    ] {
        let settings = json!({ "ipv6_prefix": prefix }).to_string();
        let mut flow = bare_flow();
        flow.snapshot = Arc::new(
            Snapshot::default()
                .apply(&Change {
                    settings: Some(settings.as_bytes()),
                    ..Change::default()
                })
                .expect("valid"),
        );
        flow.downstream.peer = ip.parse::<IpAddr>().expect("an address").into();
        assert_eq!(
            template.counted(&flow),
            format!("GET {counted} {counted}"),
            "{ip}"
        );
        let told = ip.strip_prefix("::ffff:").unwrap_or(ip);
        assert_eq!(template.text(&flow), format!("GET {told} {told}"));
    }
}
