use decnet_db::{Store, search::WINDOW};
use decnet_model::{
    query::{HistogramQuery, LogQuery},
    view::HistogramBucket,
};

use crate::{
    Database,
    lines::{at, command, line, login, store},
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
        ..all
    };
    let buckets = db.log_histogram(&other).await.unwrap();
    assert!(buckets.first().is_some_and(|bucket| bucket.start <= at(0)));
    assert!(buckets.iter().all(|bucket| bucket.count == 0));
}
