//! The dashboard as the browser first gets it: pages, files, and forms without WASM.

use axum::http::{Method, StatusCode, header};
use decnet_model::state::Role;

use crate::app::{App, PASSWORD};

#[tokio::test]
async fn a_page_has_a_policy_with_its_own_nonce_and_is_not_kept() {
    let app = App::new().await;
    let (one, two) = (app.get("/login").send().await, app.get("/login").send().await);
    assert_eq!(one.status, StatusCode::OK);
    assert!(one.text.starts_with("<!DOCTYPE html>"), "{}", one.text);
    let policy = |answer: &crate::app::Answer| {
        answer.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(policy(&one), policy(&two), "a nonce is used once");
    assert!(!policy(&one).contains("unsafe-inline") && policy(&one).contains("'wasm-unsafe-eval'"));
    assert_eq!(one.headers[header::CACHE_CONTROL], "no-store");
    let (_, nonce) = policy(&one)
        .split_once("'nonce-")
        .map(|(a, b)| (a.to_owned(), b.split('\'').next().unwrap().to_owned()))
        .unwrap();
    for script in one.text.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap();
        assert!(
            tag.contains("src=") || tag.contains(&nonce),
            "inline script without the nonce: {tag}"
        );
    }
    assert!(!one.text.contains(" style=\""), "inline styles are forbidden");
}

#[tokio::test]
async fn files_of_the_site_are_served_precompressed_and_nothing_else_is() {
    let app = App::new().await;
    std::fs::create_dir_all(app.site_root.join("pkg")).unwrap();
    std::fs::write(app.site_root.join("pkg/decnet.js"), "plain").unwrap();
    std::fs::write(app.site_root.join("pkg/decnet.js.br"), "brotli").unwrap();
    std::fs::write(app.site_root.join("../secret.txt"), "secret").unwrap();
    let plain = app.get("/pkg/decnet.js").send().await;
    assert_eq!(
        (
            plain.text.as_str(),
            plain.headers[header::CACHE_CONTROL].to_str().unwrap()
        ),
        ("plain", "no-cache")
    );
    let packed = app
        .get("/pkg/decnet.js")
        .header(header::ACCEPT_ENCODING, "br")
        .send()
        .await;
    assert_eq!(
        (
            packed.text.as_str(),
            packed.headers[header::CONTENT_ENCODING].to_str().unwrap()
        ),
        ("brotli", "br")
    );
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/pkg/..%2f..%2fsecret.txt",
        "/pkg/..%5c..%5csecret.txt",
    ] {
        assert!(!app.get(path).send().await.text.contains("secret\n"), "{path}");
        assert_ne!(app.get(path).send().await.text, "secret", "{path}");
    }
}

#[tokio::test]
async fn the_login_form_works_without_script_and_leads_on() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let form = app
        .ask(Method::POST, "/ui/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "text/html")
        .header(header::ORIGIN, "http://decnet.test:8080")
        .header(header::REFERER, "http://decnet.test:8080/login")
        .body(format!("username=vera&password={PASSWORD}&next="))
        .send()
        .await;
    assert_eq!(form.status, StatusCode::FOUND, "{form:?}");
    let cookie = form.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let me = app
        .get("/api/v1/auth/me")
        .header(header::COOKIE, &cookie)
        .send()
        .await;
    assert_eq!(me.json()["username"], "vera");
    let page = app.get("/").header(header::COOKIE, &cookie).send().await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("vera"));
}

#[tokio::test]
async fn a_server_function_is_closed_without_a_session_and_from_other_sites() {
    let app = App::new().await;
    let (_, token) = app.user("vera", Role::Viewer).await;
    let call = |path: &str| {
        app.ask(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    for path in [
        "/ui/decky_list",
        "/ui/task_list",
        "/ui/overview_get",
        "/ui/snapshot",
    ] {
        let anonymous = call(path).send().await;
        assert!(anonymous.text.contains("SignedOut"), "{path}: {anonymous:?}");
        let foreign = call(path)
            .token(&token)
            .header(header::ORIGIN, "http://evil.test")
            .send()
            .await;
        assert_eq!(foreign.problem(), "cross-site", "{path}");
    }
}
