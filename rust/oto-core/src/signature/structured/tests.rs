//! What is read, what is written, and what is neither.

use super::*;

fn again(field: &str) -> String {
    write_dictionary(&dictionary(field.as_bytes()).expect(field))
}

#[test]
fn what_is_read_is_written_in_the_one_form() {
    for (field, written) in [
        ("", ""),
        (
            "  a=1,    b=2;x=1;y=2,   c=(a   b   c)",
            "a=1, b=2;x=1;y=2, c=(a b c)",
        ),
        ("a,b;x,c=?1;y=?0", "a, b;x, c;y=?0"),
        ("a=1\t ,\tb=2 ", "a=1, b=2"),
        ("a=1, b=2, a=3", "a=3, b=2"),
        ("a;x=1;y;x=2", "a;x=2;y"),
        (
            "a=( \"x\\\"\\\\\"  tok:/en );p=:AQI:",
            "a=(\"x\\\"\\\\\" tok:/en);p=:AQI=:",
        ),
        (
            "a=-0, b=007, c=1.50, d=-2.0, e=0.003",
            "a=0, b=7, c=1.5, d=-2.0, e=0.003",
        ),
        (
            "a=@1659578233, b=%\"f%c3%bc %22\"",
            "a=@1659578233, b=%\"f%c3%bc %22\"",
        ),
        ("*a._-0=()", "*a._-0=()"),
    ] {
        assert_eq!(again(field), written);
        assert_eq!(again(written), written);
    }
}

#[test]
fn lists_and_items_are_read_too() {
    let members = list(b"a;q=0.5,  (\"b\"\t)").err();
    assert!(members.is_some(), "no tab in an inner list");
    let members = list(b"a;q=0.5,\t(\"b\" 1);x").expect("a list");
    assert_eq!(write_list(&members), "a;q=0.5, (\"b\" 1);x");
    assert_eq!(list(b"").expect("empty"), []);
    let parsed = item(b" :aGk=: ;a").err();
    assert!(parsed.is_some(), "no space before a parameter");
    let parsed = item(b" :aGk=:;a ").expect("an item");
    assert_eq!(parsed.value, Bare::Bytes(b"hi".to_vec()));
    assert!(item(b"").is_err());
    assert!(item(b"(a)").is_err());
}

#[test]
fn everything_else_is_refused() {
    for field in [
        "A=1",
        "a=",
        "a=1,",
        ",a",
        "a=1,,b",
        "a b",
        "a=1;",
        "a=1;X",
        "a=(",
        "a=(1",
        "a=(1,2)",
        "a=(1\"x\")",
        "a=1.",
        "a=1.0000",
        "a=-",
        "a=--1",
        "a=1234567890123456",
        "a=1234567890123.0",
        "a=\"",
        "a=\"\\n\"",
        "a=\"\u{e9}\"",
        "a=\"\t\"",
        "a=?2",
        "a=?",
        "a=:",
        "a=:*:",
        "a=:AA",
        "a=@1.5",
        "a=@",
        "a=%x",
        "a=%\"%C3\"",
        "a=%\"%ff\"",
        "a=%\"",
        "a=\u{e9}",
        "a=1\t",
        "\ta=1",
        "a=1\r\n",
        "a==1",
        "a =1",
        "a= 1",
    ] {
        assert!(dictionary(field.as_bytes()).is_err(), "{field:?}");
    }
}

#[test]
fn a_good_field_cut_anywhere_never_panics() {
    let field =
        b"sig=(\"@method\";req \"a\";key=\"b\");created=1;nonce=\"x\", b=:AAAA:, c=%\"%c3%bc\"";
    assert!(dictionary(field).is_ok());
    for end in 0..field.len() {
        let _ = dictionary(&field[..end]);
        let mut changed = field.to_vec();
        changed[end] = 0xff;
        assert!(dictionary(&changed).is_err());
    }
}

#[test]
fn sizes_have_bounds() {
    let many = |count: usize, one: &str, joint: &str| vec![one; count].join(joint);
    assert!(list(many(MEMBERS, "a", ",").as_bytes()).is_ok());
    assert!(list(many(MEMBERS + 1, "a", ",").as_bytes()).is_err());
    assert!(list(format!("({})", many(MEMBERS, "a", " ")).as_bytes()).is_ok());
    assert!(list(format!("({})", many(MEMBERS + 1, "a", " ")).as_bytes()).is_err());
    let parameters = |count| (0..count).map(|at| format!(";p{at}")).collect::<String>();
    assert!(item(format!("a{}", parameters(MEMBERS)).as_bytes()).is_ok());
    assert!(item(format!("a{}", parameters(MEMBERS + 1)).as_bytes()).is_err());
    let long = "a".repeat(FIELD_BYTES);
    assert!(item(long.as_bytes()).is_ok());
    assert!(item(format!("{long}a").as_bytes()).is_err());
}
