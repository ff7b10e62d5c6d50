use decnet_model::{id::TaskId, name::DeckyName};
use uuid::Uuid;

use crate::{Database, lines::at};

pub(crate) async fn what_thousands_of_deckies_make_of_a_task_is_kept(database: &Database) {
    let db = &database.store;
    let id = TaskId(Uuid::new_v4());
    let deckies: Vec<DeckyName> = (0..10_000)
        .map(|n| format!("web-server-{n:05}").parse().unwrap())
        .collect();
    db.task_create(id, "teardown", &deckies, at(0)).await.unwrap();
    // Four bytes a character, and in all much more than a column takes.
    let words = "\u{1f480}".repeat(100_000);
    db.task_progress(id, 1, 2, &words).await.unwrap();
    db.task_end(id, Some(&words), at(1)).await.unwrap();
    let report = db.task_report(id).await.unwrap().unwrap();
    assert_eq!(report.deckies, deckies);
    assert_eq!(
        (report.task.status.as_str(), report.task.ended_at),
        ("failed", Some(at(1)))
    );
    for kept in [&report.task.step, report.task.error.as_ref().unwrap()] {
        let first = kept
            .strip_suffix(" \u{2026}")
            .expect("it says that there was more");
        assert!(
            words.starts_with(first) && first.len() > 10_000,
            "{}",
            first.len()
        );
    }
}
