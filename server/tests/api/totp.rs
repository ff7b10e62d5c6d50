//! Second factors: enrolled, asked for, lost, and required.

use aws_lc_rs::hmac;
use axum::http::{Method, StatusCode, header};
use decnet_domain::{Domain, DomainError, Options, Source};
use decnet_model::{clock::Clock, permission::OwnFactor, state::Role};
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, token};

/// An authenticator program of our own.
pub(crate) struct Phone {
    /// What it shares with the server.
    pub(crate) secret: Vec<u8>,
}

impl Phone {
    pub(crate) fn of(enrolment: &Value) -> Self {
        let letters = enrolment["secret"].as_str().unwrap();
        let uri = enrolment["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("otpauth://totp/DECNET:") && uri.contains(letters),
            "{uri}"
        );
        let mut bits = Vec::new();
        for c in letters.chars() {
            let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap();
            bits.extend((0..5).rev().map(|bit| (value >> bit & 1) as u8));
        }
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
        let secret = bits.chunks_exact(8).map(byte).collect();
        Self { secret }
    }

    fn code(&self, app: &App) -> String {
        let step = app.clock.now().unix_timestamp() / 30;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] & 15);
        let word = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", word % 1_000_000)
    }

    /// A code that no one has used: of the next half minute.
    pub(crate) fn fresh(&self, app: &App) -> String {
        app.clock.advance(time::Duration::seconds(30));
        self.code(app)
    }
}

/// Enrol for a session; the program and the recovery codes.
pub(crate) async fn enrol(app: &App, session: &str) -> (Phone, Vec<String>) {
    let begun = app.ask(Method::POST, "/auth/totp").token(session).send().await;
    assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
    let phone = Phone::of(&begun.json());
    let code = json!({ "code": phone.fresh(app) });
    let done = app.post("/auth/totp/confirm", &code).token(session).send().await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    let codes = done.json()["recovery_codes"].clone();
    (phone, serde_json::from_value(codes).unwrap())
}

/// The challenge that a right password gives.
pub(crate) fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert!(!answer.headers.contains_key(header::SET_COOKIE), "{answer:?}");
    assert_eq!(answer.json()["second_factor_required"], true);
    answer.json()["challenge"].as_str().unwrap().to_owned()
}

async fn answer(app: &App, challenge: &str, code: &str) -> Answer {
    let body = json!({ "challenge": challenge, "code": code });
    app.post("/auth/second-factor", &body).send().await
}

#[tokio::test]
async fn signing_in_takes_a_code_once_a_second_factor_is_confirmed() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let begun = app.ask(Method::POST, "/auth/totp").token(&session).send().await;
    let phone = Phone::of(&begun.json());
    for wrong in ["", "12345", "abcdef", "1234567"] {
        let body = json!({ "code": wrong });
        let refused = app.post("/auth/totp/confirm", &body).token(&session).send().await;
        assert_eq!(refused.fields(), ["code"], "{wrong}");
    }
    assert_eq!(
        app.login("vera", PASSWORD).send().await.status,
        StatusCode::OK,
        "not yet"
    );

    let body = json!({ "code": phone.code(&app) });
    let done = app.post("/auth/totp/confirm", &body).token(&session).send().await;
    assert_eq!(done.json()["recovery_codes"].as_array().unwrap().len(), 10);
    let me = app.get("/auth/me").token(&session).send().await;
    assert_eq!(me.json()["second_factor"], true, "the session goes on: {me:?}");
    let state = app.get("/auth/totp").token(&session).send().await.json();
    assert_eq!(
        (&state["enabled"], &state["recovery_codes"]),
        (&json!(true), &json!(10))
    );

    let first = challenge(&app.login("vera", PASSWORD).send().await);
    let used = answer(&app, &first, &phone.code(&app)).await;
    assert_eq!(
        used.problem(),
        "bad-code",
        "the code that confirmed it is used up"
    );
    let code = phone.fresh(&app);
    let (left, right) = code.split_at(3);
    let begun = answer(&app, &first, &format!("{left} {right}")).await;
    assert!(begun.headers.contains_key(header::SET_COOKIE));
    let new = token(&begun);
    assert_eq!(app.get("/stats").token(&new).send().await.status, StatusCode::OK);
    let again = answer(&app, &first, &phone.fresh(&app)).await;
    assert_eq!(again.problem(), "unauthenticated", "a challenge is good once");
    let second = challenge(&app.login("vera", PASSWORD).send().await);
    assert_eq!(
        answer(&app, &second, &code).await.problem(),
        "bad-code",
        "a code is good once"
    );
    assert_eq!(
        app.login("vera", "wrong-password-1").send().await.problem(),
        "bad-credentials"
    );
}

#[tokio::test]
async fn a_challenge_opens_nothing_but_the_second_step_and_ends() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let (phone, _) = enrol(&app, &session).await;
    let text = challenge(&app.login("vera", PASSWORD).send().await);
    for path in ["/auth/me", "/stats", "/auth/totp", "/stream"] {
        let by_header = app.get(path).token(&text).send().await;
        assert_eq!(by_header.problem(), "unauthenticated", "{path}");
        let cookie = format!("decnet_session={text}");
        let by_cookie = app.get(path).header(header::COOKIE, &cookie).send().await;
        assert_eq!(by_cookie.problem(), "unauthenticated", "{path}");
    }
    for other in [session.as_str(), "", "x.y.z", &"x".repeat(1_000)] {
        assert_eq!(
            answer(&app, other, &phone.fresh(&app)).await.problem(),
            "unauthenticated"
        );
    }
    app.clock.advance(time::Duration::minutes(5));
    assert_eq!(
        answer(&app, &text, &phone.code(&app)).await.problem(),
        "unauthenticated"
    );

    // A change of the password ends it, too.
    let text = challenge(&app.login("vera", PASSWORD).send().await);
    let change = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-2") });
    token(
        &app.post("/auth/change-password", &change)
            .token(&session)
            .send()
            .await,
    );
    assert_eq!(
        answer(&app, &text, &phone.fresh(&app)).await.problem(),
        "unauthenticated"
    );
}

#[tokio::test]
async fn wrong_codes_count_to_the_limits_and_lock_out_codes_from_every_address_and_no_recovery_code() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let (phone, codes) = enrol(&app, &session).await;
    let text = challenge(&app.login("vera", PASSWORD).send().await);
    for n in 0..10 {
        let body = json!({ "challenge": text, "code": "abcdef" });
        let from = format!("192.0.2.{}", n % 5);
        let guess = app.post("/auth/second-factor", &body).from(&from).send().await;
        assert_eq!(guess.problem(), "bad-code");
    }
    let from_home = async |code: &str| {
        let body = json!({ "challenge": text, "code": code });
        let ask = app.post("/auth/second-factor", &body).from("203.0.113.5");
        ask.send().await
    };
    let locked = from_home(&phone.fresh(&app)).await;
    assert_eq!(locked.problem(), "too-many-requests");
    assert!(locked.headers.contains_key(header::RETRY_AFTER));
    // Nobody guesses a recovery code, so the owner still gets in; as for guesses, an address has ten.
    for _ in 0..9 {
        assert_eq!(from_home("abcd-efgh-abcd-efgh").await.problem(), "bad-code");
    }
    let session = token(&from_home(&codes[0]).await);
    assert_eq!(
        app.get("/auth/totp").token(&session).send().await.status,
        StatusCode::OK
    );
    let text = challenge(&app.login("vera", PASSWORD).from("198.51.100.9").send().await);
    let body = json!({ "challenge": text, "code": "abcd-efgh-abcd-efgh" });
    for (nth, problem) in [(10, "bad-code"), (11, "too-many-requests")] {
        let guess = app
            .post("/auth/second-factor", &body)
            .from("203.0.113.5")
            .send()
            .await;
        assert_eq!(guess.problem(), problem, "{nth}");
    }
    // The failures are the name's, too: an address that failed may not even try a password.
    let login = app.login("vera", PASSWORD).from("192.0.2.1").send().await;
    assert_eq!(login.problem(), "too-many-requests");
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_new_ones_take_its_place() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let (phone, codes) = enrol(&app, &session).await;
    let sign_in = async |code: &str| {
        let text = challenge(&app.login("vera", PASSWORD).send().await);
        answer(&app, &text, code).await
    };
    token(&sign_in(&codes[3].to_uppercase().replace('-', " ")).await);
    assert_eq!(sign_in(&codes[3]).await.problem(), "bad-code");
    let left = async || app.get("/auth/totp").token(&session).send().await.json()["recovery_codes"].clone();
    assert_eq!(left().await, 9);
    let wrong = json!({ "code": "000000" });
    let refused = app
        .post("/auth/totp/recovery-codes", &wrong)
        .token(&session)
        .send()
        .await;
    assert_eq!(refused.fields(), ["code"]);
    let right = json!({ "code": phone.fresh(&app) });
    let renewed = app
        .post("/auth/totp/recovery-codes", &right)
        .token(&session)
        .send()
        .await;
    let new: Vec<String> = serde_json::from_value(renewed.json()["recovery_codes"].clone()).unwrap();
    assert!(new.len() == 10 && new.iter().all(|code| !codes.contains(code)));
    assert_eq!(sign_in(&codes[4]).await.problem(), "bad-code");
    token(&sign_in(&new[4]).await);
    assert_eq!(left().await, 9);
}

#[tokio::test]
async fn disabling_takes_the_password_and_a_code() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let (phone, codes) = enrol(&app, &session).await;
    let disable = async |password: &str, code: &str| {
        let body = json!({ "password": password, "code": code });
        app.post("/auth/totp/disable", &body).token(&session).send().await
    };
    assert_eq!(
        disable("wrong-password-1", &phone.fresh(&app)).await.fields(),
        ["password"]
    );
    assert_eq!(disable(PASSWORD, "000000").await.fields(), ["code"]);
    let begin = app.ask(Method::POST, "/auth/totp").token(&session).send().await;
    assert_eq!(
        begin.problem(),
        "conflict",
        "a stolen session cannot put its own in the place"
    );
    assert_eq!(disable(PASSWORD, &codes[0]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.login("vera", PASSWORD).send().await.status, StatusCode::OK);
    assert_eq!(disable(PASSWORD, &codes[1]).await.problem(), "not-found");
    // Enrolled anew, the old program and the old codes are worth nothing.
    let (new, _) = enrol(&app, &session).await;
    let text = challenge(&app.login("vera", PASSWORD).send().await);
    assert_eq!(answer(&app, &text, &codes[2]).await.problem(), "bad-code");
    assert_eq!(
        answer(&app, &text, &phone.fresh(&app)).await.problem(),
        "bad-code"
    );
    token(&answer(&app, &text, &new.code(&app)).await);
}

#[tokio::test]
async fn an_administrator_takes_anothers_away_and_not_their_own() {
    let app = App::new().await;
    let (root, admin) = app.user("root", Role::Admin).await;
    enrol(&app, &admin).await;
    let (vera, session) = app.user("vera", Role::Viewer).await;
    enrol(&app, &session).await;
    let users = app.get("/users").token(&admin).send().await.json();
    assert!(
        users
            .as_array()
            .unwrap()
            .iter()
            .all(|u| u["second_factor"] == true),
        "{users}"
    );
    let reset = |id| {
        app.ask(Method::DELETE, &format!("/users/{id}/totp"))
            .token(&admin)
    };
    assert_eq!(reset(root.id).send().await.problem(), "conflict");
    assert_eq!(reset(vera.id).send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        app.get("/stats").token(&session).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(app.login("vera", PASSWORD).send().await.status, StatusCode::OK);
    assert_eq!(reset(vera.id).send().await.problem(), "not-found");
    let audit = app.get("/audit").token(&admin).send().await.text;
    for action in [
        "second_factor.begin",
        "second_factor.enable",
        "user.second_factor_reset",
    ] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[tokio::test]
async fn where_it_is_required_whoever_has_none_may_only_enrol() {
    let options = Options {
        require_second_factor: true,
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let (_, session) = app.user("root", Role::Admin).await;
    for path in ["/stats", "/users", "/auth/tokens", "/stream"] {
        let refused = app.get(path).token(&session).send().await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::FORBIDDEN, "enrolment-required"),
            "{path}"
        );
    }
    let change = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-2") });
    let change = app
        .post("/auth/change-password", &change)
        .token(&session)
        .send()
        .await;
    assert_eq!(change.problem(), "enrolment-required");
    let me = app.get("/auth/me").token(&session).send().await.json();
    assert_eq!(
        (&me["must_enrol"], &me["second_factor"]),
        (&json!(true), &json!(false))
    );
    let state = app.get("/auth/totp").token(&session).send().await.json();
    assert_eq!(
        (&state["required"], &state["enabled"]),
        (&json!(true), &json!(false))
    );
    let (phone, _) = enrol(&app, &session).await;
    assert_eq!(
        app.get("/users").token(&session).send().await.status,
        StatusCode::OK
    );

    let new = json!({ "name": "feed", "role": "admin" });
    let made = app.post("/auth/tokens", &new).token(&session).send().await.json();
    let feed = made["token"].as_str().unwrap();
    assert_eq!(app.get("/audit").token(feed).send().await.status, StatusCode::OK);
    let body = json!({ "password": PASSWORD, "code": phone.fresh(&app) });
    let gone = app.post("/auth/totp/disable", &body).token(&session).send().await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for token in [feed, &session] {
        let refused = app.get("/audit").token(token).send().await;
        assert_eq!(refused.problem(), "enrolment-required");
    }
}

#[tokio::test]
async fn without_a_key_nobody_enrols_and_the_reason_is_told() {
    let app = App::new().await;
    let (_, session) = app.user("vera", Role::Viewer).await;
    let options = Options {
        jwt_secret: Some("0123456789abcdefghijklmnopqrstuvwxyz".to_owned().into()),
        second_factor_key: None,
        ..Options::default()
    };
    let keyless = Domain::new(app.store.clone(), app.bus.clone(), app.clock.clone(), options).unwrap();
    let bearer = keyless.bearer(&session).unwrap();
    let actor = keyless.authenticate(&bearer, Source::default()).await.unwrap();
    let permit = keyless.permit::<OwnFactor>(&actor).unwrap();
    let refused = keyless.second_factor_begin(&permit).await.unwrap_err();
    assert!(
        matches!(&refused, DomainError::Conflict(why) if why.contains("decnet init")),
        "{refused:?}"
    );
    // With another key what was sealed does not open, and a recovery code still lets its owner in.
    let (phone, codes) = enrol(&app, &session).await;
    let other = Options {
        jwt_secret: Some("0123456789abcdefghijklmnopqrstuvwxyz".to_owned().into()),
        second_factor_key: Some("another-key-0123456789-abcdefghijklmnop".to_owned().into()),
        ..Options::default()
    };
    let other = Domain::new(app.store.clone(), app.bus.clone(), app.clock.clone(), other).unwrap();
    let text = challenge(&app.login("vera", PASSWORD).send().await).into();
    let code = phone.fresh(&app).into();
    let failed = other.login_second(&text, &code, Source::default()).await;
    assert!(matches!(failed, Err(DomainError::Internal { .. })), "{failed:?}");
    let code = codes[0].clone().into();
    other.login_second(&text, &code, Source::default()).await.unwrap();
}
