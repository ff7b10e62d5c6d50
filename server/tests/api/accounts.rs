//! Signing in, staying signed in, and being thrown out.

use std::time::Duration;

use axum::http::{StatusCode, header};
use decnet_domain::{Actor, Options};
use decnet_model::{
    permission::{ManageUsers, ViewAudit},
    query::AuditQuery,
    state::Role,
};
use serde_json::json;

use crate::app::{App, PASSWORD, token};

#[tokio::test]
async fn a_login_sets_a_strict_http_only_cookie_that_opens_the_api() {
    let app = App::new().await;
    app.user("alice", Role::Viewer).await;
    let answer = app.login("Alice", PASSWORD).send().await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let me = app
        .get("/auth/me")
        .header(header::COOKIE, &format!("other=1; {pair}"))
        .send()
        .await;
    assert_eq!(me.json()["username"], "alice");
    assert_eq!(me.json()["role"], "viewer");
}

#[tokio::test]
async fn behind_tls_the_cookie_is_secure_and_bound_to_the_host() {
    let app = App::with(Options::default(), |config| {
        config.public_url = "https://decnet.test".into()
    })
    .await;
    app.fresh_user("alice", Role::Viewer).await;
    let answer = app.login("alice", &format!("{PASSWORD}-0")).send().await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    assert!(answer.headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn wrong_user_wrong_password_and_disabled_user_answer_alike() {
    let app = App::new().await;
    app.user("alice", Role::Viewer).await;
    let (bob, _) = app.user("bob", Role::Viewer).await;
    let permit = app
        .domain
        .permit::<ManageUsers>(&Actor::operator("test"))
        .unwrap();
    app.domain.user_set_disabled(&permit, bob.id, true).await.unwrap();
    let mut answers = Vec::new();
    for (name, password) in [
        ("alice", "wrong-password-1"),
        ("nobody", PASSWORD),
        ("no such name!", PASSWORD),
        ("bob", PASSWORD),
        ("alice", &"x".repeat(5_000)),
    ] {
        let answer = app.login(name, password).send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNAUTHORIZED, "bad-credentials")
        );
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn ten_failures_of_an_address_lock_it_and_not_the_user_elsewhere() {
    let app = App::new().await;
    app.user("alice", Role::Viewer).await;
    for _ in 0..10 {
        assert_eq!(
            app.login("alice", "wrong-password-1").send().await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let locked = app.login("alice", PASSWORD).send().await;
    assert_eq!(
        (locked.status, locked.problem().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "too-many-requests")
    );
    let wait: u64 = locked.headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    assert_eq!(
        app.login("bob", PASSWORD).send().await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "whatever the name"
    );
    assert_eq!(
        app.login("alice", PASSWORD)
            .from("203.0.113.5")
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn guesses_from_many_addresses_lock_the_name_but_not_its_owner() {
    let app = App::new().await;
    app.user("alice", Role::Viewer).await;
    for n in 1..=10 {
        let guess = app
            .login("alice", "wrong-password-1")
            .from(&format!("192.0.2.{n}"))
            .send()
            .await;
        assert_eq!(guess.status, StatusCode::UNAUTHORIZED);
    }
    let eleventh = app
        .login("alice", "wrong-password-1")
        .from("192.0.2.11")
        .send()
        .await;
    assert_eq!(eleventh.status, StatusCode::TOO_MANY_REQUESTS);
    let again = app.login("alice", PASSWORD).from("192.0.2.11").send().await;
    assert_eq!(
        again.status,
        StatusCode::TOO_MANY_REQUESTS,
        "an address that failed has no second guess"
    );
    assert_eq!(
        app.login("alice", PASSWORD)
            .from("203.0.113.5")
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn until_the_password_is_changed_nothing_else_is_open() {
    let app = App::new().await;
    app.fresh_user("alice", Role::Admin).await;
    let first = token(&app.login("alice", &format!("{PASSWORD}-0")).send().await);
    for path in ["/logs", "/users", "/workers", "/stream", "/deckies"] {
        let refused = app.get(path).token(&first).send().await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::FORBIDDEN, "password-change-required")
        );
    }
    let me = app.get("/auth/me").token(&first).send().await;
    assert_eq!(me.json()["must_change_password"], true);
    for (new, why) in [
        ("short", "at least 12"),
        ("Password1234!", "attacker tries"),
        (&"ab3!x".repeat(26), "at most 128"),
    ] {
        let change = json!({ "old_password": format!("{PASSWORD}-0"), "new_password": new });
        let refused = app
            .post("/auth/change-password", &change)
            .token(&first)
            .send()
            .await;
        assert_eq!(refused.fields(), ["new_password"]);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    let change = json!({ "old_password": "not-the-old-one", "new_password": PASSWORD });
    assert_eq!(
        app.post("/auth/change-password", &change)
            .token(&first)
            .send()
            .await
            .fields(),
        ["old_password"]
    );
    let change = json!({ "old_password": format!("{PASSWORD}-0"), "new_password": PASSWORD });
    let second = token(
        &app.post("/auth/change-password", &change)
            .token(&first)
            .send()
            .await,
    );
    assert_eq!(
        app.get("/users").token(&second).send().await.status,
        StatusCode::OK
    );
    assert_eq!(
        app.get("/auth/me").token(&first).send().await.status,
        StatusCode::UNAUTHORIZED,
        "the old session ended"
    );
}

#[tokio::test]
async fn logging_out_ends_that_session_and_no_other() {
    let app = App::new().await;
    let (_, one) = app.user("alice", Role::Viewer).await;
    let two = token(&app.login("alice", PASSWORD).send().await);
    let out = app.post("/auth/logout", &json!({})).token(&one).send().await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(
        out.headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(
        app.get("/auth/me").token(&one).send().await.problem(),
        "unauthenticated"
    );
    assert_eq!(
        app.get("/auth/me").token(&two).send().await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn every_change_of_a_user_ends_its_sessions_at_once() {
    let app = App::new().await;
    let admin = app.admin().await;
    for (name, change) in [
        ("role", "role"),
        ("reset", "reset-password"),
        ("disabled", "disabled"),
        ("gone", ""),
    ] {
        let (user, session) = app.user(name, Role::Viewer).await;
        // The session is in the cache now; the change has to drop it.
        assert_eq!(
            app.get("/auth/me").token(&session).send().await.status,
            StatusCode::OK
        );
        let path = format!("/users/{}/{change}", user.id);
        let done = match change {
            "role" => app.put(&path, &json!({ "role": "admin" })),
            "reset-password" => app.put(&path, &json!({ "new_password": format!("{PASSWORD}-2") })),
            "disabled" => app.put(&path, &json!({ "disabled": true })),
            _ => app.ask(axum::http::Method::DELETE, &format!("/users/{}", user.id)),
        };
        let done = done.token(&admin).send().await;
        assert!(done.status.is_success(), "{change}: {done:?}");
        let after = app.get("/auth/me").token(&session).send().await;
        assert_eq!(after.status, StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn what_changes_nothing_of_a_user_ends_no_session() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (vera, session) = app.user("vera", Role::Viewer).await;
    for (change, same) in [
        ("role", json!({ "role": "viewer" })),
        ("disabled", json!({ "disabled": false })),
    ] {
        let path = format!("/users/{}/{change}", vera.id);
        let done = app.put(&path, &same).token(&admin).send().await;
        assert!(done.status.is_success(), "{change}: {done:?}");
        let after = app.get("/auth/me").token(&session).send().await;
        assert_eq!(after.status, StatusCode::OK, "{change}");
    }
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let app = App::new().await;
    let (_, session) = app.user("alice", Role::Viewer).await;
    app.clock.advance(time::Duration::minutes(239));
    assert_eq!(
        app.get("/auth/me").token(&session).send().await.status,
        StatusCode::OK
    );
    app.clock.advance(time::Duration::minutes(1));
    assert_eq!(
        app.get("/auth/me").token(&session).send().await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_clock_jumping_back_does_not_bring_an_ended_session_to_life() {
    let app = App::new().await;
    let (_, old) = app.user("alice", Role::Viewer).await;
    app.clock.advance(time::Duration::hours(-2));
    let change = json!({ "old_password": PASSWORD, "new_password": format!("{PASSWORD}-3") });
    let new = token(
        &app.post("/auth/change-password", &change)
            .token(&old)
            .send()
            .await,
    );
    assert_eq!(
        app.get("/auth/me").token(&old).send().await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        app.get("/auth/me").token(&new).send().await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_last_admin_stays() {
    let app = App::new().await;
    let (root, admin) = app.user("root", Role::Admin).await;
    let asks = [
        app.put(&format!("/users/{}/role", root.id), &json!({ "role": "viewer" })),
        app.put(
            &format!("/users/{}/disabled", root.id),
            &json!({ "disabled": true }),
        ),
        app.ask(axum::http::Method::DELETE, &format!("/users/{}", root.id)),
    ];
    for ask in asks {
        let answer = ask.token(&admin).send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::CONFLICT, "conflict")
        );
    }
    assert_eq!(
        app.get("/auth/me").token(&admin).send().await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn users_are_made_once_and_listed_without_their_hashes() {
    let app = App::new().await;
    let admin = app.admin().await;
    let new = json!({ "username": "carol", "password": PASSWORD });
    let made = app.post("/users", &new).token(&admin).send().await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        (
            made.json()["role"].as_str(),
            made.json()["must_change_password"].as_bool()
        ),
        (Some("viewer"), Some(true))
    );
    assert_eq!(
        app.post("/users", &new).token(&admin).send().await.problem(),
        "conflict"
    );
    let list = app.get("/users").token(&admin).send().await;
    assert_eq!(list.json().as_array().unwrap().len(), 2);
    assert!(
        !list.text.contains("argon2") && !list.text.contains("hash"),
        "{}",
        list.text
    );
    let bad = json!({ "username": "No Good", "password": PASSWORD });
    assert_eq!(
        app.post("/users", &bad).token(&admin).send().await.fields(),
        ["username"]
    );
    let common = json!({ "username": "dave", "password": "dave12345678" });
    assert_eq!(
        app.post("/users", &common).token(&admin).send().await.fields(),
        ["password"]
    );
}

#[tokio::test]
async fn the_first_admin_follows_the_environment_until_it_has_its_own_password() {
    let options = |password: &str| Options {
        admin_user: Some("chief".parse().unwrap()),
        admin_password: Some(password.to_owned().into()),
        ..Options::default()
    };
    let app = App::with(options("first-orange-kayak"), |_| {}).await;
    let made = app.domain.ensure_admin().await.unwrap();
    assert!(made.generated_password.is_none());
    let next = |password: &str| {
        let options = Options {
            jwt_secret: Some("x".repeat(32).into()),
            ..options(password)
        };
        decnet_domain::Domain::new(app.store.clone(), app.bus.clone(), app.clock.clone(), options).unwrap()
    };
    next("second-orange-kayak").ensure_admin().await.unwrap();
    assert_eq!(
        app.login("chief", "first-orange-kayak").send().await.status,
        StatusCode::UNAUTHORIZED
    );
    let session = token(&app.login("chief", "second-orange-kayak").send().await);
    let change = json!({ "old_password": "second-orange-kayak", "new_password": PASSWORD });
    token(
        &app.post("/auth/change-password", &change)
            .token(&session)
            .send()
            .await,
    );
    next("third-orange-kayak").ensure_admin().await.unwrap();
    assert_eq!(
        app.login("chief", "third-orange-kayak").send().await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(app.login("chief", PASSWORD).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_configured_password_does_not_come_back_after_a_reset() {
    const CONFIGURED: &str = "first-orange-kayak";
    const RESET: &str = "reset-orange-kayak";
    let options = Options {
        admin_user: Some("chief".parse().unwrap()),
        admin_password: Some(CONFIGURED.to_owned().into()),
        ..Options::default()
    };
    // Whether the account changed its password before, or was reset right away.
    for changed in [true, false] {
        let app = App::with(options.clone(), |_| {}).await;
        app.domain.ensure_admin().await.unwrap();
        if changed {
            let session = token(&app.login("chief", CONFIGURED).send().await);
            let change = json!({ "old_password": CONFIGURED, "new_password": PASSWORD });
            token(
                &app.post("/auth/change-password", &change)
                    .token(&session)
                    .send()
                    .await,
            );
        }
        let permit = app
            .domain
            .permit::<ManageUsers>(&Actor::operator("test"))
            .unwrap();
        let chief = app.domain.user_list(&permit).await.unwrap().remove(0);
        app.domain
            .user_reset_password(&permit, chief.id, &RESET.to_owned().into())
            .await
            .unwrap();
        app.domain.ensure_admin().await.unwrap();
        assert_eq!(
            app.login("chief", CONFIGURED).send().await.status,
            StatusCode::UNAUTHORIZED,
            "changed before: {changed}"
        );
        let reset = app.login("chief", RESET).send().await;
        assert_eq!(reset.json()["must_change_password"], true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_servers_on_an_empty_database_one_draws_the_password() {
    let app = App::new().await;
    let servers: Vec<_> = (0..8)
        .map(|_| {
            let (store, bus, clock) = (app.store.clone(), app.bus.clone(), app.clock.clone());
            let server = decnet_domain::Domain::new(store, bus, clock, Options::default()).unwrap();
            tokio::spawn(async move { server.ensure_admin().await })
        })
        .collect();
    let mut told = Vec::new();
    for server in servers {
        let admin = server.await.unwrap().unwrap();
        assert_eq!(admin.username.as_str(), "admin");
        told.extend(admin.generated_password);
    }
    assert_eq!(told.len(), 1, "only the winner's password is good");
    let login = app
        .login("admin", secrecy::ExposeSecret::expose_secret(&told[0]))
        .send()
        .await;
    assert_eq!(login.status, StatusCode::OK);
}

#[tokio::test]
async fn who_is_named_to_log_in_is_an_administrator_that_exists() {
    let options = Options {
        admin_user: Some("boss".parse().unwrap()),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    let told = async || {
        let admin = app.domain.ensure_admin().await.unwrap();
        assert!(admin.generated_password.is_none());
        let passed_over = admin.passed_over.map(|name| name.to_string());
        (admin.username.to_string(), passed_over)
    };
    app.user("vera", Role::Viewer).await;
    app.fresh_user("anna", Role::Admin).await;
    app.user("root", Role::Admin).await;
    app.clock.advance(time::Duration::seconds(1));
    app.login("root", PASSWORD).send().await;
    let passed_over = ("root".to_owned(), Some("boss".to_owned()));
    assert_eq!(told().await, passed_over, "who signed in last");
    let boss = app.fresh_user("boss", Role::Viewer).await;
    assert_eq!(told().await, passed_over, "a viewer administers nothing");
    let permit = app
        .domain
        .permit::<ManageUsers>(&Actor::operator("test"))
        .unwrap();
    app.domain
        .user_set_role(&permit, boss.id, Role::Admin)
        .await
        .unwrap();
    assert_eq!(told().await, ("boss".to_owned(), None));
}

#[tokio::test]
async fn an_account_that_an_administrator_made_does_not_get_the_configured_password() {
    let options = Options {
        admin_user: Some("chief".parse().unwrap()),
        admin_password: Some("first-orange-kayak".to_owned().into()),
        ..Options::default()
    };
    let app = App::with(options, |_| {}).await;
    app.fresh_user("chief", Role::Viewer).await;
    app.domain.ensure_admin().await.unwrap();
    assert_eq!(
        app.login("chief", "first-orange-kayak").send().await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn without_a_configured_password_one_is_drawn_once() {
    let app = App::new().await;
    let made = app.domain.ensure_admin().await.unwrap();
    let password = made.generated_password.expect("drawn at the first start");
    assert!(
        app.domain
            .ensure_admin()
            .await
            .unwrap()
            .generated_password
            .is_none()
    );
    let login = app
        .login("admin", secrecy::ExposeSecret::expose_secret(&password))
        .send()
        .await;
    assert_eq!(login.json()["must_change_password"], true);
}

#[tokio::test]
async fn the_audit_log_names_whom_something_was_done_to_and_which_role_was_given() {
    let app = App::new().await;
    // Somebody else who can administer, so that the account may lose its role again.
    app.admin().await;
    let (vera, _) = app.user("vera", Role::Viewer).await;
    let operator = Actor::operator("test");
    let permit = app.domain.permit::<ManageUsers>(&operator).unwrap();
    let (domain, id) = (&app.domain, vera.id);
    domain.user_set_role(&permit, id, Role::Admin).await.unwrap();
    domain
        .user_reset_password(&permit, id, &format!("{PASSWORD}-1").into())
        .await
        .unwrap();
    // There is none; the attempt is written down all the same.
    domain.user_second_factor_reset(&permit, id).await.unwrap_err();
    domain.user_sessions_end(&permit, id).await.unwrap();
    domain.user_set_role(&permit, id, Role::Viewer).await.unwrap();
    domain.user_set_disabled(&permit, id, true).await.unwrap();
    domain.user_set_disabled(&permit, id, false).await.unwrap();
    domain.user_delete(&permit, id).await.unwrap();
    domain.user_delete(&permit, id).await.unwrap_err();
    let permit = app.domain.permit::<ViewAudit>(&operator).unwrap();
    let mut entries = app
        .domain
        .audit_page(&permit, AuditQuery::default())
        .await
        .unwrap()
        .data;
    entries.retain(|e| e.actor == operator.name() && e.action != "user.create");
    let gone = entries.remove(0);
    assert_eq!(gone.target, vera.id.to_string(), "it is nobody's any more");
    let mut done: Vec<_> = entries.iter().map(|e| e.action.as_str()).collect();
    done.sort_unstable();
    done.dedup();
    assert_eq!(
        done,
        [
            "user.delete",
            "user.disable",
            "user.enable",
            "user.reset_password",
            "user.role",
            "user.second_factor_reset",
            "user.sessions_end",
        ]
    );
    let (roles, others): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.action == "user.role");
    let roles: Vec<_> = roles.iter().map(|e| e.target.as_str()).collect();
    assert_eq!(roles, ["vera = viewer", "vera = admin"], "the newest first");
    for entry in others {
        assert_eq!(entry.target, "vera", "{}", entry.action);
    }
}

#[tokio::test]
async fn the_audit_log_has_what_was_done_and_what_was_refused() {
    let app = App::new().await;
    let admin = app.admin().await;
    let (user, viewer) = app.user("mallory", Role::Viewer).await;
    app.login("mallory", "wrong-password-1")
        .from("203.0.113.9")
        .send()
        .await;
    app.login("hunter2-typed-as-a-name", "x").send().await;
    app.ask(axum::http::Method::DELETE, &format!("/users/{}", user.id))
        .token(&viewer)
        .send()
        .await;
    app.ask(axum::http::Method::DELETE, &format!("/users/{}", user.id))
        .token(&admin)
        .send()
        .await;
    // The refusal is written beside the request: wait for it.
    let permit = app.domain.permit::<ViewAudit>(&Actor::operator("test")).unwrap();
    let entries = loop {
        let page = app
            .domain
            .audit_page(&permit, AuditQuery::default())
            .await
            .unwrap();
        if page.data.iter().any(|e| e.result == "denied") {
            break page.data;
        }
        tokio::task::yield_now().await;
    };
    let has = |actor: &str, action: &str, result: &str| {
        entries
            .iter()
            .any(|e| e.actor == actor && e.action == action && e.result == result)
    };
    assert!(has("mallory", "auth.login", "refused"));
    assert!(has("mallory", "permission.check", "denied"));
    assert!(has("root", "user.delete", "ok"));
    assert!(
        has("(unknown)", "auth.login", "refused"),
        "a mistyped name may be a password"
    );
    assert!(!format!("{entries:?}").contains("hunter2"));
    let refused = entries
        .iter()
        .find(|e| e.result == "refused" && e.actor == "mallory")
        .unwrap();
    assert_eq!(refused.from, Some("203.0.113.9".parse().unwrap()));
    let page = app.get("/audit?limit=2").token(&admin).send().await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert!(page["next"].is_string());
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_change_leaves_the_change_and_its_audit_entry() {
    let app = App::new().await;
    let admin = app.admin().await;
    let new = json!({ "username": "nora", "password": format!("{PASSWORD}-0"), "role": "viewer" });
    let mut asked = Box::pin(app.post("/users", &new).token(&admin).send());
    // Nothing but the first step was done when it was given up.
    assert!(futures::poll!(&mut asked).is_pending());
    drop(asked);
    let permit = app.domain.permit::<ViewAudit>(&Actor::operator("test")).unwrap();
    let told = async {
        loop {
            let page = app.domain.audit_page(&permit, AuditQuery::default()).await;
            let entry = page.unwrap().data.into_iter().find(|e| e.target == "nora");
            if let Some(entry) = entry {
                break entry;
            }
            tokio::task::yield_now().await;
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .expect("what was asked for is not in the audit log");
    assert_eq!(
        (&*entry.actor, &*entry.action, &*entry.result),
        ("root", "user.create", "ok")
    );
    let users = app.get("/users").token(&admin).send().await.json();
    assert!(
        users
            .as_array()
            .unwrap()
            .iter()
            .any(|user| user["username"] == "nora")
    );
}
