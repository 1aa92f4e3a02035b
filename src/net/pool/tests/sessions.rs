//! Sessions of the second protocol: whom their tokens are told, and what is asked when one has ended.

use super::*;

/// A pool of the second protocol that takes no token but that of its newest login, and forgets the first one at once.
async fn forgetful() -> FakePool {
    let mut logins = 0;
    FakePool::start(move |request| {
        let token = request.query.get("authentication_token_v2").map(String::as_str);
        let in_body = || request.body.as_ref()?.get("authentication_token_v2")?.as_str();
        match request.path.as_str() {
            "/v2/auth" => {
                logins += 1;
                let expiration = UNIX_SECONDS + 3600;
                json(&value!({"authentication_token": format!("token-{logins}"), "expiration": expiration}))
            }
            _ if token.or_else(in_body) == Some("token-1") => {
                json(&value!({"error_code": 12, "error_message": "who are you?"}))
            }
            _ => honest(request),
        }
    })
    .await
}

fn logins(pool: &FakePool) -> usize {
    pool.asked().iter().filter(|it| *it == "GET /v2/auth").count()
}

#[tokio::test]
async fn a_session_is_used_until_it_ends_or_the_pool_forgets_it() {
    let pool = forgetful().await;
    let (client, v2) = (client_of(&pool), membership(PoolVersion::V2, &pool.url));
    let farmer = PoolRequest::Farmer {
        authentication_token: 0,
    };
    assert!(ask(&client, &v2, &farmer).await.result.is_ok(), "it logs in again");
    assert!(ask(&client, &v2, &farmer).await.result.is_ok());
    assert_eq!(logins(&pool), 2);
    let deadline = Instant::now() + Duration::from_secs(10);
    let late = || UNIX_SECONDS + 3600;
    assert!(client.ask(&v2, &farmer, deadline, late, || 0.0).await.result.is_ok());
    assert_eq!(logins(&pool), 3);
}

#[tokio::test]
async fn a_partial_is_not_lost_with_the_session_it_was_to_be_sent_in() {
    let pool = forgetful().await;
    let (client, v2) = (client_of(&pool), membership(PoolVersion::V2, &pool.url));
    let answer = ask(&client, &v2, &a_partial()).await;
    assert_eq!(answer.result, Ok(PoolReply::Accepted { new_difficulty: 13 }));
    assert_eq!(
        pool.asked(),
        ["GET /v2/auth", "POST /v2/partial", "GET /v2/auth", "POST /v2/partial"]
    );

    // One that takes no token at all is not asked again and again.
    let pool = FakePool::start(|request| match request.path.as_str() {
        "/v2/auth" => honest(request),
        _ => json(&value!({"error_code": 12, "error_message": "no"})),
    })
    .await;
    let v2 = membership(PoolVersion::V2, &pool.url);
    for request in [a_partial(), PoolRequest::SetPayout] {
        let answer = ask(&client_of(&pool), &v2, &request).await;
        assert!(
            matches!(answer.result, Err(PoolFailure::Refused { code: 12, .. })),
            "{answer:?}"
        );
    }
    assert_eq!(pool.asked().len(), 8);
    // A token of the first protocol is made of the time, and will be the same.
    let v1 = membership(PoolVersion::V1, &pool.url);
    assert!(ask(&client_of(&pool), &v1, &a_partial()).await.result.is_err());
    assert_eq!(pool.asked().len(), 9);
}

#[tokio::test]
async fn a_session_is_used_with_no_other_pool_than_the_one_that_gave_it() {
    let (first, next) = (FakePool::start(honest).await, FakePool::start(honest).await);
    let mut roots = first.roots.clone();
    roots.extend(next.roots.roots.iter().cloned());
    let client = client(roots);
    let farmer = PoolRequest::Farmer {
        authentication_token: 0,
    };
    for pool in [&first, &next] {
        // The same plotNFT, before and after it has changed its pool.
        let v2 = membership(PoolVersion::V2, &pool.url);
        assert!(ask(&client, &v2, &farmer).await.result.is_ok());
    }
    assert_eq!(next.asked(), ["GET /v2/auth", "GET /v2/farmer"]);
}

#[tokio::test]
async fn the_token_of_a_session_is_in_no_error() {
    let pool = FakePool::start(|request| match request.path.as_str() {
        "/v2/farmer" => Behaviour::HangUp,
        _ => honest(request),
    })
    .await;
    let (client, v2) = (client_of(&pool), membership(PoolVersion::V2, &pool.url));
    let answer = ask(
        &client,
        &v2,
        &PoolRequest::Farmer {
            authentication_token: 0,
        },
    )
    .await;
    let failure = answer.result.unwrap_err();
    assert!(
        !format!("{failure} {failure:?} {client:?}").contains("tok-abc"),
        "{failure:?}"
    );
    assert_eq!(pool.requests()[1].query["authentication_token_v2"], "tok-abc");
}

#[tokio::test]
async fn requests_that_need_a_session_at_the_same_time_log_in_once() {
    let mut logins = 0;
    // It takes none but the newest token, and has forgotten the first one.
    let pool = FakePool::start(move |request| match request.path.as_str() {
        "/v2/auth" => {
            logins += 1;
            let expiration = UNIX_SECONDS + 3600;
            json(&value!({"authentication_token": format!("token-{logins}"), "expiration": expiration}))
        }
        "/v2/partial" => match request.body.as_ref().map(|body| &body["authentication_token_v2"]) {
            Some(token) if *token != "token-1" && *token == format!("token-{logins}") => honest(request),
            _ => json(&value!({"error_code": 12, "error_message": "no"})),
        },
        _ => honest(request),
    })
    .await;
    let (client, v2) = (client_of(&pool), membership(PoolVersion::V2, &pool.url));
    let farmer = PoolRequest::Farmer {
        authentication_token: 0,
    };
    let partial = a_partial();
    for request in [&farmer, &partial] {
        let asks = (0..8).map(|_| ask(&client, &v2, request));
        for answer in futures_util::future::join_all(asks).await {
            assert!(answer.result.is_ok(), "{answer:?}");
        }
    }
    assert_eq!(self::logins(&pool), 2);
}
