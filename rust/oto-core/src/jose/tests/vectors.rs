//! The examples printed in RFC 7515 (appendix A), RFC 7638 and RFC 8037 (appendix A).

use serde_json::{Map, Value, json};

use crate::jose::{Algorithm, Algorithms, JoseError, Jws, KeySet, SigningKey, VerifyingKey, jwk};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

fn rsa() -> Map<String, Value> {
    object(json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
        "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "p": "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "q": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "dp": "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "dq": "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "qi": "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"
    }))
}

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc7515_a1_hs256() {
    let jwk = object(
        json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
    );
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let key = jwk::verifying_key(&jwk, Algorithms::ALL).expect("a key");
    let jws = Jws::parse(&token).expect("a token");
    assert_eq!(jws.header().algorithm, Algorithm::Hs256);
    let payload = jws.payload(&key).expect("its signature");
    assert!(payload.starts_with(b"{\"iss\":\"joe\",\r\n"));
}

#[test]
fn rfc7515_a3_es256() {
    let jwk = object(json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
    }));
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let key = jwk::verifying_key(&jwk, Algorithms::ALL).expect("a key");
    assert!(Jws::parse(&token).expect("a token").payload(&key).is_ok());
    let own = jwk::signing_key(&jwk, Algorithm::Es256).expect("a key");
    let signed = own.sign(&Map::new(), &Map::new()).expect("signed");
    assert!(Jws::parse(&signed).expect("a token").payload(&key).is_ok());
}

#[test]
fn a_signature_that_was_good_before_is_good_for_its_own_token_and_key_alone() {
    let jwk = |d: &str, x: &str, y: &str| {
        object(json!({"kty": "EC", "crv": "P-256", "d": d, "x": x, "y": y}))
    };
    let mine = jwk(
        "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    // RFC 7517 section A.2.
    let other = jwk(
        "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    );
    let signing = |jwk| jwk::signing_key(jwk, Algorithm::Es256).expect("a key");
    let verifying = |jwk| jwk::verifying_key(jwk, Algorithms::ALL).expect("a key");
    let token = signing(&mine).sign(&Map::new(), &Map::new());
    let token = token.expect("signed");
    let is_good =
        |token: &str, key: &VerifyingKey| Jws::parse(token).expect("a token").payload(key).is_ok();
    let key = verifying(&mine);
    for _ in 0..3 {
        assert!(is_good(&token, &key));
        assert!(!is_good(&token, &verifying(&other)), "another key");
        let (text, signature) = token.rsplit_once('.').expect("parts");
        let (header, _) = text.split_once('.').expect("parts");
        assert!(
            !is_good(&format!("{header}.e30K.{signature}"), &key),
            "other claims"
        );
        let foreign = signing(&other)
            .sign(&Map::new(), &Map::new())
            .expect("signed");
        assert!(!is_good(&foreign, &key), "another signature");
    }
}

#[test]
fn rfc7515_a4_es512() {
    let jwk = object(json!({
        "kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"
    }));
    let token = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    let key = jwk::verifying_key(&jwk, Algorithms::ALL).expect("a key");
    let payload = Jws::parse(token).expect("a token").payload(&key);
    assert_eq!(payload, Ok(b"Payload".to_vec()));
}

#[test]
fn rfc7515_a5_none_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(Jws::parse(&token).err(), Some(JoseError::UnknownAlgorithm));
}

#[test]
fn rfc7638_thumbprint() {
    let jwk = object(json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    }));
    let public = jwk::public(&jwk).expect("a key");
    assert_eq!(
        jwk::thumbprint(&public),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    let set =
        json!({"keys": [jwk, {"kty": "oct", "kid": "2011-04-29", "k": "AAAA"}, {"kty": "odd"}, 7]});
    let set = KeySet::parse(set.to_string().as_bytes()).expect("a set");
    assert_eq!(set.len(), 1);
    assert!(set.find("2011-04-29", Algorithm::Rs256).is_some());
    assert!(set.find("2011-04-29", Algorithm::Rs512).is_none());
    assert!(set.find("2011-04-29", Algorithm::Hs256).is_none());
}

#[test]
fn rfc8037_ed25519() {
    let jwk = object(json!({
        "kty": "OKP", "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    }));
    let key = jwk::verifying_key(&jwk, Algorithms::ALL).expect("a key");
    let public = key.public().expect("public");
    assert_eq!(
        jwk::thumbprint(public),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let own = jwk::signing_key(&jwk, Algorithm::EdDsa).expect("a key");
    let header = object(json!({"alg": "EdDSA"}));
    let ours = own.sign_payload(&header, b"Example of Ed25519 signing");
    assert_eq!(ours.as_deref(), Ok(signed));
    assert!(Jws::parse(signed).expect("a token").payload(&key).is_ok());
}

#[test]
fn every_algorithm_signs_what_it_verifies_and_nothing_else() {
    let ec = |crv: &str, x: &str, y: &str, d: &str| {
        object(json!({"kty": "EC", "crv": crv, "x": x, "y": y, "d": d}))
    };
    let keys = [
        object(json!({"kty": "oct", "k": "c2VjcmV0"})),
        rsa(),
        ec(
            "P-256",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        ),
        object(json!({
            "kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        })),
    ];
    let verifying: Vec<VerifyingKey> = keys
        .iter()
        .map(|jwk| jwk::verifying_key(jwk, Algorithms::ALL).expect("a key"))
        .collect();
    let mut signed = 0;
    for algorithm in Algorithm::ALL {
        for (at, jwk) in keys.iter().enumerate() {
            let Ok(key) = jwk::signing_key(jwk, algorithm) else {
                assert!(!verifying[at].fits(algorithm));
                continue;
            };
            signed += 1;
            let token = key.sign(&Map::new(), &Map::new()).expect("signed");
            let jws = Jws::parse(&token).expect("a token");
            for (other, key) in verifying.iter().enumerate() {
                let payload = jws.payload(key);
                if other == at {
                    assert_eq!(payload, Ok(b"{}".to_vec()), "{algorithm}");
                } else {
                    assert_eq!(payload, Err(JoseError::KeyMismatch(algorithm)));
                }
            }
        }
    }
    assert_eq!(signed, 3 + 6 + 1 + 1);
    assert!(SigningKey::from_secret(b"", Algorithm::Hs256).is_err());
}

#[test]
fn rfc7515_a2_rs256() {
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let key = jwk::verifying_key(&rsa(), Algorithms::ALL).expect("a key");
    assert!(Jws::parse(&token).expect("a token").payload(&key).is_ok());
    let own = jwk::signing_key(&rsa(), Algorithm::Rs256).expect("a key");
    let jws = Jws::parse(&token).expect("a token");
    let payload = jws.payload(&key).expect("its signature");
    let header = object(json!({"alg": "RS256"}));
    assert_eq!(own.sign_payload(&header, &payload), Ok(token.clone()));
}
