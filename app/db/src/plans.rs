//! How SQLite goes about reading: by an index where there is one for what is asked, whatever else is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use decnet_model::{
    clock::from_micros,
    query::{AttackerQuery, AttackerSort, AuditQuery, BountyQuery, BountySort, LogQuery, ReuseQuery},
    state::BountyKind,
};
use time::OffsetDateTime;

use crate::{Options, Store, backend::Sql};

/// The tables that grow with the evidence, by their names in statements.
const LARGE: &[&str] = &[
    "l",
    "logs",
    "a",
    "attackers",
    "b",
    "bounties",
    "e",
    "credential_groups",
];

async fn store(folder: &tempfile::TempDir) -> Store {
    let url = format!("sqlite://{}", folder.path().join("decnet.db").display());
    let store = Store::connect(&Options::new(url)).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// The steps of the plans of everything that was read since the last call.
async fn steps(store: &Store) -> Vec<String> {
    let statements = std::mem::take(&mut *store.backend.statements.lock().unwrap());
    let mut steps = Vec::new();
    for (text, args) in statements {
        let mut sql = Sql::new("explain", format!("EXPLAIN QUERY PLAN {text}"));
        for arg in args {
            sql.arg(arg);
        }
        for row in store.backend.fetch(sql).await.unwrap() {
            steps.push(row.columns("explain").text(3).unwrap());
        }
    }
    store.backend.statements.lock().unwrap().clear();
    steps
}

/// Nothing large was read from end to end, and this was among what was done.
async fn reads_by(store: &Store, expected: &str) {
    let steps = steps(store).await;
    let scanned = steps.iter().find(|step| {
        let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
        table.is_some_and(|table| LARGE.contains(&table))
    });
    assert_eq!(scanned, None, "{steps:#?}");
    assert!(
        steps.iter().any(|step| step.starts_with(expected)),
        "{expected}: {steps:#?}"
    );
}

fn at(second: i64) -> Option<OffsetDateTime> {
    Some(from_micros(second * 1_000_000))
}

#[tokio::test]
async fn who_was_seen_lately_is_found_by_when_they_were_seen_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for sort in AttackerSort::ALL {
        let query = AttackerQuery {
            sort_by: Some(*sort),
            start_time: at(1),
            ..AttackerQuery::default()
        };
        steps(&store).await;
        store.attacker_page(&query).await.unwrap();
        reads_by(&store, "SEARCH a USING").await;
    }
    for sort in BountySort::ALL {
        for kind in [None, Some(BountyKind::Credential)] {
            let query = BountyQuery {
                sort_by: Some(*sort),
                bounty_type: kind,
                start_time: at(1),
                ..BountyQuery::default()
            };
            store.bounty_page(&query).await.unwrap();
            reads_by(&store, "SEARCH b USING").await;
        }
    }
}

#[tokio::test]
async fn rows_of_two_filters_are_read_by_that_which_fewest_have() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut tx = store.backend.begin().await.unwrap();
    for (scope, name, rows) in [
        ("decky", "rare", 7_i64),
        ("event_type", "connect", 9),
        ("service", "ssh", 8),
    ] {
        let text = "INSERT INTO tallies (scope, name, seen_count) VALUES (?, ?, ?)";
        let tally = Sql::new("tally", text)
            .bind(scope)
            .bind(name.as_bytes())
            .bind(rows);
        tx.execute(tally).await.unwrap();
    }
    let minute = "INSERT INTO log_minutes (minute_no, seen_count, min_id, max_id) VALUES (1, 24, 1, 24)";
    tx.execute(Sql::new("count", minute)).await.unwrap();
    let row = "INSERT INTO logs (id, at, received_at, decky, service, event_type, fields, message, raw) \
               VALUES (1, 60000000, 0, '', '', '', '{}', '', '')";
    tx.execute(Sql::new("log", row)).await.unwrap();
    tx.commit().await.unwrap();
    let query = |decky: Option<&str>, service: Option<&str>, search: Option<&str>| LogQuery {
        decky: decky.map(str::to_owned),
        service: service.map(str::to_owned),
        search: search.map(str::to_owned),
        event_type: Some("connect".to_owned()),
        ..LogQuery::default()
    };
    for (query, index) in [
        (query(Some("rare"), None, None), "logs_decky"),
        (query(Some("rare"), Some("ssh"), None), "logs_decky"),
        (query(None, Some("ssh"), None), "logs_service"),
        (query(None, None, Some("decky:rare service:ssh")), "logs_decky"),
        (query(None, None, None), "logs_event_type"),
        (
            LogQuery {
                start_time: at(60),
                ..query(None, Some("ssh"), None)
            },
            "logs_service",
        ),
    ] {
        steps(&store).await;
        store.log_page(&query).await.unwrap();
        reads_by(&store, &format!("SEARCH l USING INDEX {index} ")).await;
    }
}

#[tokio::test]
async fn what_is_reused_is_found_by_its_form_and_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let query = ReuseQuery {
        secret_kind: Some("rare".to_owned()),
        before: Some("p9.9".to_owned()),
        ..ReuseQuery::default()
    };
    steps(&store).await;
    store.reuse_page(&query).await.unwrap();
    reads_by(
        &store,
        "SEARCH credential_groups USING INDEX credential_groups_kind_spread",
    )
    .await;
    store.reuse_of("plaintext", "toor").await.unwrap();
    let unique = "SEARCH credential_groups USING INDEX sqlite_autoindex_credential_groups_1 (digest=?)";
    reads_by(&store, unique).await;
}

#[tokio::test]
async fn entries_of_somebody_are_never_sorted_but_where_they_are_few() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let query = AuditQuery {
        actor: Some("ann".to_owned()),
        ..AuditQuery::default()
    };
    steps(&store).await;
    store.audit_page(&query).await.unwrap();
    reads_by(&store, "SEARCH e USING INTEGER PRIMARY KEY").await;
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 6000) \
                INSERT INTO audit_log (at, actor, action, target, result) SELECT n, 'ann', 'x', '', '' FROM n";
    store.backend.execute(Sql::new("fill", many)).await.unwrap();
    steps(&store).await;
    let first = store.audit_page(&query).await.unwrap();
    assert!(first.next.is_some());
    let next = AuditQuery {
        before: first.next,
        ..query
    };
    steps(&store).await;
    store.audit_page(&next).await.unwrap();
    let steps = steps(&store).await;
    assert!(
        steps
            .iter()
            .all(|step| !step.contains("TEMP B-TREE") && !step.contains("MULTI-INDEX")),
        "{steps:#?}"
    );
}
