use decnet_db::{DbError, Store};

use crate::Database;

pub(crate) async fn four_servers_may_migrate_at_once(database: &Database) {
    let options = database.sibling().await;
    let servers: Vec<_> = (0..4)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move {
                let store = Store::connect(&options).await.unwrap();
                store.migrate().await.unwrap().len()
            })
        })
        .collect();
    let mut ran = Vec::new();
    for server in servers {
        ran.push(server.await.unwrap());
    }
    ran.sort_unstable();
    assert_eq!(
        ran.get(..3),
        Some([0, 0, 0].as_slice()),
        "one ran all, the others none: {ran:?}"
    );
    assert!(ran.last().is_some_and(|n| *n > 0));
    Store::connect(&options)
        .await
        .unwrap()
        .check_schema()
        .await
        .unwrap();
}

pub(crate) async fn a_newer_a_foreign_and_an_empty_schema_are_refused_by_name(database: &Database) {
    let empty = Store::connect(&database.sibling().await).await.unwrap();
    let error = empty.check_schema().await.unwrap_err();
    assert!(
        matches!(error, DbError::SchemaMissing) && error.is_schema(),
        "{error}"
    );

    database
        .raw(&["INSERT INTO schema_migrations VALUES (9999, 'later', 'x', 0)"])
        .await
        .unwrap();
    for error in [
        database.store.check_schema().await.unwrap_err(),
        database.store.migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, DbError::SchemaNewer { found: 9999, .. }) && error.is_schema(),
            "{error}"
        );
    }
    database
        .raw(&[
            "DELETE FROM schema_migrations WHERE version = 9999",
            "UPDATE schema_migrations SET digest = 'other'",
        ])
        .await
        .unwrap();
    for error in [
        database.store.check_schema().await.unwrap_err(),
        database.store.migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, DbError::SchemaUnknown(_)) && error.is_schema(),
            "{error}"
        );
    }
    database.raw(&["DELETE FROM schema_migrations"]).await.unwrap();
    let error = database.store.check_schema().await.unwrap_err();
    assert!(error.is_schema(), "{error}");

    database.raw(&["DROP TABLE schema_migrations"]).await.unwrap();
    for error in [
        database.store.check_schema().await.unwrap_err(),
        database.store.migrate().await.unwrap_err(),
    ] {
        assert!(matches!(error, DbError::SchemaUnknown(_)), "{error}");
    }
}

pub(crate) async fn a_migrated_schema_is_accepted_and_migrating_again_does_nothing(database: &Database) {
    database.store.check_schema().await.unwrap();
    assert!(database.store.migrate().await.unwrap().is_empty());
    database.store.ping().await.unwrap();
}
