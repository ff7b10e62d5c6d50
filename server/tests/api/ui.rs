//! The dashboard as the browser first gets it: pages, files, and forms without WASM.

use std::io::Read as _;

use axum::http::{Method, StatusCode, header};
use decnet_model::{
    clock::Clock as _,
    state::{Role, WorkerState},
    view::WorkerView,
};
use http_body_util::BodyExt as _;

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
async fn pages_and_long_answers_are_packed_for_who_takes_that_and_events_and_fonts_are_not() {
    let app = App::new().await;
    std::fs::create_dir_all(app.site_root.join("fonts")).unwrap();
    std::fs::write(app.site_root.join("fonts/inter.woff2"), vec![7; 4_096]).unwrap();
    let admin = app.admin().await;
    app.ingest("web-01", &[("src_ip", "192.0.2.1")], "connect").await;
    for (path, packed) in [
        ("/login", true),
        ("/openapi.json", true),
        // A list of pages that are read as they are sent.
        ("/logs/export?format=json", true),
        ("/health", false),
        ("/fonts/inter.woff2", false),
    ] {
        // Who is signed in is led away from there.
        let ask = || match path {
            "/login" => app.get(path),
            _ => app.get(path).token(&admin),
        };
        let answer = ask().header(header::ACCEPT_ENCODING, "gzip").open().await;
        let plain = ask().send().await;
        assert_eq!(plain.status, answer.status(), "{path}");
        assert!(!plain.headers.contains_key(header::CONTENT_ENCODING), "{path}");
        let told = answer.headers().get(header::CONTENT_ENCODING).cloned();
        assert_eq!(told.is_some_and(|told| told == "gzip"), packed, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if packed {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*body)
                .read_to_string(&mut text)
                .unwrap();
            // Two pages differ in their nonces.
            assert_eq!(text.len(), plain.text.len(), "{path}");
            assert!(
                body.len() < text.len(),
                "{path}: {} of {} bytes",
                body.len(),
                text.len()
            );
        }
    }
    let events = app
        .get("/stream")
        .token(&admin)
        .header(header::ACCEPT_ENCODING, "gzip")
        .open()
        .await;
    assert_eq!(events.status(), StatusCode::OK, "{events:?}");
    assert!(!events.headers().contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn a_page_of_a_release_names_its_own_pieces_and_files_that_are_kept_for_good() {
    // The folder is made before the server starts: `with` is given the configuration just before.
    let app = App::with(decnet_domain::Options::default(), |config| {
        let folder = config.site_root.join("pkg/0123456789abcdef");
        std::fs::create_dir_all(&folder).unwrap();
        let list = r#"{"login": ["chunk_1", "split_login"], "fleet": ["split_fleet"]}"#;
        std::fs::write(folder.join("pieces.json"), list).unwrap();
        std::fs::write(folder.join("decnet.js"), "glue").unwrap();
        std::fs::write(config.site_root.join("boot.js"), "boot").unwrap();
    })
    .await;
    let page = app.get("/login").send().await.text;
    for file in [
        "decnet.css",
        "decnet.js",
        "decnet.wasm",
        "split_login.wasm",
        "chunk_1.wasm",
        "__wasm_split.js",
    ] {
        let address = format!("href=\"/pkg/0123456789abcdef/{file}\"");
        assert!(page.contains(&address), "{file}: {page}");
    }
    assert!(!page.contains("split_fleet.wasm"), "another page's piece: {page}");
    assert!(
        page.contains("data-pieces=\"chunk_1 split_fleet split_login\""),
        "{page}"
    );
    for (path, kept) in [
        (
            "/pkg/0123456789abcdef/decnet.js",
            "public, max-age=31536000, immutable",
        ),
        ("/boot.js", "no-cache"),
    ] {
        let file = app.page(path).send().await;
        assert_eq!(file.headers[header::CACHE_CONTROL], kept, "{path}");
    }
    let gone = app.get("/pkg/0000000000000000/decnet.js").send().await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_ne!(
        gone.headers
            .get(header::CACHE_CONTROL)
            .map(|v| v.to_str().unwrap()),
        Some("public, max-age=31536000, immutable")
    );
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
    for path in ["/ui/decky_list", "/ui/task_list", "/ui/snapshot"] {
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

#[tokio::test]
async fn a_form_without_script_and_without_a_session_leads_to_the_login_and_back() {
    let app = App::new().await;
    for (page, led) in [
        (
            Some("http://decnet.test:8080/fleet?decky=web-01"),
            "/login?next=/fleet",
        ),
        (Some("http://evil.test//evil.test/"), "/login?next="),
        (None, "/login"),
    ] {
        let mut form = app
            .ask(Method::POST, "/ui/teardown")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "text/html");
        if let Some(page) = page {
            form = form.header(header::REFERER, page);
        }
        let answer = form.send().await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        let to = answer.headers[header::LOCATION].to_str().unwrap();
        assert!(to.replace("%2F", "/").starts_with(led), "{to}");
    }
}

#[tokio::test]
async fn a_server_function_refuses_with_the_status_of_its_reason_and_the_first_login_leads_to_the_password() {
    let app = App::new().await;
    app.fresh_user("fred", Role::Admin).await;
    let fresh = session(&app, "fred", &format!("{PASSWORD}-0")).await;
    app.user("vera", Role::Viewer).await;
    let viewer = session(&app, "vera", PASSWORD).await;
    let deploy = "form[archetype]=x&form[amount]=1";
    for (cookie, path, body, status, kind) in [
        (
            fresh.as_str(),
            "/ui/decky_list",
            "",
            StatusCode::FORBIDDEN,
            "PasswordChange",
        ),
        (
            fresh.as_str(),
            "/ui/deploy",
            deploy,
            StatusCode::FORBIDDEN,
            "PasswordChange",
        ),
        (
            viewer.as_str(),
            "/ui/deploy",
            deploy,
            StatusCode::FORBIDDEN,
            "Forbidden",
        ),
        ("", "/ui/decky_list", "", StatusCode::UNAUTHORIZED, "SignedOut"),
        (
            "",
            "/ui/login",
            "username=vera&password=no&next=",
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
        ),
    ] {
        let answer = app
            .ask(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookie)
            .body(body)
            .send()
            .await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.json()["kind"], kind, "{path}");
    }
    let first = app
        .ask(Method::POST, "/ui/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "text/html")
        .body(format!("username=fred&password={PASSWORD}-0&next=/live"))
        .send()
        .await;
    assert_eq!(
        first.headers[header::LOCATION],
        "/password?next=/live",
        "{first:?}"
    );
}

/// A session of this account as a page's request carries it.
async fn session(app: &App, name: &str, password: &str) -> String {
    let login = app.login(name, password).send().await;
    let cookie = login.headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_that_a_role_may_not_see_says_so_to_readers_and_to_programs() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    app.admin().await;
    let (viewer, admin) = (
        session(&app, "vera", PASSWORD).await,
        session(&app, "root", PASSWORD).await,
    );
    for path in [
        "/settings/audit",
        "/settings/users",
        "/settings/tokens",
        "/quarantine",
    ] {
        let page = app.page(path).header(header::COOKIE, &viewer).send().await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            page.text.contains("Not allowed for this account"),
            "{path}: {}",
            page.text
        );
        let page = app.page(path).header(header::COOKIE, &admin).send().await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
    }
    for path in ["/", "/settings", "/settings/host", "/workers", "/fleet"] {
        let page = app.page(path).header(header::COOKIE, &viewer).send().await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
    }
    // Without scripts, too, a link says what of it was left out, and what could stand there.
    let page = app
        .page("/attackers?sort_by=zzz")
        .header(header::COOKIE, &viewer)
        .send()
        .await;
    assert!(
        page.text
            .contains("Left out: sort_by=zzz, where only recent, active,"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_log_is_filtered_by_deckies_that_are_gone_too() {
    let app = App::new().await;
    let admin = app.admin().await;
    let cookie = session(&app, "root", PASSWORD).await;
    let spec = serde_json::json!({ "deckies": [{ "archetype": "linux-server", "name": "here" }] });
    app.post("/deckies/deploy", &spec).token(&admin).send().await;
    for decky in ["here", "gone-01"] {
        app.ingest(decky, &[("src_ip", "192.0.2.7"), ("command", "id")], "command")
            .await;
    }
    let page = app.page("/live").header(header::COOKIE, &cookie).send().await;
    for (words, there) in [("gone-01 (gone)", true), (">here<", true), ("here (gone)", false)] {
        assert_eq!(page.text.contains(words), there, "{words}: {}", page.text);
    }
    let page = app
        .page("/live?decky=gone-01")
        .header(header::COOKIE, &cookie)
        .send()
        .await;
    assert!(page.text.contains("data-row=\"2\"") && !page.text.contains("data-row=\"1\""));
}

#[tokio::test]
async fn a_search_that_read_much_and_found_nothing_says_so_and_leads_on() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let cookie = session(&app, "vera", PASSWORD).await;
    let from = ("src_ip", "192.0.2.7");
    app.ingest("here", &[from, ("command", "~~")], "command").await;
    // As many as one page reads of a word that no index has.
    app.ingest_times(50_000, "here", &[from, ("command", "id")], "command")
        .await;
    let page = app
        .page("/live?search=~~")
        .header(header::COOKIE, &cookie)
        .send()
        .await;
    let says = |text: &str, words: &str| text.contains(words);
    assert!(
        says(&page.text, "Nothing among the newest 50\u{202f}000 rows"),
        "{}",
        page.text
    );
    assert!(!says(&page.text, "Nothing fits these filters"));
    let (_, cursor) = page.text.split_once("before=").expect("a link to what follows");
    let cursor: String = cursor.chars().take_while(char::is_ascii_alphanumeric).collect();
    let next = app
        .page(&format!("/live?search=~~&before={cursor}"))
        .header(header::COOKIE, &cookie)
        .send()
        .await;
    assert!(
        says(&next.text, "data-row=\"1\"") && !says(&next.text, "Nothing among"),
        "{}",
        next.text
    );
}

#[tokio::test]
async fn the_overview_says_when_the_ingester_does_not_work() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let cookie = session(&app, "vera", PASSWORD).await;
    for (state, told) in [
        (WorkerState::Ok, false),
        (WorkerState::Stopped, true),
        (WorkerState::Ok, false),
    ] {
        for name in ["collector", "ingester"] {
            let state = if name == "ingester" {
                state
            } else {
                WorkerState::Ok
            };
            let beat = WorkerView {
                state,
                last_heard: Some(app.clock.now()),
                pid: Some(7),
                ..WorkerView::unheard(name.parse().unwrap())
            };
            app.store.worker_heartbeat_put(&beat).await.unwrap();
        }
        // The hour of the clock that the test has.
        let hour = "/?start_time=2027-01-15T07:30:00Z&end_time=2027-01-15T08:30:00Z";
        let page = app.page(hour).header(header::COOKIE, &cookie).send().await;
        let words = "The ingester does not work (stopped): what stands here is not live.";
        assert_eq!(page.text.contains(words), told, "{state}: {}", page.text);
    }
}

#[tokio::test]
async fn the_whole_fleet_is_taken_down_only_by_who_types_that() {
    let app = App::new().await;
    let admin = app.admin().await;
    let cookie = session(&app, "root", PASSWORD).await;
    let spec =
        serde_json::json!({ "deckies": [{ "archetype": "linux-server", "amount": 3, "name": "web" }] });
    let accepted = app.post("/deckies/deploy", &spec).token(&admin).send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    let names: Vec<_> = deckies
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap().to_owned())
        .collect();
    let down = async |names: &[String], confirm: &str| {
        app.ask(Method::POST, "/ui/teardown")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, &cookie)
            .body(format!("names={}{confirm}", names.join(",")))
            .send()
            .await
    };
    for confirm in ["", "&confirm=", "&confirm=Take+down+the+fleet", "&confirm=yes"] {
        let refused = down(&names, confirm).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{confirm}: {refused:?}"
        );
        assert!(
            refused.text.contains("type take down the fleet to confirm"),
            "{}",
            refused.text
        );
    }
    // One of them needs no words, and of the two that are left both do.
    let one = down(&names[..1], "").await;
    assert!(one.status.is_success() || one.status.is_redirection(), "{one:?}");
    assert_eq!(
        down(&names[1..], "").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let all = down(&names[1..], "&confirm=+take+down+the+fleet+").await;
    assert!(all.status.is_success() || all.status.is_redirection(), "{all:?}");
    let deckies = app.get("/deckies").token(&admin).send().await.json();
    assert!(
        deckies.as_array().unwrap().iter().all(|d| d["desired"] == false),
        "{deckies}"
    );
}

#[tokio::test]
async fn an_address_without_a_page_says_so_to_readers_and_to_programs() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    let cookie = session(&app, "vera", PASSWORD).await;
    let fields = [("src_ip", "192.0.2.7"), ("command", "id")];
    app.ingest("web-01", &fields, "command").await;
    let known = decnet_db::meaning::attacker_id("192.0.2.7".parse().unwrap());
    for (path, status, words) in [
        (
            "/no-such-page".to_owned(),
            StatusCode::NOT_FOUND,
            "There is no such page",
        ),
        (
            "/attackers/1/2/3".to_owned(),
            StatusCode::NOT_FOUND,
            "There is no such page",
        ),
        (
            "/attackers/nobody".to_owned(),
            StatusCode::NOT_FOUND,
            "There is no such thing",
        ),
        (
            "/attackers/01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            StatusCode::NOT_FOUND,
            "There is no such thing",
        ),
        (format!("/attackers/{known}"), StatusCode::OK, "192.0.2.7"),
        ("/live".to_owned(), StatusCode::OK, "Live"),
    ] {
        let page = app.page(&path).header(header::COOKIE, &cookie).send().await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.text.contains(words), "{path}: {}", page.text);
        assert!(
            page.headers[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(
            page.headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("'nonce-")
        );
    }
}

#[tokio::test]
async fn whoever_has_to_sign_in_first_is_led_there_and_not_told_what_there_is() {
    let app = App::new().await;
    app.fresh_user("fred", Role::Viewer).await;
    let fresh = session(&app, "fred", &format!("{PASSWORD}-0")).await;
    for (path, login) in [
        ("/", "/login"),
        ("/no-such-page", "/login?next=/no-such-page"),
        ("/attackers/nobody", "/login?next=/attackers/nobody"),
        (
            "/live?decky=a&last=1h",
            "/login?next=/live%3Fdecky%3Da%26last%3D1h",
        ),
    ] {
        for (cookie, to) in [("", login), (fresh.as_str(), "/password")] {
            for accept in ["text/html", "*/*", ""] {
                let page = app
                    .page(path)
                    .header(header::ACCEPT, accept)
                    .header(header::COOKIE, cookie);
                let page = page.send().await;
                assert_eq!(page.status, StatusCode::SEE_OTHER, "{path} {to} {accept}");
                assert_eq!(page.headers[header::LOCATION], to, "{path}");
                assert_eq!(page.text, "", "nothing of the page is shown");
            }
        }
    }
    let password = app.page("/password").header(header::COOKIE, &fresh).send().await;
    assert_eq!(password.status, StatusCode::OK);
    assert_eq!(app.page("/login").send().await.status, StatusCode::OK);
    let anonymous = app.page("/password").send().await;
    assert_eq!(anonymous.headers[header::LOCATION], "/login?next=/password");
}

#[tokio::test]
async fn what_is_no_page_and_not_there_is_a_problem_and_leads_nowhere() {
    let app = App::new().await;
    for (method, path) in [
        (Method::GET, "/pkg/no-such.wasm"),
        (Method::GET, "/fonts/no-such.woff2"),
        (Method::GET, "/ui/decky_list/more"),
        (Method::POST, "/ui/no_such_function"),
    ] {
        let answer = app.at(method, path).send().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found")
        );
    }
    for path in ["/fleet", "/", "/no-such-page"] {
        let answer = app.at(Method::POST, path).send().await;
        assert_eq!(answer.problem(), "method-not-allowed", "{path}");
        assert!(
            answer.headers[header::ALLOW].to_str().unwrap().contains("GET"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_an_administrator_is_led_to_the_quarantine() {
    let app = App::new().await;
    app.user("vera", Role::Viewer).await;
    app.user("root", Role::Admin).await;
    app.quarantine(b"no line at all", "no version").await;
    let (viewer, admin) = (
        session(&app, "vera", PASSWORD).await,
        session(&app, "root", PASSWORD).await,
    );
    let live = app.page("/live").header(header::COOKIE, &admin).send().await;
    assert!(
        live.text.contains("href=\"/quarantine\"") && live.text.contains("1 line"),
        "{}",
        live.text
    );
    let page = app
        .page("/quarantine")
        .header(header::COOKIE, &admin)
        .send()
        .await;
    assert!(
        page.text.contains("no line at all") && page.text.contains("no version"),
        "{}",
        page.text
    );
    let live = app.page("/live").header(header::COOKIE, &viewer).send().await;
    assert!(!live.text.contains("/quarantine"), "{}", live.text);
    let page = app
        .page("/quarantine")
        .header(header::COOKIE, &viewer)
        .send()
        .await;
    assert!(
        !page.text.contains("no line at all") && page.text.contains("Not allowed"),
        "{}",
        page.text
    );
}
