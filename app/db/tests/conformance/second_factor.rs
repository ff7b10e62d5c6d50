use decnet_db::{DbError, Store};
use decnet_model::{id::UserId, state::Role};

use crate::{Database, accounts::new_user, lines::at};

async fn user(store: &Store, name: &str) -> UserId {
    let new = new_user(name, Role::Viewer);
    store.user_create(&new).await.unwrap();
    new.id
}

async fn has(store: &Store, id: UserId) -> bool {
    store.user_get(id).await.unwrap().unwrap().second_factor
}

pub(crate) async fn a_second_factor_counts_once_confirmed_and_each_step_once(database: &Database) {
    let store = &database.store;
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    assert_eq!(store.second_factor_get(ann).await.unwrap(), None);
    let early = store.second_factor_confirm(ann, 7, &[], at(0)).await;
    assert!(matches!(early, Err(DbError::Missing { .. })), "{early:?}");

    store
        .second_factor_begin(ann, &[0, 1, 0xff], at(1))
        .await
        .unwrap();
    store
        .second_factor_begin(ann, &[2, 0, 0xfe], at(2))
        .await
        .unwrap();
    let begun = store.second_factor_get(ann).await.unwrap().unwrap();
    assert_eq!(
        (begun.sealed.as_slice(), begun.confirmed),
        ([2, 0, 0xfe].as_slice(), false)
    );
    assert!(!has(store, ann).await && !store.second_factor_step(ann, 5).await.unwrap());

    store
        .second_factor_confirm(ann, 7, &[[1; 32]], at(3))
        .await
        .unwrap();
    let twice = store.second_factor_confirm(ann, 8, &[], at(4)).await;
    assert!(matches!(twice, Err(DbError::Missing { .. })), "{twice:?}");
    let over = store.second_factor_begin(ann, &[3], at(5)).await;
    assert!(matches!(over, Err(DbError::Taken { .. })), "{over:?}");
    let row = store.second_factor_get(ann).await.unwrap().unwrap();
    assert_eq!((row.confirmed, row.last_step, row.since), (true, 7, at(3)));
    assert!(has(store, ann).await && !has(store, bob).await);
    assert_eq!(store.recovery_code_count(ann).await.unwrap(), 1);

    for (step, taken) in [
        (7, false),
        (6, false),
        (9, true),
        (9, false),
        (8, false),
        (10, true),
    ] {
        assert_eq!(
            store.second_factor_step(ann, step).await.unwrap(),
            taken,
            "step {step}"
        );
    }
    // Of several at the same time one is first.
    let (a, b, c) = tokio::join!(
        store.second_factor_step(ann, 20),
        store.second_factor_step(ann, 20),
        store.second_factor_step(ann, 20)
    );
    let first = [a, b, c]
        .into_iter()
        .filter(|taken| *taken.as_ref().unwrap())
        .count();
    assert_eq!(first, 1);
}

pub(crate) async fn a_recovery_code_is_used_once_and_everything_goes_with_its_owner(database: &Database) {
    let store = &database.store;
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    for id in [ann, bob] {
        store.second_factor_begin(id, &[1], at(0)).await.unwrap();
        store
            .second_factor_confirm(id, 1, &[[1; 32], [2; 32]], at(0))
            .await
            .unwrap();
    }
    for (code, right) in [([9; 32], false), ([1; 32], true), ([1; 32], false)] {
        assert_eq!(store.recovery_code_use(ann, &code).await.unwrap(), right);
    }
    assert_eq!(store.recovery_code_count(ann).await.unwrap(), 1);
    assert_eq!(store.recovery_code_count(bob).await.unwrap(), 2);
    store
        .recovery_codes_replace(ann, &[[3; 32], [4; 32], [5; 32]])
        .await
        .unwrap();
    assert!(!store.recovery_code_use(ann, &[2; 32]).await.unwrap());
    assert_eq!(store.recovery_code_count(ann).await.unwrap(), 3);

    store.second_factor_delete(ann, None).await.unwrap();
    assert!(!has(store, ann).await);
    assert_eq!(store.recovery_code_count(ann).await.unwrap(), 0);
    assert_eq!(
        store.user_get(ann).await.unwrap().unwrap().tokens_valid_from,
        at(0)
    );
    let none = store.second_factor_delete(ann, Some(at(9))).await;
    assert!(matches!(none, Err(DbError::Missing { .. })), "{none:?}");
    assert_eq!(
        store.user_get(ann).await.unwrap().unwrap().tokens_valid_from,
        at(0)
    );
    store.second_factor_delete(bob, Some(at(9))).await.unwrap();
    assert_eq!(
        store.user_get(bob).await.unwrap().unwrap().tokens_valid_from,
        at(9)
    );

    store.second_factor_begin(ann, &[1], at(0)).await.unwrap();
    let root = new_user("root", Role::Admin);
    store.user_create(&root).await.unwrap();
    store.user_delete(ann).await.unwrap();
    assert_eq!(store.second_factor_get(ann).await.unwrap(), None);
}
