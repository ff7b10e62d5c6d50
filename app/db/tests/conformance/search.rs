use decnet_db::{Store, search::WINDOW};
use decnet_model::{
    id::LogId,
    query::{AttackerQuery, AttackerSort, HistogramQuery, LogQuery, SortOrder},
    search::{finds, finds_attacker},
    view::HistogramBucket,
};

use crate::{
    Database,
    lines::{at, command, line, login, store},
};

/// What a search finds, newest first. A page that shows what comes has the same rule in its own words: both find the same.
async fn found(db: &Store, search: &str) -> Vec<i64> {
    let mut by_page = Vec::new();
    let mut after = LogId(0);
    loop {
        let rows = db.log_after(after, 500).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = last.id;
        by_page.extend(rows.iter().filter(|row| finds(search, row)).map(|row| row.id.0));
    }
    by_page.reverse();
    let by_database = found_by_database(db, search).await;
    assert_eq!(by_database, by_page, "{search:?}");
    by_database
}

async fn found_by_database(db: &Store, search: &str) -> Vec<i64> {
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

/// How many rows of the index have a trigram, as FTS5 is asked for it and as a word of InnoDB's.
pub(crate) async fn indexed(database: &Database, trigram: &str, word: &str) -> i64 {
    let count = if database.is_sqlite() {
        format!("SELECT COUNT(*) FROM log_search WHERE log_search MATCH '\"{trigram}\"'")
    } else {
        format!("SELECT COUNT(*) FROM log_search WHERE MATCH (grams) AGAINST ('+{word}' IN BOOLEAN MODE)")
    };
    database.number(count.leak()).await
}

/// A row by nobody, so many ids after the others that a search which reads rows takes several pages to the others.
async fn far_row(database: &Database) {
    const { assert!(WINDOW < 200_000) };
    let far = "INSERT INTO logs (id, at, received_at, decky, service, event_type, fields, message, raw) \
               SELECT MAX(id) + 200000, MAX(at), MAX(received_at), 'far', 'far', 'far', '{}', '', 'far' FROM logs";
    database.raw(&[far]).await.unwrap();
}

async fn index_all(db: &Store) {
    while db.search_index(100).await.unwrap() > 0 {}
}

pub(crate) async fn what_is_indexed_is_found_in_one_page_however_old_it_is(database: &Database) {
    let db = &database.store;
    store(
        db,
        &[
            command(1, "web-01", "192.0.2.1", "find Needle"),
            command(2, "web-01", "192.0.2.1", "id"),
        ],
    )
    .await;
    far_row(database).await;
    let query = LogQuery {
        search: Some("needle".into()),
        ..LogQuery::default()
    };
    let read = db.log_page(&query).await.unwrap();
    assert!(read.data.is_empty() && read.next.is_some(), "{read:?}");
    index_all(db).await;
    let found = db.log_page(&query).await.unwrap();
    assert_eq!(found.data.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(found.next, None);
    // A field's value is narrowed by the index, too, and a row that is not indexed yet is found beside those that are.
    let query = LogQuery {
        search: Some("command:needle".into()),
        ..query
    };
    assert_eq!(db.log_page(&query).await.unwrap(), found);
    store(db, &[command(3, "web-01", "192.0.2.1", "needles")]).await;
    let found = db.log_page(&query).await.unwrap();
    assert_eq!(
        found.data.iter().map(|row| row.id.0).collect::<Vec<_>>(),
        [200_003, 1]
    );
    assert_eq!(found.next, None);
}

pub(crate) async fn words_that_an_index_could_take_for_its_own_are_texts(database: &Database) {
    let db = &database.store;
    let long: String = (0..64).map(|n| format!("{n:04}")).collect();
    let texts = [
        "a+b-c*d(f)g~h<i>j@k",
        "say \"+7k0s\" OR NOT x",
        "na\u{ef}ve caf\u{e9}",
        "\u{65e5}\u{672c}\u{8a9e}\u{30c6}\u{30b9}\u{30c8}",
        "\u{1F980}\u{1F980}\u{1F980}\u{1F41F}",
        &"q".repeat(256),
        "the www com from und",
        &long,
        r"%_!\'`;--",
    ];
    let lines: Vec<_> = (1..)
        .zip(texts)
        .map(|(second, text)| command(second, "web-01", "192.0.2.1", text))
        .collect();
    store(db, &lines).await;
    far_row(database).await;
    let (q256, q257) = ("q".repeat(256), "q".repeat(257));
    let other = long.replace("0063", "006x");
    let cases: &[(&str, &[i64])] = &[
        ("a+b-c*d(f)g~h<i>j@k", &[1]),
        ("+b-", &[1]),
        ("b-c*", &[1]),
        ("*d(", &[1]),
        ("(f)", &[1]),
        (")g~", &[1]),
        ("h<i>", &[1]),
        (">j@k", &[1]),
        ("+b-z", &[]),
        ("7k0s", &[2]),
        ("\"+7k0s", &[2]),
        ("\" OR NOT x", &[2]),
        ("NA\u{ef}VE", &[3]),
        ("caf\u{e9}", &[3]),
        ("cafe", &[]),
        ("\u{8a9e}", &[4]),
        ("\u{65e5}\u{672c}", &[4]),
        ("\u{65e5}\u{672c}\u{8a9e}", &[4]),
        ("\u{672c}\u{8a9e}\u{30c6}\u{30b9}", &[4]),
        ("\u{8a9e}\u{672c}\u{65e5}", &[]),
        ("\u{1F980}\u{1F980}\u{1F980}", &[5]),
        ("\u{1F980}\u{1F41F}", &[5]),
        ("\u{1F41F}\u{1F980}", &[]),
        ("\u{1F41F}\u{1F41F}\u{1F41F}", &[]),
        (&q256, &[6]),
        (&q257, &[]),
        ("the", &[7]),
        ("www", &[7]),
        ("und", &[7]),
        (&long, &[8]),
        (&other, &[]),
        (r"%_!\'`;--", &[9]),
        ("%_!", &[9]),
        ("_!\\", &[9]),
        ("\0", &[]),
        ("\0\0\0", &[]),
        ("com\0www", &[]),
        ("command:\0", &[]),
    ];
    for indexed in [false, true] {
        if indexed {
            index_all(db).await;
        }
        for (search, expected) in cases {
            let got = found(db, search).await;
            assert_eq!(got.as_slice(), *expected, "{search:?}, indexed: {indexed}");
        }
    }
}

pub(crate) async fn rows_that_are_indexed_and_deleted_at_once_leave_none_in_the_index(database: &Database) {
    const ROWS: i64 = 200;
    let db = &database.store;
    let lines: Vec<_> = (0..ROWS)
        .map(|second| command(second, "web-01", "192.0.2.1", "needle"))
        .collect();
    store(db, &lines).await;
    // All of them were stored at that second.
    let old = at(1_000_001);
    let deleting = async {
        let mut deleted = 0;
        while deleted < 150 {
            deleted += db.evidence_expire(old, 10).await.unwrap();
        }
    };
    let indexing = async { while db.search_index(7).await.unwrap() > 0 {} };
    futures::join!(indexing, deleting);
    index_all(db).await;
    let left = ROWS - 150;
    assert_eq!(database.number("SELECT COUNT(*) FROM logs").await, left);
    assert_eq!(indexed(database, "nee", "3xjv").await, left);
    let all: Vec<_> = (151..=ROWS).rev().collect();
    assert_eq!(found(db, "needle").await, all);
}

pub(crate) async fn an_index_is_made_anew_where_more_is_deleted_than_left(database: &Database) {
    let db = &database.store;
    let lines: Vec<_> = (0..20)
        .map(|second| command(second, "web-01", "192.0.2.1", "needle"))
        .collect();
    store(db, &lines).await;
    far_row(database).await;
    index_all(db).await;
    assert!(!db.search_tidy(0).await.unwrap(), "nothing is deleted");
    db.evidence_expire(at(1_000_001), 12).await.unwrap();
    // Ids count, and the far row's is far.
    assert!(!db.search_tidy(0).await.unwrap());
    db.evidence_forget().await.unwrap();
    store(db, &lines).await;
    index_all(db).await;
    assert!(!db.search_tidy(1_000_000).await.unwrap(), "that is not worth it");
    // SQLite's merges what was deleted away by itself.
    assert_eq!(db.search_tidy(0).await.unwrap(), !database.is_sqlite());
    assert!(!db.search_tidy(0).await.unwrap(), "it was made anew");
    assert_eq!(indexed(database, "nee", "3xjv").await, 20);
    assert_eq!(found(db, "needle").await.len(), 20);
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
    far_row(database).await;
    // First nothing is indexed, then half, then all.
    for steps in [0, 1, 9] {
        for _ in 0..steps {
            db.search_index(3).await.unwrap();
        }
        for (search, expected) in cases {
            let got = found(db, search).await;
            assert_eq!(got.as_slice(), *expected, "{search:?} after {steps} steps");
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

pub(crate) async fn rows_of_a_text_a_type_and_a_source_are_counted_by_time(database: &Database) {
    let db = &database.store;
    let lines = [
        command(1, "web-01", "192.0.2.1", "id"),
        command(70, "web-01", "192.0.2.2", "wget http://x/y"),
        login(130, "web-01", "192.0.2.1", "root", "wget"),
        command(140, "db-01", "192.0.2.1", "wget -q"),
    ];
    store(db, &lines).await;
    let from = at(0) - time::Duration::minutes(5);
    let query = |search: &str, event_type: &str, source: &str, decky: &str| HistogramQuery {
        search: Some(search.to_owned()).filter(|s| !s.is_empty()),
        event_type: Some(event_type.to_owned()).filter(|s| !s.is_empty()),
        attacker_ip: Some(source)
            .filter(|s| !s.is_empty())
            .map(|ip| ip.parse().unwrap()),
        decky: Some(decky.to_owned()).filter(|s| !s.is_empty()),
        start_time: Some(from),
        end_time: Some(at(600)),
        interval_minutes: Some(1),
        ..HistogramQuery::default()
    };
    for (search, event_type, source, decky, seconds) in [
        ("wget", "", "", "", &[70, 130, 140][..]),
        ("wget", "command", "", "", &[70, 140]),
        ("wget", "command", "192.0.2.1", "", &[140]),
        ("", "", "192.0.2.1", "", &[1, 130, 140]),
        ("", "", "192.0.2.1", "db-01", &[140]),
        ("", "auth_attempt", "", "", &[130]),
        ("decky:web-01 wget", "", "", "", &[70, 130]),
        ("nothing-like-it", "", "", "", &[]),
    ] {
        let asked = query(search, event_type, source, decky);
        let buckets = db.log_histogram(&asked).await.unwrap();
        assert!(buckets.first().is_some_and(|bucket| bucket.start <= from));
        let mut expected = std::collections::BTreeMap::new();
        for second in seconds {
            *expected.entry(at(*second).unix_timestamp() / 60).or_insert(0) += 1;
        }
        let counted = buckets.iter().filter(|bucket| bucket.count > 0);
        let counted: std::collections::BTreeMap<_, _> = counted
            .map(|bucket| (bucket.start.unix_timestamp() / 60, bucket.count))
            .collect();
        assert_eq!(
            counted, expected,
            "{search:?} {event_type:?} {source:?} {decky:?}"
        );
    }
    // A span that does not begin with a bucket: what is before it does not count.
    let late = HistogramQuery {
        start_time: Some(at(100)),
        interval_minutes: Some(60),
        ..query("wget", "", "", "")
    };
    let sum = |buckets: Vec<HistogramBucket>| buckets.iter().map(|bucket| bucket.count).sum::<u64>();
    assert_eq!(sum(db.log_histogram(&late).await.unwrap()), 2);
}

pub(crate) async fn a_count_by_text_reads_the_newest_rows_and_leaves_out_what_is_before(database: &Database) {
    let db = &database.store;
    store(db, &[command(0, "web-01", "192.0.2.1", "id")]).await;
    // A row each millisecond, each a copy of the first, until there are more than are read; all of them in what is noted as one minute.
    let double = "INSERT INTO logs (id, at, received_at, decky, service, event_type, attacker_id, fields, message, raw) \
                  SELECT l.id + c.n, l.at + c.n * 1000, received_at, decky, service, event_type, attacker_id, fields, message, raw \
                  FROM logs l, (SELECT COUNT(*) AS n FROM logs) c";
    let mut rows = 1_i64;
    while rows <= WINDOW {
        database.raw(&[double]).await.unwrap();
        rows *= 2;
    }
    let noted = "UPDATE log_minutes SET max_id = (SELECT MAX(id) FROM logs)";
    database.raw(&[noted]).await.unwrap();
    let all = HistogramQuery {
        search: Some("id".to_owned()),
        start_time: Some(at(0)),
        end_time: Some(at(rows / 1000 + 60)),
        interval_minutes: Some(1),
        ..HistogramQuery::default()
    };
    let buckets = db.log_histogram(&all).await.unwrap();
    let first = buckets.first().unwrap();
    let unread = at(0) + time::Duration::milliseconds(rows - WINDOW - 1);
    assert!(
        first.start > unread && first.start <= unread + time::Duration::minutes(1),
        "{first:?}"
    );
    let whole = time::Duration::milliseconds(rows) - (first.start - at(0));
    let sum: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    assert_eq!(i128::from(sum), whole.whole_milliseconds());
    // Of another source there is none, and that is known of all the time.
    let other = HistogramQuery {
        attacker_ip: Some("192.0.2.9".parse().unwrap()),
        ..all.clone()
    };
    let buckets = db.log_histogram(&other).await.unwrap();
    assert!(buckets.first().is_some_and(|bucket| bucket.start <= at(0)));
    assert!(buckets.iter().all(|bucket| bucket.count == 0));
    // What was stored first may have happened last, as where a day of evidence is brought to a host that has its own: what was read is
    // drawn all the same.
    const { assert!(WINDOW == 50_000) };
    let later = "UPDATE logs SET at = at + 3600000000 \
                 WHERE id <= (SELECT c.n FROM (SELECT COUNT(*) - 50000 AS n FROM logs) c)";
    database.raw(&[later]).await.unwrap();
    let turned = HistogramQuery {
        end_time: Some(at(2 * 3600)),
        ..all.clone()
    };
    let buckets = db.log_histogram(&turned).await.unwrap();
    let first = buckets.first().unwrap();
    assert!(
        first.start <= at(0) + time::Duration::minutes(1) + time::Duration::milliseconds(rows - WINDOW),
        "{first:?}"
    );
    let whole = time::Duration::milliseconds(rows) - (first.start - at(0));
    let sum: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    assert_eq!(i128::from(sum), whole.whole_milliseconds());
    // Where all that was read is of one bucket, that one is drawn.
    let hours = HistogramQuery {
        interval_minutes: Some(60),
        ..turned
    };
    let buckets = db.log_histogram(&hours).await.unwrap();
    let sum: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    assert_eq!(i128::from(sum), i128::from(WINDOW));
}

pub(crate) async fn rows_of_two_filters_are_read_as_far_as_a_page_may_and_none_is_lost(database: &Database) {
    let db = &database.store;
    let lines = [
        command(1, "web-01", "192.0.2.1", "id"),
        login(2, "web-01", "192.0.2.2", "root", "x"),
        command(3, "rare-01", "192.0.2.2", "id"),
        login(4, "web-01", "192.0.2.1", "root", "x"),
    ];
    store(db, &lines).await;
    // Commands at the same decky, until there are more than a page reads; they are counted as the ingester would.
    let double = "INSERT INTO logs (id, at, received_at, decky, service, event_type, attacker_id, fields, message, raw) \
                  SELECT l.id + c.n, l.at, received_at, 'web-01', service, 'command', attacker_id, fields, message, raw \
                  FROM logs l, (SELECT MAX(id) AS n FROM logs) c WHERE l.id > 0";
    let mut rows = 4_i64;
    while rows <= 2 * WINDOW {
        database.raw(&[double]).await.unwrap();
        rows *= 2;
    }
    let counted = "UPDATE tallies SET seen_count = (SELECT COUNT(*) FROM logs) - (scope = 'decky') WHERE seen_count > 1";
    let noted = "UPDATE log_minutes SET max_id = (SELECT MAX(id) FROM logs)";
    let seen = "UPDATE attackers SET event_count = (SELECT COUNT(*) FROM logs)";
    database.raw(&[counted, noted, seen]).await.unwrap();
    let pages = async |query: &LogQuery| {
        let (mut ids, mut pages) = (Vec::new(), 0);
        let mut query = query.clone();
        loop {
            let page = db.log_page(&query).await.unwrap();
            ids.extend(page.data.iter().map(|row| row.id.0));
            pages += 1;
            query.before = page.next;
            if query.before.is_none() {
                return (ids, pages);
            }
        }
    };
    let text = |text: &str| Some(text.to_owned());
    let logins = LogQuery {
        decky: text("web-01"),
        event_type: text("auth_attempt"),
        ..LogQuery::default()
    };
    for query in [
        logins.clone(),
        LogQuery {
            decky: None,
            event_type: None,
            search: text("type:auth_attempt decky:web-01"),
            ..LogQuery::default()
        },
        LogQuery {
            start_time: Some(at(0)),
            end_time: Some(at(60)),
            ..logins.clone()
        },
    ] {
        let first = db.log_page(&query).await.unwrap();
        assert!(
            first.data.is_empty() && first.next.is_some(),
            "{query:?}: {first:?}"
        );
        let (ids, pages) = pages(&query).await;
        assert_eq!(ids, [4, 2], "{query:?}");
        assert!(
            pages > 1 && pages <= rows / WINDOW + 1,
            "{pages} pages of {query:?}"
        );
    }
    // Of a decky where little was, all is found at once, whatever else is asked for.
    for query in [
        LogQuery {
            decky: text("rare-01"),
            event_type: text("command"),
            ..LogQuery::default()
        },
        LogQuery {
            decky: text("rare-01"),
            start_time: Some(at(0)),
            ..LogQuery::default()
        },
        LogQuery {
            search: text("type:command decky:rare-01 ip:192.0.2.2"),
            service: text("ssh"),
            ..LogQuery::default()
        },
    ] {
        assert_eq!(pages(&query).await, (vec![3], 1), "{query:?}");
    }
    // Of a time that one row is in, among rows that came later, all are read past.
    let then = LogQuery {
        start_time: Some(at(4)),
        end_time: Some(at(5)),
        attacker_ip: Some("192.0.2.1".parse().unwrap()),
        event_type: text("auth_attempt"),
        ..LogQuery::default()
    };
    assert_eq!(pages(&then).await.0, [4]);
    // A page that is full is full: what is read first is the newest.
    let many = LogQuery {
        limit: Some(3),
        decky: text("web-01"),
        event_type: text("command"),
        ..LogQuery::default()
    };
    let page = db.log_page(&many).await.unwrap();
    let ids: Vec<_> = page.data.iter().map(|row| row.id.0).collect();
    assert_eq!(ids, [rows, rows - 1, rows - 2]);
}

pub(crate) async fn attackers_are_found_and_ordered_as_a_page_says_by_itself(database: &Database) {
    let db = &database.store;
    let mut lines = Vec::new();
    for (n, decky) in (1..).zip(["web-01", "Web-02", "db-01", "we%b", "web-01", "mail_01"]) {
        for second in 0..n {
            lines.push(command(second, decky, &format!("192.0.2.{n}"), "id"));
        }
    }
    lines.push(command(9, "db-01", "2001:db8::1f", "id"));
    store(db, &lines).await;
    let page = async |query: AttackerQuery| db.attacker_page(&query).await.unwrap();
    let all = page(AttackerQuery::default()).await.data;
    assert_eq!(all.len(), 7);
    for search in [
        "WEB",
        "web-01",
        "e%",
        "_01",
        "SSH",
        "sh",
        "192.0.2.",
        "192.0.2.1",
        "2.1",
        "2001:DB8",
        "nobody",
        "web\0",
    ] {
        let found = page(AttackerQuery {
            search: Some(search.into()),
            ..AttackerQuery::default()
        });
        let by_page = all.iter().filter(|a| finds_attacker(search, a)).cloned();
        assert_eq!(found.await.data, by_page.collect::<Vec<_>>(), "{search:?}");
    }
    for sort_by in AttackerSort::ALL {
        for sort_order in SortOrder::ALL {
            let query = |limit| AttackerQuery {
                limit: Some(limit),
                sort_by: Some(*sort_by),
                sort_order: Some(*sort_order),
                ..AttackerQuery::default()
            };
            let rows = page(query(500)).await.data;
            for limit in 1..7 {
                let next = page(query(limit)).await.next.unwrap();
                let within = rows.iter().take_while(|a| query(1).has_come_to(&next, a)).count();
                let ever = rows.iter().filter(|a| query(1).has_come_to(&next, a)).count();
                let limit = usize::try_from(limit).unwrap();
                assert_eq!((within, ever), (limit, limit), "{sort_by} {sort_order}");
            }
        }
    }
}
