//! Searches in attackers, finds and the audit log: what is found however much of it is indexed, and how much one page reads for it.

use decnet_db::{Store, search::WINDOW};
use decnet_model::{
    query::{AttackerQuery, AttackerSort, AuditQuery, BountyQuery, BountySort, SortOrder},
    view::Page,
};

use crate::{
    Database,
    lines::{at, command, login, store},
};

/// More rows than one page reads.
const MANY: i64 = 60_000;

async fn index_all(db: &Store) {
    while db.search_index(100).await.unwrap() > 0 {}
}

/// Run a statement with `{numbers}` in it: the numbers `n` from 0 to before [`MANY`].
async fn fill(database: &Database, statement: &str) {
    const { assert!(WINDOW < MANY && MANY == 60_000) };
    let digits = |most: u8| {
        let digits: Vec<_> = (0..=most).map(|digit| format!("SELECT {digit} AS d")).collect();
        digits.join(" UNION ALL ")
    };
    let (nine, five) = (digits(9), digits(5));
    let numbers = format!(
        "(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n FROM ({nine}) a, ({nine}) b, ({nine}) c, ({nine}) d, ({five}) e) numbers"
    );
    let statement: &'static str = statement.replace("{numbers}", &numbers).leak();
    database.raw(&[statement]).await.unwrap();
}

/// Sixteen bytes that differ by `n`.
fn key(database: &Database) -> &'static str {
    if database.is_sqlite() {
        "CAST(printf('%016d', n) AS BLOB)"
    } else {
        "LPAD(n, 16, '0')"
    }
}

/// As if everything of a list were indexed but its newest rows: what is passed over has none of the words that are looked for.
async fn pass_over(database: &Database, cursor: &str, table: &str, newest: i64) {
    let to = format!("(SELECT MAX(id) FROM {table}) - {newest}");
    let statement = format!("UPDATE log_cursors SET log_id = {to} WHERE name = '{cursor}'");
    database.raw(&[statement.leak()]).await.unwrap();
}

async fn finds(db: &Store, query: &BountyQuery) -> Page<decnet_model::view::BountyView> {
    db.bounty_page(query).await.unwrap()
}

/// The values of all that a search finds, in the order asked for.
async fn values(db: &Store, query: &BountyQuery) -> Vec<String> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let query = BountyQuery {
            limit: Some(2),
            before,
            ..query.clone()
        };
        let page = finds(db, &query).await;
        all.extend(page.data.into_iter().map(|find| find.value));
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

fn found_by(search: &str) -> BountyQuery {
    BountyQuery {
        search: Some(search.to_owned()),
        ..BountyQuery::default()
    }
}

pub(crate) async fn finds_are_found_by_their_texts_however_many_are_indexed(database: &Database) {
    let db = &database.store;
    let secrets = [
        "a",
        "100%_!",
        "na\u{ef}ve caf\u{e9}",
        "\u{65e5}\u{672c}\u{8a9e}\u{30c6}",
        "\u{1F980}\u{1F980}\u{1F41F}",
        r#"say "x" \ ] '; --"#,
        "Hunter2",
    ];
    let lines: Vec<_> = (1..)
        .zip(secrets)
        .map(|(second, secret)| login(second, "web-01", "192.0.2.1", "root", secret))
        .chain([login(9, "db-7", "2001:db8::7", "Admin", "toor")])
        .collect();
    store(db, &lines).await;
    let all: Vec<_> = secrets.into_iter().chain(["toor"]).rev().collect();
    let cases: &[(&str, &[&str])] = &[
        ("hunter", &["Hunter2"]),
        ("HUNTER2", &["Hunter2"]),
        ("hunter3", &[]),
        ("r2", &["Hunter2"]),
        ("%_", &["100%_!"]),
        ("100%_!", &["100%_!"]),
        ("%", &["100%_!"]),
        ("1%0", &[]),
        ("na\u{ef}ve", &["na\u{ef}ve caf\u{e9}"]),
        ("naive", &[]),
        ("\u{8a9e}", &["\u{65e5}\u{672c}\u{8a9e}\u{30c6}"]),
        ("\u{672c}\u{8a9e}\u{30c6}", &["\u{65e5}\u{672c}\u{8a9e}\u{30c6}"]),
        ("\u{1F980}\u{1F41F}", &["\u{1F980}\u{1F980}\u{1F41F}"]),
        ("\u{1F980}\u{1F980}\u{1F41F}", &["\u{1F980}\u{1F980}\u{1F41F}"]),
        ("\u{1F41F}\u{1F980}\u{1F980}", &[]),
        (r#"say "x" \ ]"#, &[r#"say "x" \ ] '; --"#]),
        ("'; --", &[r#"say "x" \ ] '; --"#]),
        ("' OR '1'='1", &[]),
        // By account and secret, by decky, by service, by address; and not by what stands in two of them.
        ("admin:toor", &["toor"]),
        ("dmin:too", &["toor"]),
        ("admin:hunter", &[]),
        ("db-7", &["toor"]),
        ("2001:db8::", &["toor"]),
        ("192.0.2.1", &all[1..]),
        ("ssh", &all),
        ("root hunter", &[]),
        ("\0", &[]),
        ("toor\0", &[]),
        ("hunter\0toor", &[]),
    ];
    // First nothing is indexed, then half, then all.
    for steps in [0, 1, 9] {
        for _ in 0..steps {
            db.search_index(4).await.unwrap();
        }
        for (search, expected) in cases {
            for sort in BountySort::ALL {
                for order in [None, Some(SortOrder::Asc)] {
                    let query = BountyQuery {
                        sort_by: Some(*sort),
                        sort_order: order,
                        ..found_by(search)
                    };
                    let mut expected = expected.to_vec();
                    if order.is_some() {
                        expected.reverse();
                    }
                    assert_eq!(
                        values(db, &query).await,
                        expected,
                        "{search:?} {sort} {order:?} after {steps} steps"
                    );
                }
            }
        }
    }
}

pub(crate) async fn a_find_of_long_ago_is_found_in_one_page_once_it_is_indexed(database: &Database) {
    let db = &database.store;
    store(db, &[login(1, "web-01", "192.0.2.1", "root", "needle-of-old")]).await;
    index_all(db).await;
    let others = format!(
        "INSERT INTO bounties (digest, kind, attacker_id, decky, service, principal, secret_kind, value, seen_count, accepted_count, \
         first_seen, last_seen, log_id) SELECT {}, kind, attacker_id, decky, service, 'x', secret_kind, 'haystack', 2, 0, \
         first_seen + 1 + n, last_seen + 1 + n, log_id FROM bounties, {{numbers}} WHERE id = 1",
        key(database)
    );
    fill(database, &others).await;
    for sort in BountySort::ALL {
        let query = BountyQuery {
            sort_by: Some(*sort),
            ..found_by("needle")
        };
        // What is not indexed is read, in steps.
        let first = finds(db, &query).await;
        assert!(first.data.is_empty() && first.next.is_some(), "{sort}: {first:?}");
        let after = BountyQuery {
            before: first.next,
            ..query.clone()
        };
        let second = finds(db, &after).await;
        assert_eq!((second.data.len(), &second.next), (1, &None), "{sort}");
        // A word of two letters is not in the index; what many have is there at once.
        let two = finds(
            db,
            &BountyQuery {
                search: Some("ee".to_owned()),
                ..query.clone()
            },
        )
        .await;
        assert!(two.data.is_empty() && two.next.is_some(), "{sort}: {two:?}");
        let many = BountyQuery {
            search: Some("stack".to_owned()),
            limit: Some(3),
            ..query
        };
        assert_eq!(finds(db, &many).await.data.len(), 3, "{sort}");
    }
    // Of a time that is over, one fits; and of a kind of which there are none, that is known at once. A time since which few were seen is
    // looked up.
    for sort in BountySort::ALL {
        let then = BountyQuery {
            sort_by: Some(*sort),
            start_time: Some(at(0)),
            end_time: Some(micros_later(1_000_001)),
            ..BountyQuery::default()
        };
        let first = finds(db, &then).await;
        assert!(first.data.is_empty() && first.next.is_some(), "{sort}: {first:?}");
        let after = BountyQuery {
            before: first.next,
            ..then.clone()
        };
        let second = finds(db, &after).await;
        assert_eq!((second.data.len(), &second.next), (1, &None), "{sort}");
        assert_eq!(second.data[0].value, "needle-of-old");
        let lately = BountyQuery {
            start_time: Some(micros_later(1_000_000 + MANY - 2)),
            end_time: None,
            ..then.clone()
        };
        let page = finds(db, &lately).await;
        assert_eq!((page.data.len(), page.next), (3, None), "{sort}");
        let none = BountyQuery {
            bounty_type: Some(decnet_model::state::BountyKind::Fingerprint),
            start_time: None,
            end_time: None,
            ..then
        };
        let page = finds(db, &none).await;
        assert_eq!((page.data.len(), page.next), (0, None), "{sort}");
    }
    pass_over(database, "search_bounties", "bounties", 0).await;
    for sort in BountySort::ALL {
        for order in [SortOrder::Asc, SortOrder::Desc] {
            let query = BountyQuery {
                sort_by: Some(*sort),
                sort_order: Some(order),
                ..found_by("needle")
            };
            let page = finds(db, &query).await;
            assert_eq!((page.data.len(), &page.next), (1, &None), "{sort} {order:?}");
        }
    }
    let nothing = finds(db, &found_by("no-such-thing")).await;
    assert_eq!((nothing.data.len(), nothing.next), (0, None));
    // With everything that is forgotten, its index is.
    db.evidence_clear().await.unwrap();
    store(db, &[login(1, "web-01", "192.0.2.1", "root", "another")]).await;
    index_all(db).await;
    assert_eq!(values(db, &found_by("needle")).await, [""; 0]);
    assert_eq!(values(db, &found_by("another")).await, ["another"]);
}

async fn audited(db: &Store, target: &str) -> Page<decnet_model::view::AuditView> {
    let query = AuditQuery {
        target: Some(target.to_owned()),
        ..AuditQuery::default()
    };
    db.audit_page(&query).await.unwrap()
}

pub(crate) async fn an_entry_of_long_ago_is_found_in_one_page_once_it_is_indexed(database: &Database) {
    let db = &database.store;
    let targets = [
        "needle of old",
        "100%_!",
        "na\u{ef}ve \u{1F980}",
        r#"say "x" \ ]"#,
        "id",
    ];
    for (second, target) in (0..).zip(targets) {
        db.audit_append(at(second), "ann", "user.create", target, None, "ok")
            .await
            .unwrap();
    }
    let cases: &[(&str, Option<&str>)] = &[
        ("NEEDLE", Some("needle of old")),
        ("le of", Some("needle of old")),
        ("needle old", None),
        ("%_!", Some("100%_!")),
        ("0%_", Some("100%_!")),
        ("na\u{ef}ve", Some("na\u{ef}ve \u{1F980}")),
        ("\u{1F980}", Some("na\u{ef}ve \u{1F980}")),
        (r#""x" \ ]"#, Some(r#"say "x" \ ]"#)),
        ("id", Some("id")),
        ("\0", None),
    ];
    let hold = async || {
        for (target, expected) in cases {
            let mut page = audited(db, target).await;
            // A text of two letters is read for.
            while page.data.is_empty()
                && let Some(before) = page.next
            {
                let query = AuditQuery {
                    target: Some((*target).to_owned()),
                    before: Some(before),
                    ..AuditQuery::default()
                };
                page = db.audit_page(&query).await.unwrap();
            }
            let found: Vec<_> = page.data.iter().map(|entry| entry.target.as_str()).collect();
            assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "{target:?}");
        }
    };
    hold().await;
    // The newest entries stay out of the index: one of a lower id may come after them.
    index_all(db).await;
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM log_cursors WHERE name = 'search_audit' AND log_id > 0")
            .await,
        0
    );
    let others = "INSERT INTO audit_log (at, actor, action, target, from_ip, result) \
                  SELECT at + n, actor, action, 'hay', from_ip, result FROM audit_log, {numbers} WHERE id = 1 AND n < ";
    fill(database, &format!("{others}1000")).await;
    index_all(db).await;
    assert_eq!(
        database
            .number("SELECT log_id FROM log_cursors WHERE name = 'search_audit'")
            .await,
        5
    );
    hold().await;
    db.audit_append(at(9), "bob", "user.delete", "hay", None, "ok")
        .await
        .unwrap();
    fill(database, &format!("{others}59000")).await;
    // Whoever did little is found at once; of whoever did much, as much as a page may read.
    let by = |actor: &str, action: &str| AuditQuery {
        actor: Some(actor.to_owned()),
        action: Some(action.to_owned()).filter(|action| !action.is_empty()),
        ..AuditQuery::default()
    };
    for query in [by("bob", ""), by("bob", "user")] {
        let page = db.audit_page(&query).await.unwrap();
        assert_eq!((page.data.len(), page.next), (1, None), "{query:?}");
    }
    let much = db.audit_page(&by("ann", "user")).await.unwrap();
    assert!(much.data.len() > 3 && much.next.is_some());
    let none = db.audit_page(&by("ann", "user.delete")).await.unwrap();
    assert_eq!((none.data.len(), none.next), (0, None));
    let then = AuditQuery {
        end_time: Some(at(3)),
        start_time: Some(at(1)),
        ..by("ann", "user")
    };
    let page = db.audit_page(&then).await.unwrap();
    assert_eq!((page.data.len(), page.next), (2, None));
    let read = audited(db, "needle").await;
    assert!(read.data.is_empty() && read.next.is_some(), "{read:?}");
    pass_over(database, "search_audit", "audit_log", 1_000).await;
    let found = audited(db, "needle").await;
    assert_eq!((found.data.len(), found.next), (1, None));
    hold().await;
}

/// So many microseconds after the first second of the lines.
fn micros_later(us: i64) -> time::OffsetDateTime {
    at(0) + time::Duration::microseconds(us)
}

async fn whom(db: &Store, query: &AttackerQuery) -> Page<decnet_model::view::AttackerView> {
    db.attacker_page(query).await.unwrap()
}

pub(crate) async fn attackers_of_long_ago_are_found_in_one_page_by_whatever_tells_few(database: &Database) {
    let db = &database.store;
    let lines = [
        command(1, "needle-01", "192.0.2.7", "id"),
        command(2, "odd_100%", "192.0.2.8", "id"),
        command(3, "common-01", "192.0.2.9", "id"),
        login(4, "web-01", "2001:db8:f::1", "root", "x"),
    ];
    store(db, &lines).await;
    // Later, and busier, than all of these; each was at the decky where one of these was.
    let hex = if database.is_sqlite() {
        "printf('%x', n)"
    } else {
        "LOWER(HEX(n))"
    };
    let ip = if database.is_sqlite() {
        format!("'2001:db8::' || {hex}")
    } else {
        format!("CONCAT('2001:db8::', {hex})")
    };
    let others = format!(
        "INSERT INTO attackers (id, ip, first_seen, last_seen, event_count, auth_count, command_count, credential_count, bounty_count) \
         SELECT {}, {ip}, first_seen + 60000000 + n, last_seen + 60000000 + n, 9, 9, 9, 9, 9 FROM attackers, {{numbers}} WHERE ip = '192.0.2.9'",
        key(database)
    );
    fill(database, &others).await;
    let touched = "INSERT INTO attacker_deckies (attacker_id, decky) SELECT id, 'common-01' FROM attackers WHERE event_count = 9";
    database.raw(&[touched]).await.unwrap();
    let by = |search: &str| AttackerQuery {
        search: Some(search.to_owned()),
        ..AttackerQuery::default()
    };
    for (query, expected) in [
        (by("needle"), Some("192.0.2.7")),
        (by("NEEDLE-01"), Some("192.0.2.7")),
        (by("ee"), Some("192.0.2.7")),
        (by("192.0.2.8"), Some("192.0.2.8")),
        (by("2001:DB8:F:"), Some("2001:db8:f::1")),
        (by("100%"), Some("192.0.2.8")),
        (by("_1"), Some("192.0.2.8")),
        (by("ODD_100%"), Some("192.0.2.8")),
        (by("odd%100"), None),
        (by("caf\u{e9}"), None),
        (by("\u{1F980}"), None),
        (by("' OR '1'='1"), None),
        (by("no-such-thing"), None),
        (by("\0"), None),
        (by("needle\0"), None),
        (
            AttackerQuery {
                decky: Some("needle-01".to_owned()),
                ..AttackerQuery::default()
            },
            Some("192.0.2.7"),
        ),
        (
            AttackerQuery {
                decky: Some("nobody-was-here".to_owned()),
                ..AttackerQuery::default()
            },
            None,
        ),
    ] {
        for sort in AttackerSort::ALL {
            for order in [SortOrder::Asc, SortOrder::Desc] {
                let query = AttackerQuery {
                    sort_by: Some(*sort),
                    sort_order: Some(order),
                    ..query.clone()
                };
                let page = whom(db, &query).await;
                let found: Vec<_> = page.data.iter().map(|attacker| attacker.ip.to_string()).collect();
                let expected: Vec<_> = expected.into_iter().collect();
                assert_eq!(
                    (found, page.next),
                    (expected.iter().map(ToString::to_string).collect(), None),
                    "{query:?}"
                );
            }
        }
    }
    // Of a time that is over, one fits, and all of the others were seen later: they are walked past, and no further than a page may. Whoever
    // was seen last in the order of that time stands behind them, too.
    for sort in AttackerSort::ALL {
        let then = AttackerQuery {
            sort_by: Some(*sort),
            start_time: Some(at(2)),
            end_time: Some(at(3)),
            ..AttackerQuery::default()
        };
        let first = whom(db, &then).await;
        assert!(first.data.is_empty() && first.next.is_some(), "{sort}: {first:?}");
        let after = AttackerQuery {
            before: first.next,
            ..then.clone()
        };
        let second = whom(db, &after).await;
        let found: Vec<_> = second
            .data
            .iter()
            .map(|attacker| attacker.ip.to_string())
            .collect();
        assert_eq!(
            (found, second.next),
            (vec!["192.0.2.8".to_owned()], None),
            "{sort}"
        );
        // Few were seen since: they are found at once, in every order and from both ends.
        for order in [SortOrder::Asc, SortOrder::Desc] {
            let lately = AttackerQuery {
                sort_order: Some(order),
                start_time: Some(micros_later(60_000_000 + 3_000_000 + MANY - 3)),
                end_time: None,
                ..then.clone()
            };
            let page = whom(db, &lately).await;
            assert_eq!((page.data.len(), page.next), (3, None), "{sort} {order:?}");
        }
    }
    // Where many fit, the list is walked, and no further than a page may.
    for sort in AttackerSort::ALL {
        let many = AttackerQuery {
            limit: Some(3),
            sort_by: Some(*sort),
            ..by("common")
        };
        let page = whom(db, &many).await;
        assert!(page.data.len() == 3 && page.next.is_some(), "{sort}: {page:?}");
        let rare = AttackerQuery {
            decky: Some("common-01".to_owned()),
            service: Some("ssh".to_owned()),
            sort_by: Some(*sort),
            ..AttackerQuery::default()
        };
        let first = whom(db, &rare).await;
        assert!(first.data.is_empty() && first.next.is_some(), "{sort}: {first:?}");
        let after = AttackerQuery {
            before: first.next,
            ..rare
        };
        let second = whom(db, &after).await;
        let found: Vec<_> = second
            .data
            .iter()
            .map(|attacker| attacker.ip.to_string())
            .collect();
        assert_eq!(
            (found, second.next),
            (vec!["192.0.2.9".to_owned()], None),
            "{sort}"
        );
    }
}
