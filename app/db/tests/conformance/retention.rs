use decnet_db::Store;
use decnet_model::{
    id::LogId,
    query::{BountyQuery, LogQuery, QuarantineQuery},
    view::Stats,
};
use time::Duration;

use crate::{
    Database,
    lines::{READER, at, batch, command, login, store},
    search::indexed,
};

/// A command and a login each, stored so many days after the first.
async fn on_day(db: &Store, day: i64) {
    let from = db.spool_position(READER).await.unwrap();
    let number = i64::try_from(from.offset).unwrap();
    let lines = [
        command(number, "web-01", "192.0.2.7", &format!("echo wget{number}")),
        login(number, "web-01", "192.0.2.8", "root", &format!("pw{number}")),
        b"no line".to_vec(),
    ];
    let mut batch = batch(from.offset, &lines);
    for line in &mut batch.lines {
        line.received_at = at(0) + Duration::days(day);
    }
    for line in &mut batch.quarantine {
        line.received_at = at(0) + Duration::days(day);
    }
    db.ingest_batch(&batch).await.unwrap();
}

async fn ids(db: &Store, query: LogQuery) -> Vec<i64> {
    let page = db.log_page(&query).await.unwrap();
    page.data.iter().map(|row| row.id.0).collect()
}

/// What has to stay as it was.
fn counted(stats: &Stats) -> [u64; 6] {
    [
        stats.total_logs,
        stats.unique_attackers,
        stats.auth_attempts,
        stats.credentials,
        stats.bounties,
        stats.quarantined,
    ]
}

pub(crate) async fn old_rows_go_step_by_step_and_counters_stay(database: &Database) {
    let db = &database.store;
    for day in 0..5 {
        on_day(db, day).await;
    }
    while db.profile_step(100).await.unwrap().rows > 0 {}
    while db.search_index(100).await.unwrap() > 0 {}
    let before = db.stats(at(0)).await.unwrap();
    assert_eq!(before.total_logs, 10);
    let cut = at(0) + Duration::days(3);
    assert_eq!(
        db.evidence_expire(at(0), 100).await.unwrap(),
        0,
        "nothing is that old"
    );
    let older = async |day| db.evidence_older(at(0) + Duration::days(day)).await.unwrap();
    assert_eq!(
        [older(0).await, older(1).await, older(3).await, older(9).await],
        [0, 2, 6, 10]
    );
    // Rows 1 to 6 and three lines of the quarantine, four and two at a time.
    assert_eq!(db.evidence_expire(cut, 4).await.unwrap(), 4 + 3);
    assert_eq!(ids(db, LogQuery::default()).await, [10, 9, 8, 7, 6, 5]);
    assert_eq!(older(3).await, 2, "what is gone is not counted");
    assert_eq!(db.evidence_expire(cut, 4).await.unwrap(), 2);
    assert_eq!(db.evidence_expire(cut, 4).await.unwrap(), 0);
    assert_eq!(ids(db, LogQuery::default()).await, [10, 9, 8, 7]);
    assert_eq!(
        db.quarantine_page(&QuarantineQuery::default())
            .await
            .unwrap()
            .data
            .len(),
        2
    );
    assert_eq!(database.number("SELECT COUNT(*) FROM commands").await, 2);
    let search = LogQuery {
        search: Some("wget".into()),
        ..LogQuery::default()
    };
    assert_eq!(ids(db, search).await, [9, 7]);
    let indexed = indexed(database, "wge", "7tle").await;
    assert_eq!(indexed, 2, "what is deleted leaves the index");

    assert_eq!(counted(&db.stats(at(0)).await.unwrap()), counted(&before));
    let bounties = db.bounty_page(&BountyQuery::default()).await.unwrap();
    assert_eq!(bounties.data.len(), 5, "what was gained stays");
    on_day(db, 9).await;
    assert_eq!(ids(db, LogQuery::default()).await, [12, 11, 10, 9, 8, 7]);
    assert_eq!(db.stats(at(0)).await.unwrap().total_logs, 12);
}

pub(crate) async fn ids_do_not_come_back_after_everything_was_deleted(database: &Database) {
    let db = &database.store;
    on_day(db, 0).await;
    assert_eq!(
        db.evidence_expire(at(0) + Duration::days(1), 100).await.unwrap(),
        3
    );
    assert_eq!(ids(db, LogQuery::default()).await, [0; 0]);
    on_day(db, 2).await;
    assert_eq!(ids(db, LogQuery::default()).await, [4, 3]);
    while db.profile_step(100).await.unwrap().rows > 0 {}
    while db.search_index(100).await.unwrap() > 0 {}

    let position = db.spool_position(READER).await.unwrap();
    assert_eq!(db.evidence_forgotten().await.unwrap(), LogId(0));
    db.evidence_forget().await.unwrap();
    assert_eq!(
        (
            db.evidence_forgotten().await.unwrap(),
            db.log_reached().await.unwrap()
        ),
        (LogId(5), LogId(5)),
        "that they were deleted has an id of its own"
    );
    assert_eq!(ids(db, LogQuery::default()).await, [0; 0]);
    assert_eq!(counted(&db.stats(at(0)).await.unwrap()), [0; 6]);
    assert_eq!(indexed(database, "ssh", "1ccx").await, 0);
    assert_eq!(
        db.spool_position(READER).await.unwrap(),
        position,
        "the spool is not read again"
    );
    db.evidence_forget().await.unwrap();
    store(db, &[command(9, "web-01", "192.0.2.9", "id")]).await;
    assert_eq!(ids(db, LogQuery::default()).await, [7]);
    assert_eq!(
        (
            db.evidence_forgotten().await.unwrap(),
            db.log_reached().await.unwrap()
        ),
        (LogId(6), LogId(7))
    );
    let after = db.log_after(LogId(4), 10).await.unwrap();
    assert_eq!(after.len(), 1, "a stream that had seen the last row goes on");
    let search = LogQuery {
        search: Some("ssh".into()),
        ..LogQuery::default()
    };
    while db.search_index(100).await.unwrap() > 0 {}
    assert_eq!(ids(db, search).await, [7]);
    assert_eq!(db.profile_step(100).await.unwrap().rows, 1);

    // Lines that are ignored move the position and count as that.
    let from = db.spool_position(READER).await.unwrap();
    let mut ignored = batch(from.offset, &[]);
    ignored.to.offset += 3;
    ignored.ignored = 3;
    db.ingest_batch(&ignored).await.unwrap();
    let stats = db.stats(at(0)).await.unwrap();
    assert_eq!((stats.ignored, stats.total_logs), (3, 1));
    assert_eq!(db.spool_position(READER).await.unwrap(), ignored.to);
}
