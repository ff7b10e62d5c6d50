//! The way of an attacker through deckies, and the mark by which they are told.

use decnet_db::meaning::attacker_id;
use decnet_model::{glyph::Known, id::LogId, query::TraversalQuery, view::TraversalView};

use crate::{
    engine::Database,
    lines::{at, line, store},
};

const IP: &str = "192.0.2.1";

fn row(second: i64, decky: &str, service: &str, kind: &str, session: &str) -> Vec<u8> {
    let fields = [("src_ip", IP), ("session", session)];
    line(second, decky, service, kind, &fields, "")
}

/// From where to where, how often, and how long it took at least and at most in seconds.
fn hops(way: &TraversalView) -> Vec<(&str, &str, u64, u64, u64)> {
    let hops = way.hops.iter();
    hops.map(|hop| {
        let (quickest, slowest) = (hop.quickest_ms / 1_000, hop.slowest_ms / 1_000);
        (&*hop.from, &*hop.to, hop.count, quickest, slowest)
    })
    .collect()
}

fn names(way: &TraversalView) -> Vec<&str> {
    way.stations.iter().map(|station| &*station.decky).collect()
}

pub(crate) async fn a_way_is_the_order_in_which_sessions_begin(database: &Database) {
    let db = &database.store;
    let first = store(
        db,
        &[
            row(0, "web-01", "ssh", "connect", "a"),
            row(10, "db-01", "mysql", "connect", "b"),
            // The one before is still open, and what is said in it is no step back.
            row(12, "web-01", "ssh", "command", "a"),
            row(20, "db-01", "mysql", "disconnect", "b"),
            row(30, "web-01", "http", "connect", "c"),
            row(31, "web-01", "http", "disconnect", "c"),
            // Another service of the same decky is no hop.
            row(40, "web-01", "ssh", "connect", "d"),
            row(41, "web-01", "ssh", "disconnect", "d"),
            row(101, "db-01", "mysql", "connect", "e"),
            row(102, "db-01", "mysql", "auth_attempt", "e"),
            row(103, "db-01", "mysql", "query", "e"),
            row(104, "db-01", "mysql", "command", "e"),
            // What belongs to no connection, and what is others'.
            line(200, "mail-01", "smtp", "something", &[("src_ip", IP)], ""),
            line(201, "mail-01", "smtp", "something", &[("src_ip", IP)], ""),
            line(
                5,
                "files-01",
                "ftp",
                "connect",
                &[("src_ip", "192.0.2.2"), ("session", "a")],
                "",
            ),
        ],
    )
    .await;
    let who = attacker_id(IP.parse().unwrap());
    let way = async |query: &TraversalQuery, limit| db.attacker_traversal(who, query, limit).await.unwrap();
    let all = way(&TraversalQuery::default(), 100).await;
    assert_eq!(names(&all), ["web-01", "db-01", "mail-01"]);
    assert_eq!(
        hops(&all),
        [
            ("web-01", "db-01", 2, 0, 60),
            ("db-01", "web-01", 1, 10, 10),
            ("db-01", "mail-01", 1, 96, 96)
        ]
    );
    // What was done in the sessions that began by a hop is its weight; what was said in one that was open is not.
    let did: Vec<_> = all
        .hops
        .iter()
        .map(|hop| (hop.commands, hop.auth_attempts))
        .collect();
    assert_eq!(did, [(2, 1), (0, 0), (0, 0)]);
    let web = &all.stations[0];
    assert_eq!((web.sessions, web.events), (3, 6));
    assert_eq!(web.services, ["http", "ssh"]);
    assert_eq!(
        (web.first_at, web.last_session_at, web.last_at),
        (at(0), at(40), at(41))
    );
    let to_db = &all.hops[0];
    assert_eq!((to_db.first_at, to_db.last_at), (at(10), at(101)));
    let last = first.last_id.unwrap().0;
    assert_eq!((web.log_id, to_db.log_id), (LogId(last - 14), LogId(last - 13)));
    assert_eq!((all.stations[2].sessions, all.stations[2].events), (1, 2));
    assert_eq!((all.more_stations, all.more_hops, all.whole), (0, 0, true));

    let of_ssh = TraversalQuery {
        service: Some("ssh".into()),
        ..TraversalQuery::default()
    };
    let of_ssh = way(&of_ssh, 100).await;
    assert_eq!((names(&of_ssh), hops(&of_ssh)), (vec!["web-01"], vec![]));
    let later = TraversalQuery {
        start_time: Some(at(20)),
        end_time: Some(at(101)),
        ..TraversalQuery::default()
    };
    let later = way(&later, 100).await;
    assert_eq!(names(&later), ["db-01", "web-01"]);
    assert_eq!(hops(&later), [("db-01", "web-01", 1, 10, 10)]);
    // Of the newest rows only, which is said.
    let newest = way(&TraversalQuery::default(), 3).await;
    assert_eq!((names(&newest), newest.whole), (vec!["db-01", "mail-01"], false));

    let nobody = attacker_id("192.0.2.9".parse().unwrap());
    let none = db
        .attacker_traversal(nobody, &TraversalQuery::default(), 100)
        .await;
    let none = none.unwrap();
    assert_eq!((none.stations, none.hops, none.whole), (vec![], vec![], true));
}

pub(crate) async fn the_mark_of_somebody_keeps_what_was_told_first_however_the_rows_are_cut(
    database: &Database,
) {
    let db = &database.store;
    let told = |second, kind, fields: &[(&str, &str)]| {
        let mut all = vec![("src_ip", IP)];
        all.extend(fields);
        line(second, "web-01", "http", kind, &all, "")
    };
    let print = |second, kind, hash| {
        told(
            second,
            "client_fingerprint",
            &[("fingerprint_kind", kind), ("fingerprint", hash)],
        )
    };
    store(
        db,
        &[
            told(0, "connect", &[]),
            told(
                1,
                "client_info",
                &[("info_kind", "user_agent"), ("info", "curl/8.5.0")],
            ),
            print(2, "ja3", "j"),
            print(3, "ja4", "one"),
            told(
                4,
                "client_info",
                &[("info_kind", "user_agent"), ("info", "Wget/1.21")],
            ),
            print(5, "ja4", "another"),
            print(6, "hassh", "h"),
        ],
    )
    .await;
    let who = attacker_id(IP.parse().unwrap());
    let glyph = async || db.attacker_get(who).await.unwrap().unwrap().glyph;
    // One row after the other: what is known grows, and what was known stays.
    let mut marks = Vec::new();
    while db.profile_step(1).await.unwrap().rows > 0 {
        marks.push(glyph().await);
    }
    marks.dedup();
    assert_eq!(marks.len(), 4, "{marks:?}");
    assert_eq!(marks[0], IP, "nothing is known yet");
    let known: Vec<Known> = marks[1..].iter().map(|mark| mark.parse().unwrap()).collect();
    assert!(known[0].client.is_some() && known[0].tls.is_none());
    assert_eq!(
        (known[1].client, known[2].client),
        (known[0].client, known[0].client)
    );
    assert!(known[1].tls.is_some() && known[1].ssh.is_none());
    assert_eq!(known[2].tls, known[1].tls);
    assert!(known[2].ssh.is_some());
    for step in [2, 3, 500] {
        db.profile_clear().await.unwrap();
        assert_eq!(glyph().await, IP);
        while db.profile_step(step).await.unwrap().rows > 0 {}
        assert_eq!(Some(&glyph().await), marks.last());
    }
}
