//! The client against a pool that behaves, and one that does not.

mod sessions;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json as value};
use tokio::time::Instant;

use super::testing::{Behaviour, FakePool, Recorded, json};
use super::*;
use crate::crypto::{PoolAuthentication, PublicKey, SecretKey, Signature, derive, sha256, verify_aggregate};
use crate::farmer::{PartialSubmission, PoolAnswer, PoolMembership, PoolReply, PoolRequest};
use crate::ids::{LauncherId, PuzzleHash};
use crate::wire::pool::{PoolVersion, PostPartialPayload};
use crate::wire::{PlotPool, ProofBody, ProofOfSpace, Streamable as _};

const TOKEN: u64 = 5_983_983;
const UNIX_SECONDS: u64 = 1_795_195_114;
const CONTRACT: &str = "ea64967a960a24cba6ef69f35d45da481203b67f8083b47c0ba1795b3a52e4f4";

/// The key everything was recorded with.
fn master() -> SecretKey {
    let seed: Vec<u8> = (0..32).collect();
    SecretKey::key_gen(&seed).unwrap()
}

fn authentication(version: PoolVersion) -> PoolAuthentication {
    let (owner, secret) = match version {
        PoolVersion::V1 => (
            derive::singleton_owner_sk(&master(), 0).public_key(),
            derive::pool_authentication_sk(&master(), 0),
        ),
        PoolVersion::V2 => {
            let owner = derive::pool_owner_sk_v2(&master(), 4).unwrap();
            (owner.public_key(), owner)
        }
    };
    PoolAuthentication::new(owner.to_g1(), version, secret).unwrap()
}

fn membership(version: PoolVersion, url: &str) -> PoolMembership {
    PoolMembership {
        launcher_id: LauncherId(sha256(&[b"launcher"])),
        pool_url: url.to_owned(),
        payout_instructions: "bb".repeat(32),
        target_puzzle_hash: PuzzleHash(sha256(&[b"target"])),
        p2_singleton_puzzle_hash: CONTRACT.parse().unwrap(),
        owner_public_key: *authentication(version).owner_public_key(),
        version,
        key_derivation_index: None,
    }
}

fn client(roots: RootCertStore) -> PoolClient {
    let keys = vec![authentication(PoolVersion::V1), authentication(PoolVersion::V2)];
    let keys = FarmingKeys::new(Vec::new(), Vec::new()).with_pool_authentication(keys);
    let options = PoolClientOptions {
        roots,
        https_only: true,
        proxies: false,
        user_agent: "Chia Blockchain v.2.7.5".to_owned(),
        farmer_version: "2.7.5".to_owned(),
    };
    PoolClient::new(options, Arc::new(keys)).unwrap()
}

async fn ask_within(client: &PoolClient, pool: &PoolMembership, request: &PoolRequest, within: Duration) -> PoolAnswer {
    let deadline = Instant::now() + within;
    client.ask(pool, request, deadline, || UNIX_SECONDS, || 0.0).await
}

async fn ask(client: &PoolClient, pool: &PoolMembership, request: &PoolRequest) -> PoolAnswer {
    ask_within(client, pool, request, Duration::from_secs(10)).await
}

/// What an honest pool says to everything.
fn honest(request: &Recorded) -> Behaviour {
    json(
        &match (request.method.as_str(), request.path.trim_start_matches("/v2")) {
            ("GET", "/pool_info") => info(),
            ("GET", "/auth") => value!({"authentication_token": "tok-abc", "expiration": UNIX_SECONDS + 3600}),
            ("GET", "/farmer") => value!({
                "authentication_public_key": "0x00", "payout_instructions": "bb".repeat(32),
                "current_difficulty": 12, "current_points": 345,
            }),
            ("POST", "/farmer") => value!({"welcome_message": "hello"}),
            ("PUT", "/farmer") => value!({"payout_instructions": true}),
            ("POST", "/partial") => value!({"new_difficulty": 13}),
            other => panic!("asked for {other:?}"),
        },
    )
}

fn info() -> Value {
    value!({
        "name": "The \u{1b}[31mPool", "logo_url": "", "minimum_difficulty": 10, "relative_lock_height": 32,
        "protocol_version": 1, "fee": "0.01", "description": "", "target_puzzle_hash": "0x00",
        "authentication_token_timeout": 5,
    })
}

/// Requests of the official farmer 2.7.5.
fn recorded() -> Vec<Value> {
    let lines = include_str!("../../../../tests/fixtures/pools/requests-2.7.5.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A partial as it was recorded.
fn submission(body: &Value) -> PartialSubmission {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let payload = &body["payload"];
    let proof = &payload["proof_of_space"];
    let payload = PostPartialPayload {
        launcher_id: text(&payload["launcher_id"]).parse().unwrap(),
        authentication_token: payload["authentication_token"].as_u64().unwrap(),
        proof_of_space: ProofOfSpace {
            challenge: text(&proof["challenge"]).parse().unwrap(),
            pool: PlotPool::Contract(text(&proof["pool_contract_puzzle_hash"]).parse().unwrap()),
            plot_public_key: text(&proof["plot_public_key"]).parse().unwrap(),
            body: ProofBody::V1 {
                k: u8::try_from(proof["size"].as_u64().unwrap()).unwrap(),
                proof: hex::decode(&text(&proof["proof"])[2..]).unwrap(),
            },
        },
        sp_hash: text(&payload["sp_hash"]).parse().unwrap(),
        end_of_sub_slot: payload["end_of_sub_slot"].as_bool().unwrap(),
        harvester_id: text(&payload["harvester_id"]).parse().unwrap(),
    };
    PartialSubmission {
        payload,
        aggregate_signature: text(&body["aggregate_signature"]).parse().unwrap(),
        harvester_version: "2.7.5".to_owned(),
    }
}

fn a_partial() -> PoolRequest {
    let recorded = recorded();
    let partial = recorded.iter().find(|it| it["path"] == "/partial").unwrap();
    PoolRequest::Partial(Box::new(submission(&partial["body"])))
}

fn partials(recorded: &[Value], path: &str) -> Vec<PoolRequest> {
    let of_path = recorded.iter().filter(|it| it["path"] == path);
    of_path
        .map(|it| PoolRequest::Partial(Box::new(submission(&it["body"]))))
        .collect()
}

#[tokio::test]
async fn every_recorded_request_is_sent_field_by_field() {
    let pool = FakePool::start(honest).await;
    let (client, recorded) = (client(pool.roots.clone()), recorded());
    let farmer = PoolRequest::Farmer {
        authentication_token: TOKEN,
    };
    let deadline = Instant::now() + Duration::from_secs(60);

    let v1 = membership(PoolVersion::V1, &pool.url);
    let owner = derive::singleton_owner_sk(&master(), 0);
    let account = PoolAccount {
        unix_seconds: UNIX_SECONDS,
        token_timeout: 5,
    };
    let mut answers = vec![
        ask(&client, &v1, &PoolRequest::Info).await,
        ask(&client, &v1, &farmer).await,
    ];
    answers.push(
        client
            .ask_as_owner(&v1, OwnerRequest::Register, &owner, account, deadline)
            .await,
    );
    answers.push(ask(&client, &v1, &farmer).await);
    answers.push(
        client
            .ask_as_owner(&v1, OwnerRequest::Update, &owner, account, deadline)
            .await,
    );
    for partial in partials(&recorded, "/partial") {
        answers.push(ask(&client, &v1, &partial).await);
    }

    let v2 = membership(PoolVersion::V2, &pool.url);
    answers.push(ask(&client, &v2, &PoolRequest::Info).await);
    for request in [&farmer, &PoolRequest::Register, &farmer, &PoolRequest::SetPayout] {
        answers.push(ask(&client, &v2, request).await);
    }
    for partial in partials(&recorded, "/v2/partial") {
        answers.push(ask(&client, &v2, &partial).await);
    }
    for answer in &answers {
        assert!(answer.result.is_ok(), "{answer:?}");
    }

    let sent = pool.requests();
    assert_eq!(sent.len(), recorded.len());
    for (sent, recorded) in sent.iter().zip(&recorded) {
        let what = format!("{} {}", sent.method, sent.path);
        assert_eq!(value!(sent.method), recorded["method"], "{what}");
        assert_eq!(value!(sent.path), recorded["path"], "{what}");
        assert_eq!(value!(sent.query), recorded["query"], "{what}");
        assert_eq!(sent.body.clone().unwrap_or_default(), recorded["body"], "{what}");
        for (name, expected) in recorded["headers"].as_object().unwrap() {
            let got = sent.headers.get(&name.to_ascii_lowercase()).map(String::as_str);
            match name.as_str() {
                // Answers are not unpacked here, and only partials say what farms.
                "Accept-Encoding" => assert_eq!(got, None, "{what}"),
                "User-Agent" if expected.as_str().unwrap().starts_with("Python") => {}
                _ => assert_eq!(got, expected.as_str(), "{what}: {name}"),
            }
        }
    }
}

#[test]
fn recorded_partials_are_signed_by_the_plot_and_the_authentication_key_over_our_hash_of_the_payload() {
    let recorded = recorded();
    for (path, version) in [("/partial", PoolVersion::V1), ("/v2/partial", PoolVersion::V2)] {
        let requests = partials(&recorded, path);
        assert_eq!(requests.len(), 5);
        for request in requests {
            let PoolRequest::Partial(partial) = request else {
                unreachable!()
            };
            let hash = partial.payload.get_hash();
            let plot = PublicKey::from_g1(&partial.payload.proof_of_space.plot_public_key).unwrap();
            let key = authentication(version).public_key();
            let signature = Signature::from_g2(&partial.aggregate_signature).unwrap();
            let signed: [(&PublicKey, &[u8]); 2] = [(&plot, hash.as_bytes()), (&key, hash.as_bytes())];
            assert!(verify_aggregate(&signed, &signature), "{path}");
            assert!(!verify_aggregate(&signed[..1], &signature), "{path}");
        }
    }
}

#[tokio::test]
async fn answers_are_read_and_made_visible() {
    let pool = FakePool::start(honest).await;
    let (client, v1) = (client(pool.roots.clone()), membership(PoolVersion::V1, &pool.url));
    let reply = |request| {
        let (client, v1) = (client.clone(), v1.clone());
        async move { ask(&client, &v1, &request).await.result }
    };
    let info = PoolReply::Info {
        name: "The \\u{1b}[31mPool".to_owned(),
        minimum_difficulty: 10,
        authentication_token_timeout: 5,
    };
    assert_eq!(reply(PoolRequest::Info).await, Ok(info));
    let account = PoolReply::Farmer {
        payout_instructions: "bb".repeat(32),
        current_difficulty: 12,
        current_points: 345,
    };
    let farmer = PoolRequest::Farmer {
        authentication_token: TOKEN,
    };
    assert_eq!(reply(farmer).await, Ok(account));
    assert_eq!(reply(a_partial()).await, Ok(PoolReply::Accepted { new_difficulty: 13 }));
}

#[tokio::test]
async fn numbers_are_read_in_every_form_that_the_official_farmer_reads() {
    // Each was given to the official package: `PostPartialResponse.from_json_dict({"new_difficulty": …})`.
    for (number, read) in [
        (value!(10), Some(10)),
        (value!("10"), Some(10)),
        (value!(10.0), Some(10)),
        (value!(10.7), Some(10)),
        (value!(u64::MAX), Some(u64::MAX)),
        (value!(null), None),
        (value!("0x10"), None),
        (value!(-1), None),
        (value!(1e30), None),
        (value!("18446744073709551616"), None),
    ] {
        let answered = number.clone();
        let pool = FakePool::start(move |request| match request.path.as_str() {
            "/partial" => json(&value!({"new_difficulty": answered})),
            "/farmer" => json(&value!({
                "payout_instructions": "", "current_difficulty": answered, "current_points": answered,
            })),
            _ => json(&value!({"error_code": answered, "error_message": ""})),
        })
        .await;
        let (client, v1) = (client_of(&pool), membership(PoolVersion::V1, &pool.url));
        let farmer = PoolRequest::Farmer {
            authentication_token: TOKEN,
        };
        let within = Duration::from_millis(400);
        let accepted = ask_within(&client, &v1, &a_partial(), within).await.result.ok();
        let expected = read.map(|new_difficulty| PoolReply::Accepted { new_difficulty });
        assert_eq!(accepted, expected, "{number}");
        let account = ask(&client, &v1, &farmer).await.result.ok();
        let expected = read.map(|number| PoolReply::Farmer {
            payout_instructions: String::new(),
            current_difficulty: number,
            current_points: number,
        });
        assert_eq!(account, expected, "{number}");
        let refusal = ask(&client, &v1, &PoolRequest::Info).await.result;
        let code = read.and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX);
        assert!(
            matches!(refusal, Err(PoolFailure::Refused { code: got, .. }) if got == code),
            "{number}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_partial_is_sent_again_until_the_pool_answers_and_no_longer_than_it_counts() {
    let mut times = 0;
    let pool = FakePool::start(move |request| {
        times += 1;
        match times {
            1 => Behaviour::Answer(503, "busy".to_owned()),
            2 => Behaviour::HangUp,
            _ => honest(request),
        }
    })
    .await;
    let (client, v1) = (client(pool.roots.clone()), membership(PoolVersion::V1, &pool.url));
    let answer = ask_within(&client, &v1, &a_partial(), Duration::from_secs(25)).await;
    assert_eq!(answer.result, Ok(PoolReply::Accepted { new_difficulty: 13 }));
    assert_eq!(pool.asked(), ["POST /partial"; 3]);

    let broken = FakePool::start(|_| Behaviour::Answer(500, String::new())).await;
    let client = client_of(&broken);
    let v1 = membership(PoolVersion::V1, &broken.url);
    // Too little time for a second try.
    let answer = ask_within(&client, &v1, &a_partial(), Duration::from_millis(700)).await;
    assert_eq!(answer.result, Err(PoolFailure::Status { status: 500 }));
    assert_eq!(broken.asked().len(), 1);
    // What only reads is asked again by the clock of the core.
    ask(&client, &v1, &PoolRequest::Info).await;
    assert_eq!(broken.asked().len(), 2);
}

#[tokio::test]
async fn a_pool_that_wants_to_be_left_alone_is() {
    for (seconds, times) in [("60", 1), ("18446744073709551615", 1), ("1", 2), ("soon", 2)] {
        let mut first = true;
        let pool = FakePool::start(move |request| match std::mem::take(&mut first) {
            true => Behaviour::Busy(seconds),
            false => honest(request),
        })
        .await;
        let v1 = membership(PoolVersion::V1, &pool.url);
        let answer = ask_within(&client_of(&pool), &v1, &a_partial(), Duration::from_secs(25)).await;
        assert_eq!(pool.asked().len(), times, "{seconds}: {answer:?}");
        assert_eq!(answer.result.is_ok(), times == 2, "{seconds}: {answer:?}");
    }
}

fn client_of(pool: &FakePool) -> PoolClient {
    client(pool.roots.clone())
}

#[tokio::test]
async fn a_refusal_is_final_whatever_its_status() {
    for status in [200, 400, 401] {
        let refusal = value!({"error_code": 5, "error_message": "try\nharder"}).to_string();
        let pool = FakePool::start(move |_| Behaviour::Answer(status, refusal.clone())).await;
        let v1 = membership(PoolVersion::V1, &pool.url);
        let answer = ask(&client_of(&pool), &v1, &a_partial()).await;
        let refused = PoolFailure::Refused {
            code: 5,
            message: "try\\nharder".to_owned(),
        };
        assert_eq!(answer.result, Err(refused));
        assert_eq!(pool.asked().len(), 1);
    }
}

#[tokio::test]
async fn answers_that_make_no_sense_are_told_from_silence() {
    let bodies = [
        "<html>".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        info()
            .to_string()
            .replace("\"minimum_difficulty\":10", "\"minimum_difficulty\":0"),
        format!("{{\"name\":\"{}\"}}", "x".repeat(MAX_ANSWER)),
    ];
    for body in bodies {
        let answered = body.clone();
        let pool = FakePool::start(move |_| Behaviour::Answer(200, answered.clone())).await;
        let v1 = membership(PoolVersion::V1, &pool.url);
        let answer = ask(&client_of(&pool), &v1, &PoolRequest::Info).await;
        let start: String = body.chars().take(60).collect();
        assert!(
            matches!(answer.result, Err(PoolFailure::Nonsense { .. })),
            "{start}: {answer:?}"
        );
    }
    let pool = FakePool::start(|_| Behaviour::SlowBody).await;
    let v1 = membership(PoolVersion::V1, &pool.url);
    let answer = ask_within(&client_of(&pool), &v1, &PoolRequest::Info, Duration::from_millis(300)).await;
    assert_eq!(answer.result, Err(too_slow()));
}

#[tokio::test]
async fn nothing_goes_to_another_host_and_nothing_that_writes_is_sent_on() {
    let other = FakePool::start(honest).await;
    let elsewhere = other.url_by_name();
    let pool = FakePool::start(move |_| Behaviour::Redirect(308, format!("{elsewhere}/pool_info"))).await;
    let (client, v1) = (client_of(&pool), membership(PoolVersion::V1, &pool.url));
    for request in [PoolRequest::Info, a_partial()] {
        let answer = ask(&client, &v1, &request).await;
        let to = "https://localhost".to_owned();
        assert_eq!(answer.result, Err(PoolFailure::RedirectRefused { to }), "{request:?}");
        assert_eq!(answer.moved_to, None);
    }
    assert_eq!(other.asked(), [""; 0]);

    let here = FakePool::start(|request| match request.path.as_str() {
        "/partial" => Behaviour::Redirect(307, "/new/partial".to_owned()),
        _ => Behaviour::Redirect(302, "http://127.0.0.1:1/pool_info".to_owned()),
    })
    .await;
    let v1 = membership(PoolVersion::V1, &here.url);
    let client = client_of(&here);
    let answer = ask(&client, &v1, &a_partial()).await;
    assert_eq!(answer.result, Err(PoolFailure::Status { status: 307 }));
    let answer = ask(&client, &v1, &PoolRequest::Info).await;
    assert_eq!(answer.result, Err(PoolFailure::Status { status: 302 }), "not to http");
}

#[tokio::test]
async fn a_pool_that_has_moved_on_its_host_is_followed_and_for_good_only_if_it_says_so() {
    for (status, for_good) in [(301, true), (308, true), (302, false), (307, false)] {
        let pool = FakePool::start(move |request| match request.path.as_str() {
            "/pool_info" => Behaviour::Redirect(status, "/api/pool_info".to_owned()),
            "/api/pool_info" => json(&info()),
            other => panic!("asked for {other}"),
        })
        .await;
        let v1 = membership(PoolVersion::V1, &pool.url);
        let answer = ask(&client_of(&pool), &v1, &PoolRequest::Info).await;
        assert!(answer.result.is_ok(), "{answer:?}");
        assert_eq!(
            answer.moved_to,
            for_good.then(|| format!("{}/api", pool.url)),
            "{status}"
        );
    }
    let pool = FakePool::start(|_| Behaviour::Redirect(302, "/pool_info".to_owned())).await;
    let v1 = membership(PoolVersion::V1, &pool.url);
    let answer = ask(&client_of(&pool), &v1, &PoolRequest::Info).await;
    assert!(matches!(answer.result, Err(PoolFailure::Nonsense { .. })), "{answer:?}");
}

#[tokio::test]
async fn certificates_are_verified_and_mainnet_takes_https_only() {
    let pool = FakePool::start(honest).await;
    let v1 = membership(PoolVersion::V1, &pool.url);
    let answer = ask(&client(mozilla_roots()), &v1, &PoolRequest::Info).await;
    assert!(
        matches!(answer.result, Err(PoolFailure::Unreachable { .. })),
        "{answer:?}"
    );
    assert_eq!(pool.asked(), [""; 0]);
    let plain = membership(PoolVersion::V1, "http://127.0.0.1:1");
    let answer = ask(&client_of(&pool), &plain, &PoolRequest::Info).await;
    assert!(matches!(answer.result, Err(PoolFailure::NotHttps { .. })), "{answer:?}");
}

#[tokio::test]
async fn the_clock_of_a_pool_is_read() {
    let pool = FakePool::start(|_| Behaviour::Dated("Sat, 21 Nov 2026 15:30:45 GMT", info().to_string())).await;
    let v1 = membership(PoolVersion::V1, &pool.url);
    let answer = ask(&client_of(&pool), &v1, &PoolRequest::Info).await;
    assert_eq!(answer.server_unix_s, Some(1_795_275_045));
}

#[test]
fn a_login_link_is_that_of_the_official_farmer() {
    let client = client(mozilla_roots());
    let account = PoolAccount {
        unix_seconds: UNIX_SECONDS,
        token_timeout: 5,
    };
    for (version, path) in [(PoolVersion::V1, "login"), (PoolVersion::V2, "v2/login")] {
        let pool = membership(version, "https://pool.example");
        let link = client.login_link(&pool, account).unwrap();
        let start = format!(
            "https://pool.example/{path}?launcher_id={}&authentication_token={TOKEN}&signature=",
            pool.launcher_id
        );
        let signature = link.strip_prefix(&start).unwrap_or_else(|| panic!("{link}"));
        let expected = match version {
            PoolVersion::V1 => LOGIN_V1,
            PoolVersion::V2 => LOGIN_V2,
        };
        assert_eq!(signature, expected);
    }
}

/// Made with the official package: `AugSchemeMPL.sign(key, AuthenticationPayloadV1("get_login", …).get_hash())`.
const LOGIN_V1: &str = "adc5381e5932cd56214b5741776550a761965fdb7bc3feb0fbdf40c9ed5250acd6a4ebe23021d2e0024e2b40a55531020daf4a0452c72412c91a982ecfd9bb202401fe90ea6c8d2384e4f2c7c58fcd496fdf8a0cf22fa005eae0fee3cb2ad0c6";
const LOGIN_V2: &str = "a80a082e1b505869cfc83d2d97bc519cc94d306515e39fd04ce1900f13c4951b9021229f8aa09e8c1693fdd9aa5bfaed078f56cebbde0e749277021f43c020ec8e0626c2701f3c8b91ef6b96b0fc7cdc299bff63ddeeb85594ba175d19facecb";

#[tokio::test]
async fn without_its_key_a_plotnft_says_nothing() {
    let pool = FakePool::start(honest).await;
    let v1 = PoolMembership {
        owner_public_key: *authentication(PoolVersion::V2).owner_public_key(),
        ..membership(PoolVersion::V1, &pool.url)
    };
    let farmer = PoolRequest::Farmer {
        authentication_token: TOKEN,
    };
    assert_eq!(
        ask(&client_of(&pool), &v1, &farmer).await.result,
        Err(PoolFailure::NoKey)
    );
    assert_eq!(pool.asked(), [""; 0]);
}
