use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use decnet_db::{
    DbError, Options, Store, TopColumn, ingest::Unreadable, meaning::attacker_id, search::WINDOW,
};
use decnet_model::{
    clock::micros,
    id::LogId,
    printable::{bytes_of, printable},
    query::{
        AttackerQuery, AttackerSort, BountyQuery, BountySort, HistogramQuery, LogQuery, QuarantineQuery,
        SortOrder,
    },
    state::BountyKind,
    view::{AttackerView, LogView},
};
use futures::future::{Either, select};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use crate::{
    Database,
    lines::{READER, at, batch, command, line, login, store},
};

/// Every row, newest first, read in pages of `limit`.
async fn all_logs(db: &Store, query: &LogQuery, limit: u32) -> Vec<LogView> {
    let mut query = LogQuery {
        limit: Some(limit),
        ..query.clone()
    };
    let mut rows = Vec::new();
    loop {
        let page = db.log_page(&query).await.unwrap();
        rows.extend(page.data);
        query.before = page.next;
        if query.before.is_none() {
            return rows;
        }
    }
}

async fn all_attackers(db: &Store, query: &AttackerQuery) -> Vec<AttackerView> {
    let mut query = AttackerQuery {
        limit: Some(2),
        ..query.clone()
    };
    let mut rows = Vec::new();
    loop {
        let page = db.attacker_page(&query).await.unwrap();
        rows.extend(page.data);
        query.before = page.next;
        if query.before.is_none() {
            return rows;
        }
    }
}

pub(crate) async fn what_an_attacker_sends_comes_back_byte_by_byte(database: &Database) {
    let db = &database.store;
    let hostile = [
        "\u{1F480}\u{10FFFF} four bytes",
        "'; DROP TABLE logs; --",
        "quo\"te \\ back] slash",
        "trailing space ",
        "<script>alert(1)</script>",
        "%_!%",
        "\u{202E}rtl\u{200B}",
        "NUL:\\x00",
        "",
    ];
    let lines: Vec<_> = (0..)
        .zip(hostile)
        .map(|(n, text)| login(n, "web-01", "192.0.2.1", text, text))
        .collect();
    store(db, &lines).await;
    // Lines that no tap of ours writes: raw NUL and bytes that are not UTF-8.
    let foreign: [&[u8]; 3] = [
        b"<13>1 - h app - - - a\0b",
        b"<13>1 - h app - - - caf\xe9",
        b"\xff\x00 not syslog '\"",
    ];
    store(db, &foreign.map(<[u8]>::to_vec)).await;

    let rows = all_logs(db, &LogQuery::default(), 3).await;
    assert_eq!(rows.len(), hostile.len() + 2);
    for (row, (text, line)) in rows.iter().rev().zip(hostile.iter().zip(&lines)) {
        assert_eq!(row.raw.as_bytes(), line);
        assert_eq!(
            (
                row.fields["principal"].as_str(),
                row.fields["secret_printable"].as_str()
            ),
            (*text, *text)
        );
        assert_eq!(db.log_get(row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(rows[1].raw, "<13>1 - h app - - - a\0b");
    assert_eq!(rows[0].raw, r"<13>1 - h app - - - caf\xe9");
    let bounties = db.bounty_page(&BountyQuery::default()).await.unwrap();
    let values: BTreeSet<_> = bounties.data.iter().map(|b| b.value.as_str()).collect();
    assert_eq!(
        values,
        BTreeSet::from(hostile),
        "two secrets that differ in a trailing space or case are two"
    );
    assert_eq!(db.stats(at(0)).await.unwrap().quarantined, 1);
    let quarantined = "SELECT COUNT(*) FROM quarantine WHERE HEX(raw) = 'FF00206E6F74207379736C6F67202722'";
    assert_eq!(database.number(quarantined).await, 1);
}

fn some_line() -> impl Strategy<Value = Vec<u8>> {
    let decky = prop::sample::select(vec!["web-01", "db-01", "mail-01"]);
    let ip = prop::sample::select(vec![
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
        "198.51.100.9",
        "::ffff:192.0.2.1",
    ]);
    let word = prop::sample::select(vec!["root", "admin", "ROOT", "root ", "\u{1F980}", "p'w"]);
    (0..400_i64, decky, ip, word.clone(), word, 0..9_u8).prop_map(
        |(second, decky, ip, a, b, kind)| match kind {
            0 | 1 => login(second * 20, decky, ip, a, b),
            2 => command(second * 20, decky, ip, a),
            3 => line(
                second,
                decky,
                "sftp",
                "file_captured",
                &[("src_ip", ip), ("stored_as", a)],
                "",
            ),
            4 => {
                let fields = [("src_ip", ip), ("fingerprint_kind", "ja4"), ("fingerprint", b)];
                line(second, decky, "http", "client_fingerprint", &fields, "")
            }
            5 => line(
                second,
                decky,
                "redis",
                "exploit_attempt",
                &[("src_ip", ip), ("exploit", a), ("bytes", b)],
                "",
            ),
            6 => line(
                second,
                decky,
                "sshd",
                "-",
                &[],
                &format!("Failed password for x src={ip}"),
            ),
            7 => line(second, decky, "http", "service_started", &[("listen", "x")], ""),
            _ => b"garbage".to_vec(),
        },
    )
}

/// Batches of random lines, stored.
async fn random_batches(db: &Store) -> usize {
    let mut runner = TestRunner::deterministic();
    let batches = prop::collection::vec(prop::collection::vec(some_line(), 0..150), 8);
    let batches = batches.new_tree(&mut runner).unwrap().current();
    for lines in &batches {
        store(db, lines).await;
    }
    batches.iter().map(Vec::len).sum()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    events: u64,
    auths: u64,
    commands: u64,
    credentials: u64,
    bounties: u64,
    first: i64,
    last: i64,
    deckies: BTreeSet<String>,
    services: BTreeSet<String>,
}

pub(crate) async fn counters_equal_a_recount_of_the_stored_rows(database: &Database) {
    let db = &database.store;
    let lines = u64::try_from(random_batches(db).await).unwrap();
    let rows = all_logs(db, &LogQuery::default(), 500).await;

    // The recount: the definition of each figure, over the rows as a reader gets them.
    let mut people: BTreeMap<String, Sum> = BTreeMap::new();
    let mut loot: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let mut by_name: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut auths = 0;
    for row in &rows {
        *by_name.entry(("decky", row.decky.clone())).or_default() += 1;
        *by_name.entry(("service", row.service.clone())).or_default() += 1;
        let Some(ip) = row.attacker_ip else {
            continue;
        };
        assert_eq!(row.attacker_id, Some(attacker_id(ip)));
        let kind = row.event_type.as_str();
        let micros = decnet_model::clock::micros(row.at);
        let sum = people.entry(ip.to_string()).or_insert(Sum {
            first: micros,
            last: micros,
            ..Sum::default()
        });
        sum.events += 1;
        sum.auths += u64::from(kind == "auth_attempt");
        sum.commands += u64::from(kind == "command");
        if kind == "command" {
            *by_name
                .entry(("command", row.fields["command"].clone()))
                .or_default() += 1;
        }
        auths += u64::from(kind == "auth_attempt");
        sum.first = sum.first.min(micros);
        sum.last = sum.last.max(micros);
        sum.deckies.insert(row.decky.clone());
        sum.services.insert(row.service.clone());
        let field = |name: &str| row.fields[name].clone();
        let found = match kind {
            "auth_attempt" => vec!["credential".into(), field("principal"), field("secret_printable")],
            "file_captured" => vec!["artifact".into(), field("stored_as")],
            "client_fingerprint" => vec!["fingerprint".into(), field("fingerprint")],
            "exploit_attempt" => vec!["payload".into(), field("exploit"), field("bytes")],
            _ => continue,
        };
        let mut key = vec![ip.to_string(), row.decky.clone()];
        key.extend(found);
        let count = loot.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            sum.bounties += 1;
            sum.credentials += u64::from(kind == "auth_attempt");
        }
        if kind == "auth_attempt" {
            *by_name
                .entry(("credential", format!("{}:{}", key[3], key[4])))
                .or_default() += 1;
        }
    }

    let stats = db.stats(at(8000)).await.unwrap();
    let count = |kind: &str| u64::try_from(loot.keys().filter(|k| k[2] == kind).count()).unwrap();
    assert_eq!(stats.total_logs, u64::try_from(rows.len()).unwrap());
    assert_eq!(stats.total_logs + stats.quarantined, lines);
    assert_eq!(stats.unique_attackers, u64::try_from(people.len()).unwrap());
    assert_eq!(
        (stats.auth_attempts, stats.credentials),
        (auths, count("credential"))
    );
    assert_eq!(stats.bounties, u64::try_from(loot.len()).unwrap());
    let minute = |t: time::OffsetDateTime| decnet_model::clock::micros(t).div_euclid(60_000_000);
    let now = minute(at(8000));
    let hour = rows
        .iter()
        .filter(|r| (now - 59..=now).contains(&minute(r.at)))
        .count();
    assert_eq!(stats.last_hour, u64::try_from(hour).unwrap());

    let stored: BTreeMap<_, _> = all_attackers(db, &AttackerQuery::default())
        .await
        .into_iter()
        .map(|a| {
            let sum = Sum {
                events: a.event_count,
                auths: a.auth_count,
                commands: a.command_count,
                credentials: a.credential_count,
                bounties: a.bounty_count,
                first: decnet_model::clock::micros(a.first_seen),
                last: decnet_model::clock::micros(a.last_seen),
                deckies: a.deckies.into_iter().collect(),
                services: a.services.into_iter().collect(),
            };
            (a.ip.to_string(), sum)
        })
        .collect();
    assert_eq!(stored, people);

    let mut seen = 0;
    for kind in BountyKind::ALL {
        let query = BountyQuery {
            limit: Some(500),
            bounty_type: Some(*kind),
            ..BountyQuery::default()
        };
        let page = db.bounty_page(&query).await.unwrap();
        assert_eq!(page.total, Some(count(kind.as_str())));
        seen += page.data.iter().map(|b| b.count).sum::<u64>();
    }
    assert_eq!(seen, loot.values().sum::<u64>());

    let tops = db.tops(500).await.unwrap();
    for (scope, list) in [
        ("decky", tops.deckies),
        ("service", tops.services),
        ("credential", tops.credentials),
        ("command", tops.commands),
    ] {
        let stored: BTreeMap<_, _> = list.into_iter().map(|c| ((scope, c.name), c.count)).collect();
        let counted: BTreeMap<_, _> = by_name
            .iter()
            .filter(|((s, _), _)| *s == scope)
            .map(|(k, v)| (k.clone(), *v))
            .collect();
        assert_eq!(stored, counted);
    }

    let mut touched = BTreeMap::<i64, u64>::new();
    for row in rows.iter().filter(|row| row.attacker_ip.is_some()) {
        *touched.entry(minute(row.at)).or_default() += 1;
    }
    let told = db
        .touches_by_minute(minute(at(0)), minute(at(9000)))
        .await
        .unwrap();
    assert_eq!(told, touched.into_iter().collect::<Vec<_>>());
    assert!(!told.is_empty());

    // Also of a span that begins and ends within buckets, and within one hour.
    for (decky, service, minutes, from, until) in [
        (None, None, 7, 0, 9000),
        (Some("web-01"), None, 7, 0, 9000),
        (Some("db-01"), Some("ssh"), 60, 0, 9000),
        (None, None, 7, 120, 1500),
        (None, Some("ssh"), 60, 120, 8940),
        (None, Some("ssh"), 60, 120, 1500),
    ] {
        let query = HistogramQuery {
            decky: decky.map(Into::into),
            service: service.map(Into::into),
            start_time: Some(at(from)),
            end_time: Some(at(until)),
            interval_minutes: Some(minutes),
            ..HistogramQuery::default()
        };
        let buckets = db.log_histogram(&query).await.unwrap();
        for bucket in &buckets {
            let end = bucket.start + time::Duration::minutes(minutes.into());
            // Every minute that the span touches is counted whole.
            let is_in = |row: &&LogView| {
                (minute(at(from))..=minute(at(until) - time::Duration::MICROSECOND)).contains(&minute(row.at))
            };
            let inside = rows.iter().filter(is_in).filter(|r| {
                decky.is_none_or(|d| d == r.decky)
                    && service.is_none_or(|s| s == r.service)
                    && r.at >= bucket.start
                    && r.at < end
            });
            assert_eq!(
                bucket.count,
                u64::try_from(inside.count()).unwrap(),
                "{decky:?} {service:?} {from} {until} {bucket:?}"
            );
        }
        assert!(
            buckets
                .windows(2)
                .all(|w| w[1].start - w[0].start == time::Duration::minutes(minutes.into()))
        );
        assert!(buckets.iter().any(|b| b.count > 0));
    }
}

pub(crate) async fn a_batch_from_elsewhere_changes_nothing(database: &Database) {
    let db = &database.store;
    let lines: Vec<_> = (0..5).map(|n| command(n, "web-01", "192.0.2.1", "id")).collect();
    let first = db.ingest_batch(&batch(0, &lines)).await.unwrap();
    assert_eq!(
        (first.rows, first.last_id, first.new_attackers.len()),
        (5, Some(LogId(5)), 1)
    );
    for stale in [0, 3, 6] {
        let refused = db.ingest_batch(&batch(stale, &lines)).await;
        assert!(
            matches!(refused, Err(DbError::PositionMoved { .. })),
            "{refused:?}"
        );
    }
    let next = db.ingest_batch(&batch(5, &lines[..1])).await.unwrap();
    assert_eq!((next.last_id, next.new_attackers.len()), (Some(LogId(6)), 0));
    assert_eq!(db.stats(at(0)).await.unwrap().total_logs, 6);
    assert_eq!(db.spool_position(READER).await.unwrap().offset, 6);
    assert_eq!(
        db.log_after(LogId(4), 10)
            .await
            .unwrap()
            .iter()
            .map(|l| l.id.0)
            .collect::<Vec<_>>(),
        [5, 6]
    );
}

/// A trigger that refuses the log rows with this word in them.
async fn refuse_poison(database: &Database) {
    let trigger = if database.is_sqlite() {
        "CREATE TRIGGER poison BEFORE INSERT ON logs WHEN NEW.raw LIKE '%poison%' \
         BEGIN SELECT RAISE(ABORT, 'too bitter'); END"
    } else {
        "CREATE TRIGGER poison BEFORE INSERT ON logs FOR EACH ROW BEGIN IF NEW.raw LIKE '%poison%' THEN \
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'too bitter'; END IF; END"
    };
    database.raw(&[trigger]).await.unwrap();
}

pub(crate) async fn a_refused_line_is_told_from_a_database_that_is_gone(database: &Database) {
    let db = &database.store;
    refuse_poison(database).await;
    let good = |n| command(n, "web-01", "192.0.2.1", "id");
    let poison = command(1, "web-01", "192.0.2.1", "poison");
    let mixed = batch(0, &[good(0), poison.clone(), good(2)]);
    let refused = db.ingest_batch(&mixed).await.unwrap_err();
    assert!(refused.is_refusal(), "{refused:?}");
    assert_eq!(db.spool_position(READER).await.unwrap().offset, 0);
    assert_eq!(db.stats(at(0)).await.unwrap().total_logs, 0);
    if !database.is_sqlite() {
        // SQLite's texts have no length.
        let mut long = batch(0, &[good(0)]);
        long.lines[0].decky = "x".repeat(1_000);
        let refused = db.ingest_batch(&long).await.unwrap_err();
        assert!(refused.is_refusal(), "{refused:?}");
    }

    let mut alone = batch(0, std::slice::from_ref(&poison));
    alone.lines.clear();
    alone.quarantine.push(Unreadable {
        raw: poison,
        why: "the database refuses it: too bitter".into(),
        end: alone.to,
        received_at: at(9),
    });
    db.ingest_batch(&alone).await.unwrap();
    let kept = db.quarantine_page(&QuarantineQuery::default()).await.unwrap();
    assert_eq!((kept.data.len(), kept.total), (1, Some(1)));
    assert!(kept.data[0].line.contains("poison") && kept.data[0].why.ends_with("too bitter"));
    store(db, &[good(3)]).await;

    db.close().await;
    let gone = db.ingest_batch(&batch(2, &[good(4)])).await.unwrap_err();
    assert!(!gone.is_refusal(), "{gone:?}");
}

pub(crate) async fn the_quarantine_keeps_every_byte_and_pages_newest_first(database: &Database) {
    let db = &database.store;
    let lines: Vec<Vec<u8>> = (0..5_u8)
        .map(|n| vec![b'n', b'o', n, 0xff, b'\\', b'x'])
        .collect();
    store(db, &lines).await;
    let mut found = Vec::new();
    let mut query = QuarantineQuery {
        limit: Some(2),
        ..QuarantineQuery::default()
    };
    loop {
        let page = db.quarantine_page(&query).await.unwrap();
        assert_eq!(page.total, Some(5));
        found.extend(page.data);
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    let bytes: Vec<_> = found.iter().rev().map(|l| bytes_of(&l.line)).collect();
    assert_eq!(bytes, lines);
    assert_eq!((found[0].segment, found[0].offset), (0, 5));
    assert!(
        found
            .iter()
            .all(|l| !l.why.is_empty() && l.received_at == at(1_000_000))
    );
    query.limit = Some(501);
    let bad = db.quarantine_page(&query).await.unwrap_err();
    assert!(bad.is_bad_query());
}

pub(crate) async fn the_quarantine_is_filtered_by_what_is_told_of_a_line_by_its_segment_and_by_time(
    database: &Database,
) {
    let db = &database.store;
    let kept: [(&[u8], &str); 6] = [
        (b"plain old text", "no priority"),
        (b"\xffPL\0AIN\xfe", "no priority"),
        ("\u{d6}l und %_!".as_bytes(), "no version"),
        (b"nothing of it", "a PLAIN reason"),
        (b"'; DROP TABLE quarantine --", "no version"),
        (b"plain", "no version"),
    ];
    let mut batch = batch(0, &[]);
    for (n, (raw, why)) in (0_i64..).zip(kept) {
        // The last one is in the next segment.
        batch.to.segment = u64::from(n == 5);
        batch.to.offset += 1;
        batch.quarantine.push(Unreadable {
            raw: raw.to_vec(),
            why: why.into(),
            end: batch.to,
            received_at: at(n * 10),
        });
    }
    db.ingest_batch(&batch).await.unwrap();
    let all = QuarantineQuery::default;
    let of = async |query: QuarantineQuery| {
        let page = db.quarantine_page(&query).await.unwrap();
        assert_eq!(page.total.is_none(), query.is_filtered());
        let met = page
            .data
            .iter()
            .map(|line| (line.received_at - at(0)).whole_seconds() / 10);
        met.collect::<Vec<_>>()
    };
    let with = async |search: &str| {
        let search = Some(search.into());
        of(QuarantineQuery { search, ..all() }).await
    };
    assert_eq!(of(all()).await, [5, 4, 3, 2, 1, 0]);
    // In the line or in the reason, whatever its case; and as the line is told, where its bytes are no text.
    assert_eq!(with("plain").await, [5, 3, 0]);
    assert_eq!(with(r"pl\x00ain\xFE").await, [1]);
    assert_eq!(with("\u{f6}L").await, [2]);
    assert_eq!(with("no ver").await, [5, 4, 2]);
    // Nothing in it means anything to a database.
    assert_eq!(with("%").await, [2]);
    assert_eq!(with("_!").await, [2]);
    assert_eq!(with("'; drop").await, [4]);
    assert_eq!(with("nowhere\0").await, [0_i64; 0]);
    let segment = async |segment| {
        let segment = Some(segment);
        of(QuarantineQuery { segment, ..all() }).await
    };
    assert_eq!(
        (segment(1).await, segment(u64::MAX).await),
        (vec![5_i64], Vec::<i64>::new())
    );
    let time = QuarantineQuery {
        start_time: Some(at(10)),
        end_time: Some(at(40)),
        ..all()
    };
    assert_eq!(of(time.clone()).await, [3, 2, 1]);
    let both = QuarantineQuery {
        search: Some("no ".into()),
        ..time
    };
    assert_eq!(of(both.clone()).await, [2, 1]);
    // Page by page each is there once.
    let mut query = QuarantineQuery {
        limit: Some(1),
        ..both
    };
    let mut met = Vec::new();
    loop {
        let page = db.quarantine_page(&query).await.unwrap();
        assert!(page.data.len() <= 1);
        met.extend(page.data.iter().map(|line| line.line.clone()));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert_eq!(met, ["\u{d6}l und %_!".to_owned(), printable(b"\xffPL\0AIN\xfe")]);
    let search = Some("x".repeat(513));
    let bad = db
        .quarantine_page(&QuarantineQuery { search, ..all() })
        .await
        .unwrap_err();
    assert!(bad.is_bad_query());
}

pub(crate) async fn two_ingesters_at_once_double_nothing(database: &Database) {
    let lines: Vec<_> = (0..60)
        .map(|n| login(n, "web-01", "192.0.2.1", "root", &format!("p{n}")))
        .collect();
    let ingest = |db: Store, lines: Vec<Vec<u8>>| async move {
        loop {
            let from = db.spool_position(READER).await.unwrap().offset;
            let Some(rest) = lines
                .get(usize::try_from(from).unwrap()..)
                .filter(|r| !r.is_empty())
            else {
                return;
            };
            match db.ingest_batch(&batch(from, &rest[..rest.len().min(7)])).await {
                // On MySQL the loser of a race may also be told of a deadlock.
                Ok(_) | Err(DbError::PositionMoved { .. } | DbError::Query { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let other = Store::connect(&database.options).await.unwrap();
    tokio::join!(
        ingest(database.store.clone(), lines.clone()),
        ingest(other, lines.clone())
    );
    let mut raws: Vec<_> = all_logs(&database.store, &LogQuery::default(), 500)
        .await
        .into_iter()
        .map(|l| l.raw.into_bytes())
        .collect();
    raws.reverse();
    assert_eq!(raws, lines);
    let stats = database.store.stats(at(0)).await.unwrap();
    assert_eq!((stats.total_logs, stats.credentials), (60, 60));
}

pub(crate) async fn pages_are_stable_while_rows_are_added(database: &Database) {
    let db = &database.store;
    let lines: Vec<_> = (0..100)
        .map(|n| command(n, "web-01", "192.0.2.1", &format!("c{n}")))
        .collect();
    store(db, &lines).await;
    let writer = async {
        for n in 100..130 {
            store(db, &[command(n, "web-01", "192.0.2.1", &format!("c{n}"))]).await;
        }
    };
    let reader = async {
        let mut rows = Vec::new();
        let mut query = LogQuery {
            limit: Some(7),
            decky: Some("web-01".into()),
            ..LogQuery::default()
        };
        loop {
            let page = db.log_page(&query).await.unwrap();
            rows.extend(page.data.into_iter().map(|l| l.id.0));
            query.before = page.next;
            if query.before.is_none() {
                return rows;
            }
        }
    };
    let ((), rows) = tokio::join!(writer, reader);
    let first = rows[0];
    assert_eq!(
        rows,
        (1..=first).rev().collect::<Vec<_>>(),
        "each row once, none left out"
    );

    let mut commands = Vec::new();
    let mut before = None;
    loop {
        let page = db
            .attacker_command_page(
                attacker_id("192.0.2.1".parse().unwrap()),
                (None, None),
                Some(9),
                before.as_deref(),
            )
            .await
            .unwrap();
        commands.extend(page.data.into_iter().map(|c| c.command));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(
        commands,
        (0..130).rev().map(|n| format!("c{n}")).collect::<Vec<_>>()
    );
}

pub(crate) async fn filters_agree_with_a_scan(database: &Database) {
    let db = &database.store;
    random_batches(db).await;
    let everything = all_logs(db, &LogQuery::default(), 500).await;
    let who = attacker_id("192.0.2.1".parse().unwrap());
    for (start, end) in [
        (None, None),
        (Some(at(1_000)), None),
        (Some(at(1_000)), Some(at(4_000))),
    ] {
        let width = 600_000_000;
        let mut scanned = BTreeMap::new();
        let theirs = everything
            .iter()
            .filter(|row| row.attacker_id == Some(who))
            .filter(|row| start.is_none_or(|at| row.at >= at) && end.is_none_or(|at| row.at < at));
        for row in theirs {
            let key = (
                row.decky.clone(),
                row.service.clone(),
                row.event_type.clone(),
                micros(row.at) / width,
            );
            let (first, last, id, count) = scanned.entry(key).or_insert((row.at, row.at, row.id, 0));
            (*first, *last) = (row.at.min(*first), row.at.max(*last));
            (*id, *count) = (row.id.min(*id), *count + 1);
        }
        let told = db
            .attacker_activity(who, (start, end), width, 10_000)
            .await
            .unwrap();
        let told: BTreeMap<_, _> = told
            .into_iter()
            .map(|one| {
                let key = (
                    one.decky,
                    one.service,
                    one.event_type,
                    micros(one.first_at) / width,
                );
                (key, (one.first_at, one.last_at, one.log_id, one.count))
            })
            .collect();
        assert!(told.len() > 3, "{told:?}");
        assert_eq!(told, scanned);
    }
    let newest = db.attacker_activity(who, (None, None), 1, 5).await.unwrap();
    assert_eq!(newest.iter().map(|one| one.count).sum::<u64>(), 5);
    let none = LogQuery::default;
    let ip: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    type Agrees = Box<dyn Fn(&LogView) -> bool>;
    let cases: Vec<(LogQuery, Agrees)> = vec![
        (
            LogQuery {
                decky: Some("db-01".into()),
                ..none()
            },
            Box::new(|l| l.decky == "db-01"),
        ),
        (
            LogQuery {
                service: Some("redis".into()),
                ..none()
            },
            Box::new(|l| l.service == "redis"),
        ),
        (
            LogQuery {
                event_type: Some("command".into()),
                ..none()
            },
            Box::new(|l| l.event_type == "command"),
        ),
        (
            LogQuery {
                attacker_ip: Some(ip),
                ..none()
            },
            Box::new(move |l| l.attacker_ip == Some(ip)),
        ),
        (
            LogQuery {
                start_time: Some(at(100)),
                end_time: Some(at(4000)),
                ..none()
            },
            Box::new(|l| l.at >= at(100) && l.at < at(4000)),
        ),
        (
            LogQuery {
                start_time: Some(at(300)),
                decky: Some("web-01".into()),
                service: Some("ssh".into()),
                ..none()
            },
            Box::new(|l| l.at >= at(300) && l.decky == "web-01" && l.service == "ssh"),
        ),
        (
            LogQuery {
                search: Some("decky:db-01 type:command".into()),
                ..none()
            },
            Box::new(|l| l.decky == "db-01" && l.event_type == "command"),
        ),
        (
            LogQuery {
                end_time: Some(at(-10_000)),
                ..none()
            },
            Box::new(|_| false),
        ),
    ];
    for (query, agrees) in cases {
        let expected: Vec<_> = everything.iter().filter(|l| agrees(l)).cloned().collect();
        assert_eq!(all_logs(db, &query, 37).await, expected, "{query:?}");
    }
    for bad in [
        LogQuery {
            limit: Some(0),
            ..none()
        },
        LogQuery {
            limit: Some(501),
            ..none()
        },
        LogQuery {
            before: Some("x".into()),
            ..none()
        },
    ] {
        assert!(db.log_page(&bad).await.unwrap_err().is_bad_query());
    }
}

pub(crate) async fn a_time_in_the_future_stays_in_its_row_and_puts_nobody_first(database: &Database) {
    let db = &database.store;
    // The lines are read at second 1,000,000.
    let future = login(2_000_000_000, "web-01", "192.0.2.99", "root", "toor");
    let now = login(999_999, "web-01", "192.0.2.1", "root", "toor");
    store(db, &[future, now]).await;
    store(db, &[login(1_000_000, "web-01", "192.0.2.2", "root", "toor")]).await;
    let attackers = all_attackers(db, &AttackerQuery::default()).await;
    for attacker in &attackers {
        assert!(attacker.last_seen <= at(1_000_000), "{attacker:?}");
        assert!(attacker.first_seen <= attacker.last_seen, "{attacker:?}");
    }
    let logs = all_logs(db, &LogQuery::default(), 500).await;
    assert!(logs.iter().any(|row| row.at == at(2_000_000_000)));
    let bounties = db.bounty_page(&BountyQuery::default()).await.unwrap().data;
    assert_eq!(bounties.len(), 3);
    assert!(bounties.iter().all(|b| b.last_seen <= at(1_000_000)));
    // Who comes back later is first, whatever the other said.
    let mut later = batch(3, &[login(1_000_001, "web-01", "192.0.2.1", "root", "toor")]);
    for line in &mut later.lines {
        line.received_at = at(1_000_002);
    }
    db.ingest_batch(&later).await.unwrap();
    let attackers = all_attackers(db, &AttackerQuery::default()).await;
    assert_eq!(attackers[0].ip.to_string(), "192.0.2.1");
}

pub(crate) async fn visits_go_from_their_first_row_to_their_last(database: &Database) {
    let db = &database.store;
    let row = |second, decky, kind, session| {
        let fields = [("src_ip", "192.0.2.1"), ("session", session)];
        line(second, decky, "ssh", kind, &fields, "")
    };
    let whole = [
        row(0, "web-01", "connect", "a"),
        // Another in between, at another decky, and without an end.
        row(5, "db-01", "connect", "b"),
        row(10, "web-01", "command", "a"),
        row(20, "web-01", "query", "a"),
        row(30, "web-01", "disconnect", "a"),
        row(40, "db-01", "auth_attempt", "b"),
        // Two that begin and end together.
        row(7_200, "web-01", "connect", "c"),
        row(7_201, "web-01", "connect", "d"),
        row(7_202, "web-01", "command", "d"),
        row(7_203, "web-01", "disconnect", "c"),
        row(7_204, "web-01", "disconnect", "d"),
        // What no tap of ours wrote belongs to no connection; others' rows are others'.
        line(7_205, "web-01", "ssh", "command", &[("src_ip", "192.0.2.1")], ""),
        line(
            9,
            "web-01",
            "ssh",
            "command",
            &[("src_ip", "192.0.2.2"), ("session", "a")],
            "",
        ),
    ];
    store(db, &whole).await;
    let who = attacker_id("192.0.2.1".parse().unwrap());
    let (hour, minute) = (time::Duration::hours(1), 60_000_000);
    let visits = async |between, reach, width, limit| {
        let mut told: Vec<_> = db
            .attacker_visits(who, between, reach, width, limit)
            .await
            .unwrap()
            .into_iter()
            .map(|v| {
                assert_eq!(v.service, "ssh");
                (
                    v.first_at, v.last_at, v.decky, v.session, v.sessions, v.commands, v.ended,
                )
            })
            .collect();
        told.sort();
        told
    };
    let a = (at(0), at(30), "web-01".to_owned(), "a".to_owned(), 1, 2, true);
    let b = (at(5), at(40), "db-01".to_owned(), "b".to_owned(), 1, 0, false);
    let cd = (
        at(7_200),
        at(7_204),
        "web-01".to_owned(),
        "c".to_owned(),
        2,
        1,
        true,
    );
    let all = visits((None, None), hour, minute, 100).await;
    assert_eq!(all, [a.clone(), b.clone(), cd]);
    assert_eq!(visits((None, None), hour, 1, 100).await.len(), 4);
    // It began before the time, and is still told from its start, but not one that ended before it.
    let later = visits((Some(at(35)), Some(at(60))), hour, minute, 100).await;
    assert_eq!(later, [b]);
    // What is after the time is not read.
    let early = visits((None, Some(at(30))), hour, minute, 100).await;
    assert_eq!(early.len(), 2);
    assert!(
        early.iter().all(|(_, last, .., ended)| *last < at(30) && !ended),
        "{early:?}"
    );
    let newest = visits((None, None), hour, 1, 3).await;
    assert_eq!(newest.len(), 2, "{newest:?}");
    let nobody = attacker_id("192.0.2.9".parse().unwrap());
    let none = db
        .attacker_visits(nobody, (None, None), hour, minute, 100)
        .await
        .unwrap();
    assert_eq!(none, []);
}

pub(crate) async fn what_the_fleet_changed_is_told_of_the_deckies_asked_for(database: &Database) {
    let db = &database.store;
    let change = [
        ("services_before", "ssh"),
        ("services_after", "ftp"),
        ("trigger", "schedule"),
    ];
    store(
        db,
        &[
            line(
                0,
                "web-01",
                "ssh",
                "service_started",
                &[("listen", "192.0.2.9:22")],
                "",
            ),
            line(10, "web-01", "mutator", "mutation", &change, ""),
            line(11, "db-01", "mutator", "mutation", &change, ""),
            line(12, "mail-01", "mutator", "mutation", &change, ""),
            // An attacker's word is no change of the fleet.
            line(
                13,
                "web-01",
                "mutator",
                "mutation",
                &[("src_ip", "192.0.2.1")],
                "",
            ),
            command(14, "web-01", "192.0.2.1", "id"),
            line(20, "web-01", "ssh", "service_stopped", &[], ""),
        ],
    )
    .await;
    let changes = async |deckies: &[&str], between, limit| {
        let deckies: Vec<_> = deckies.iter().map(ToString::to_string).collect();
        let rows = db.fleet_changes(&deckies, between, limit).await.unwrap();
        rows.into_iter()
            .map(|row| (row.at, row.decky, row.event_type))
            .collect::<Vec<_>>()
    };
    let one = |second, decky: &str, kind: &str| (at(second), decky.to_owned(), kind.to_owned());
    let (none, both) = ((None, None), ["web-01", "db-01"]);
    let all = [
        one(20, "web-01", "service_stopped"),
        one(11, "db-01", "mutation"),
        one(10, "web-01", "mutation"),
        one(0, "web-01", "service_started"),
    ];
    assert_eq!(changes(&both, none, 10).await, all);
    assert_eq!(changes(&both, none, 2).await, all[..2]);
    assert_eq!(changes(&both, (Some(at(5)), Some(at(20))), 10).await, all[1..3]);
    assert_eq!(changes(&["db-01"], none, 10).await, all[1..2]);
    assert_eq!(changes(&[], none, 10).await, []);
    let rows = db.fleet_changes(&["db-01".to_owned()], none, 1).await.unwrap();
    assert_eq!(rows[0].fields["services_after"], "ftp");
}

pub(crate) async fn attackers_are_listed_by_recency_and_found_by_what_they_touched(database: &Database) {
    let db = &database.store;
    random_batches(db).await;
    let recent = all_attackers(db, &AttackerQuery::default()).await;
    assert_eq!(recent.len(), 4);
    assert!(recent.windows(2).all(|w| w[0].last_seen >= w[1].last_seen));
    for (search, expected) in [("192.0.", 2), ("2001:DB8", 1), ("b-0", 4), ("100.9", 0), ("%", 0)] {
        let query = AttackerQuery {
            search: Some(search.into()),
            ..AttackerQuery::default()
        };
        assert_eq!(all_attackers(db, &query).await.len(), expected, "{search}");
    }
    store(db, &[command(0, "only-here", "203.0.113.5", "id")]).await;
    let query = AttackerQuery {
        decky: Some("only-here".into()),
        service: Some("ssh".into()),
        ..AttackerQuery::default()
    };
    let found = all_attackers(db, &query).await;
    assert_eq!(
        found.iter().map(|a| a.ip.to_string()).collect::<Vec<_>>(),
        ["203.0.113.5"]
    );
    assert_eq!(
        (found[0].glyph.as_str(), found[0].deckies.as_slice()),
        ("203.0.113.5", ["only-here".to_owned()].as_slice())
    );
}

pub(crate) async fn attackers_are_listed_in_every_order_and_its_reverse(database: &Database) {
    let db = &database.store;
    // Nine who differ in nothing but their address, and some in each count.
    let mut lines: Vec<_> = (1..10)
        .map(|n| {
            line(
                5,
                "web-01",
                "ssh",
                "connect",
                &[("src_ip", &format!("192.0.2.{n}"))],
                "",
            )
        })
        .collect();
    for n in 0..4_i64 {
        for second in 0..=n {
            lines.push(login(
                second,
                "web-01",
                &format!("198.51.100.{n}"),
                "root",
                &format!("{second}"),
            ));
            lines.push(command(
                second * n,
                "web-01",
                &format!("203.0.113.{}", n % 2),
                "id",
            ));
        }
    }
    store(db, &lines).await;
    let everybody = all_attackers(db, &AttackerQuery::default()).await;
    assert_eq!(everybody.len(), 15);
    for sort in AttackerSort::ALL {
        for order in [None, Some(SortOrder::Desc), Some(SortOrder::Asc)] {
            let query = AttackerQuery {
                sort_by: Some(*sort),
                sort_order: order,
                ..AttackerQuery::default()
            };
            let mut expected = everybody.clone();
            expected.sort_by_key(|a| (sort.rank(a), a.id));
            if order != Some(SortOrder::Asc) {
                expected.reverse();
            }
            assert_eq!(all_attackers(db, &query).await, expected, "{sort} {order:?}");
        }
    }
}

pub(crate) async fn finds_are_listed_in_every_order_and_its_reverse(database: &Database) {
    let db = &database.store;
    // Seven secrets, of which some are seen again, later, and as often as others.
    let mut lines = Vec::new();
    for n in 0..7_i64 {
        for again in 0..=n % 3 {
            let (second, secret) = (20 - n + 30 * again, n.to_string());
            lines.push(login(second, "web-01", "198.51.100.7", "root", &secret));
        }
    }
    store(db, &lines).await;
    let all = |query: BountyQuery| async move {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let query = BountyQuery {
                limit: Some(2),
                before,
                ..query.clone()
            };
            let page = db.bounty_page(&query).await.unwrap();
            all.extend(page.data);
            before = page.next;
            if before.is_none() {
                return all;
            }
        }
    };
    let found = all(BountyQuery::default()).await;
    assert_eq!(found.len(), 7);
    let told_as = |pair: &str| BountyQuery {
        search: Some(pair.to_owned()),
        ..BountyQuery::default()
    };
    for (pair, number) in [("root:3", 1), ("ROOT:", 7), ("admin:3", 0), ("root:9", 0)] {
        assert_eq!(all(told_as(pair)).await.len(), number, "{pair}");
    }
    for sort in BountySort::ALL {
        for order in [None, Some(SortOrder::Desc), Some(SortOrder::Asc)] {
            for bounty_type in [None, Some(BountyKind::Credential)] {
                let query = BountyQuery {
                    sort_by: Some(*sort),
                    sort_order: order,
                    bounty_type,
                    ..BountyQuery::default()
                };
                let mut expected = found.clone();
                expected.sort_by_key(|b| (sort.rank(b), b.id));
                if order != Some(SortOrder::Asc) {
                    expected.reverse();
                }
                assert_eq!(all(query).await, expected, "{sort} {order:?}");
            }
        }
    }
    // A place in one order is none in another.
    let query = BountyQuery {
        sort_by: Some(BountySort::Count),
        before: Some("i3".to_owned()),
        ..BountyQuery::default()
    };
    assert!(db.bounty_page(&query).await.is_err());
}

pub(crate) async fn a_find_tells_how_often_it_let_somebody_in(database: &Database) {
    let db = &database.store;
    let tried = |second, ip: &str, secret: &str, outcome: &str| {
        let fields = [
            ("src_ip", ip),
            ("principal", "root"),
            ("secret_kind", "plaintext"),
            ("secret_printable", secret),
            ("outcome", outcome),
        ];
        line(second, "web-01", "ssh", "auth_attempt", &fields, "")
    };
    let one = "192.0.2.1";
    // In two batches, so that what is there is added to.
    let first = [
        tried(0, one, "toor", "refused"),
        tried(1, one, "toor", "accepted"),
        tried(2, one, "no \u{0}\"'\u{10ffff}", "refused"),
        login(3, "web-01", "192.0.2.2", "root", "toor"),
        line(
            4,
            "web-01",
            "ssh",
            "fetch_attempt",
            &[("src_ip", one), ("url", "http://x/")],
            "",
        ),
    ];
    store(db, &first).await;
    store(
        db,
        &[tried(5, one, "toor", "accepted"), tried(6, one, "", "accepted")],
    )
    .await;
    let listed = async |accepted, sort_by| {
        let query = BountyQuery {
            accepted,
            sort_by,
            ..BountyQuery::default()
        };
        let page = db.bounty_page(&query).await.unwrap();
        let finds = page.data.into_iter();
        finds
            .map(|b| (b.attacker_ip.to_string(), b.value, b.accepted, b.count))
            .collect::<Vec<_>>()
    };
    let find = |ip: &str, value: &str, accepted, count| (ip.to_owned(), value.to_owned(), accepted, count);
    let yes = [find(one, "", 1, 1), find(one, "toor", 2, 3)];
    for sort_by in [None, Some(BountySort::Recent)] {
        let mut found = listed(Some(true), sort_by).await;
        found.sort();
        assert_eq!(found, yes, "{sort_by:?}");
        assert_eq!(
            listed(Some(false), sort_by).await.len(),
            2,
            "{sort_by:?}: and no payload"
        );
        assert_eq!(listed(None, sort_by).await.len(), 5);
    }
    // Nor are those tries one with the others in what is told of whoever did it.
    let who = attacker_id(one.parse().unwrap());
    let told = db
        .attacker_activity(who, (None, None), 600_000_000, 100)
        .await
        .unwrap();
    let tries = |accepted| {
        let such = told
            .iter()
            .filter(|t| t.event_type == "auth_attempt" && t.accepted == accepted);
        such.map(|t| t.count).sum::<u64>()
    };
    assert_eq!((tries(true), tries(false)), (3, 2));
    let others = told.iter().filter(|t| t.event_type != "auth_attempt");
    assert!(others.clone().count() == 1 && others.clone().all(|t| !t.accepted));
    // Who got in since: once each, with the last time that they used what let them in.
    let since = |second| db.signed_in_since(at(second));
    let who: Vec<_> = since(0).await.unwrap();
    assert_eq!(who.len(), 1);
    assert_eq!((who[0].0.to_string().as_str(), who[0].2), (one, at(6)));
    assert!(since(7).await.unwrap().is_empty());
    // What was counted before there was such a count comes from the rows that are there.
    database
        .raw(&["UPDATE bounties SET accepted_count = 0"])
        .await
        .unwrap();
    assert_eq!(listed(Some(true), None).await, []);
    let scripts = [
        include_str!("../../migrations/sqlite/0010_accepted.sql"),
        include_str!("../../migrations/mysql/0010_accepted.sql"),
    ];
    let script = if database.is_sqlite() {
        scripts[0]
    } else {
        scripts[1]
    };
    let update = script
        .split(';')
        .find(|statement| statement.trim().starts_with("UPDATE"))
        .unwrap();
    database.raw(&[update]).await.unwrap();
    let mut found = listed(Some(true), None).await;
    found.sort();
    assert_eq!(found, yes);
}

pub(crate) async fn open_sessions_are_those_that_began_and_did_not_end(database: &Database) {
    let db = &database.store;
    let event = |second, decky: &str, service: &str, kind: &str, session: &str| {
        let fields = [("src_ip", "192.0.2.1"), ("session", session)];
        line(second, decky, service, kind, &fields, "")
    };
    let started =
        |second, decky: &str, service: &str| line(second, decky, service, "service_started", &[], "");
    let lines = [
        // Longer ago than a session lasts.
        event(-90_000, "web-01", "ssh", "connect", "old"),
        started(0, "web-01", "ssh"),
        started(0, "web-01", "http"),
        event(1, "web-01", "ssh", "connect", "killed"),
        // It was killed with a session on it, and began anew.
        started(2, "web-01", "ssh"),
        event(3, "web-01", "ssh", "connect", "a"),
        event(4, "web-01", "ssh", "connect", "b"),
        event(5, "web-01", "ssh", "command", "b"),
        event(6, "web-01", "ssh", "disconnect", "b"),
        event(7, "web-01", "http", "connect", "c"),
        event(8, "web-02", "ssh", "connect", "d"),
        // Began before the time that is looked at.
        event(9, "web-02", "ssh", "disconnect", "e"),
        event(9, "web-03", "ssh", "connect", "f"),
        event(9, "web-03", "ssh", "disconnect", "f"),
        line(9, "web-03", "ssh", "connect", &[("src_ip", "192.0.2.1")], ""),
    ];
    store(db, &lines).await;
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let open = async |deckies: &[&str]| {
        let (open, all) = db.decky_open_sessions(&names(deckies), at(-3_600)).await.unwrap();
        assert!(all, "so few rows are read");
        open
    };
    assert_eq!(
        open(&["web-01", "web-02", "web-03", "web-04"]).await,
        BTreeMap::from([("web-01".to_owned(), 2), ("web-02".to_owned(), 1)])
    );
    assert_eq!(
        open(&["web-02"]).await,
        BTreeMap::from([("web-02".to_owned(), 1)])
    );
    assert_eq!(open(&[]).await, BTreeMap::new());
    let later = db.decky_open_sessions(&names(&["web-01"]), at(3_600)).await;
    assert_eq!(later.unwrap(), (BTreeMap::new(), true));
    // As many rows later as are read, that one is told no more, and that there may be others.
    let far = "INSERT INTO logs (id, at, received_at, decky, service, event_type, fields, message, raw) \
               SELECT id + 50003, at, received_at, decky, service, event_type, '{\"session\": \"g\"}', '', '' FROM logs WHERE id = 11";
    const { assert!(WINDOW == 50_000) };
    let noted = "UPDATE log_minutes SET max_id = 50014 WHERE max_id = (SELECT MAX(m.max_id) FROM (SELECT max_id FROM log_minutes) m)";
    database.raw(&[far, noted]).await.unwrap();
    let cut = db
        .decky_open_sessions(&names(&["web-01", "web-02"]), at(-3_600))
        .await;
    assert_eq!(cut.unwrap(), (BTreeMap::from([("web-02".to_owned(), 1)]), false));
}

pub(crate) async fn a_span_of_time_has_who_was_seen_in_it_and_what_they_left(database: &Database) {
    let db = &database.store;
    let lines = [
        login(0, "web-01", "192.0.2.1", "root", "early"),
        login(3_600, "web-01", "192.0.2.2", "root", "between"),
        login(3_605, "web-02", "192.0.2.2", "root", "between"),
        login(7_200, "db-01", "192.0.2.3", "root", "late"),
        // Seen before and after: their time reaches over all of it.
        login(10, "web-01", "192.0.2.4", "root", "long"),
        login(7_300, "web-01", "192.0.2.4", "root", "long"),
    ];
    store(db, &lines).await;
    for (start, end, who, left, deckies) in [
        (None, None, vec!["1", "2", "3", "4"], 5, 6),
        (Some(1_800), Some(5_400), vec!["2", "4"], 3, 2),
        (Some(5_400), None, vec!["3", "4"], 2, 2),
        (None, Some(1_800), vec!["1", "4"], 2, 2),
        // Both ends as they are told: from the first on, before the last.
        (Some(3_600), Some(3_605), vec!["2", "4"], 2, 2),
        (Some(90_000), None, vec![], 0, 0),
    ] {
        let query = AttackerQuery {
            start_time: start.map(at),
            end_time: end.map(at),
            ..AttackerQuery::default()
        };
        let mut seen: Vec<_> = all_attackers(db, &query)
            .await
            .iter()
            .map(|a| a.ip.to_string())
            .collect();
        seen.sort();
        let who: Vec<_> = who.iter().map(|n| format!("192.0.2.{n}")).collect();
        assert_eq!(seen, who, "{start:?} to {end:?}");
        let query = BountyQuery {
            start_time: start.map(at),
            end_time: end.map(at),
            ..BountyQuery::default()
        };
        let page = db.bounty_page(&query).await.unwrap();
        assert_eq!(page.data.len(), left, "{start:?} to {end:?}");
        assert_eq!(page.total.is_some(), start.is_none() && end.is_none());
        let (from, to) = (at(start.unwrap_or(-60)), at(end.unwrap_or(100_000)));
        let top = db.top_between(TopColumn::Decky, from, to, 8).await.unwrap();
        assert_eq!(
            top.iter().map(|c| c.count).sum::<u64>(),
            deckies,
            "{start:?} to {end:?}"
        );
    }
    let top = |column, hours: i64| db.top_between(column, at(-3_600), at(hours * 3_600), 2);
    // By minutes and, for a long span, by hours: the same.
    for hours in [3, 72] {
        let names: Vec<_> = top(TopColumn::Decky, hours).await.unwrap();
        let names: Vec<_> = names.into_iter().map(|c| (c.name, c.count)).collect();
        assert_eq!(names, [("web-01".to_owned(), 4), ("db-01".to_owned(), 1)]);
        let services = top(TopColumn::Service, hours).await.unwrap();
        assert_eq!(
            services.first().map(|c| (c.name.as_str(), c.count)),
            Some(("ssh", 6))
        );
    }
    let hour = at(0).unix_timestamp() / 3_600;
    let hours = db.decky_hours(hour - 1).await.unwrap();
    let of = |name: &str| {
        hours
            .iter()
            .filter(|(decky, ..)| decky == name)
            .map(|(.., n)| n)
            .sum::<u64>()
    };
    assert!(of("web-01") >= 4 && of("db-01") >= 1, "{hours:?}");
    assert!(db.decky_hours(hour + 100_000).await.unwrap().is_empty());
}

/// Run `call` until it has been polled `polls` times, then drop it. Gives whether it had ended by then.
async fn cancel_after<T>(polls: usize, call: impl Future<Output = T>) -> bool {
    let mut left = polls;
    let give_up = std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        context.waker().wake_by_ref();
        if left == 0 {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    });
    matches!(select(std::pin::pin!(call), give_up).await, Either::Left(_))
}

pub(crate) async fn cancelled_calls_leave_nothing_behind(database: &Database) {
    // Two connections: one that is not given back, or one transaction left open, and all that follows waits in vain.
    let options = Options {
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
        ..database.options.clone()
    };
    let db = Store::connect(&options).await.unwrap();
    let lines: Vec<_> = (0..20)
        .map(|n| login(n, "web-01", "192.0.2.1", "root", &format!("p{n}")))
        .collect();
    let (mut ended, mut dropped) = (0, 0);
    for round in 0..400_usize {
        // Polls come far faster than answers: the waits differ in length, and yield to the pool's own tasks.
        let polls = 1 + round * round / 40;
        let from = db.spool_position(READER).await.unwrap().offset;
        let done = match round % 4 {
            0 | 1 => cancel_after(polls, db.ingest_batch(&batch(from, &lines))).await,
            2 => cancel_after(polls, db.log_page(&LogQuery::default())).await,
            _ => {
                cancel_after(
                    polls,
                    db.lease_acquire("fleet", "me", at(0), time::Duration::seconds(1)),
                )
                .await
            }
        };
        if done {
            ended += 1;
        } else {
            dropped += 1;
        }
    }
    assert!(dropped > 20, "{dropped} calls were dropped midway, {ended} ended");
    let before = db.spool_position(READER).await.unwrap().offset;
    db.ingest_batch(&batch(before, &lines)).await.unwrap();
    let stats = db.stats(at(0)).await.unwrap();
    assert_eq!(
        stats.total_logs,
        before + 20,
        "each batch is there whole or not at all"
    );
    assert_eq!(stats.credentials, 20);
    assert_eq!(
        database
            .number("SELECT seen_count FROM bounties WHERE id = (SELECT MIN(id) FROM bounties)")
            .await,
        i64::try_from(before / 20 + 1).unwrap()
    );
    // Somebody else can write: no transaction is open.
    database.store.setting_set("a", "b").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), db.close())
        .await
        .expect("every connection was given back");
}

async fn profile_all(db: &Store, step: u32) {
    while db.profile_step(step).await.unwrap().rows > 0 {}
    db.session_close(at(20_000), 1000).await.unwrap();
}

async fn profiles(db: &Store) -> String {
    let mut all = Vec::new();
    for attacker in all_attackers(db, &AttackerQuery::default()).await {
        let sessions = db.attacker_sessions(attacker.id, 1000).await.unwrap();
        assert_eq!(attacker.session_count, u64::try_from(sessions.len()).unwrap());
        assert_eq!(
            attacker.event_count,
            sessions.iter().map(|s| s.event_count).sum::<u64>()
        );
        all.push((attacker, sessions));
    }
    format!("{all:#?}")
}

pub(crate) async fn profiling_anew_gives_the_same(database: &Database) {
    let db = &database.store;
    random_batches(db).await;
    profile_all(db, 500).await;
    let first = profiles(db).await;
    let one = &all_attackers(db, &AttackerQuery::default()).await[0];
    let known = one.glyph.parse::<decnet_model::glyph::Known>();
    assert!(
        known.is_ok_and(|known| known.tls.is_some()),
        "seeded by a fingerprint: {}",
        one.glyph
    );
    let theirs = BountyQuery {
        attacker_ip: Some(one.ip),
        ..BountyQuery::default()
    };
    let finds = db.bounty_page(&theirs).await.unwrap().data;
    assert!(!finds.is_empty(), "what is loot of one attacker");
    assert!(finds.iter().all(|find| find.attacker_glyph == one.glyph));
    for step in [7, 10_000] {
        db.profile_clear().await.unwrap();
        assert_ne!(profiles_cleared(db).await, 0);
        profile_all(db, step).await;
        assert_eq!(profiles(db).await, first);
    }
    assert!(
        db.session_close(at(20_000), 1000).await.unwrap().is_empty(),
        "a session ends once"
    );
    let later = store(db, &[command(30_000, "web-01", "192.0.2.1", "id")]).await;
    let step = db.profile_step(500).await.unwrap();
    assert_eq!(
        (step.rows, step.last_id, step.started.len()),
        (1, later.last_id, 1)
    );
    let ended = db.session_close(at(31_000), 1000).await.unwrap();
    assert_eq!((ended.len(), ended[0].ordinal), (1, step.started[0].ordinal));
}

async fn profiles_cleared(db: &Store) -> usize {
    let attackers = all_attackers(db, &AttackerQuery::default()).await;
    attackers
        .iter()
        .filter(|a| a.session_count == 0 && a.glyph == a.ip.to_string())
        .count()
}

pub(crate) async fn clearing_evidence_leaves_none_and_starts_over(database: &Database) {
    let db = &database.store;
    random_batches(db).await;
    profile_all(db, 500).await;
    while db.search_index(500).await.unwrap() > 0 {}
    let before = db.stats(at(0)).await.unwrap();
    assert_ne!(crate::search::indexed(database, "202", "6kon").await, 0);
    db.evidence_clear().await.unwrap();
    assert_eq!(crate::search::indexed(database, "202", "6kon").await, 0);
    let stats = db.stats(at(0)).await.unwrap();
    assert_eq!(
        (
            stats.total_logs,
            stats.bounties,
            stats.unique_attackers,
            stats.quarantined
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(db.spool_position(READER).await.unwrap().offset, 0);
    assert!(all_logs(db, &LogQuery::default(), 10).await.is_empty());
    random_batches(db).await;
    assert_eq!(db.stats(at(0)).await.unwrap(), before);
    let rows = all_logs(db, &LogQuery::default(), 500).await;
    let newest_before = LogId(i64::try_from(before.total_logs).unwrap());
    assert!(rows.iter().all(|row| row.id > newest_before), "no id comes twice");
}
