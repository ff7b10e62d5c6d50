use decnet_db::{DbError, NewApiToken, Store};
use decnet_model::{
    id::{ApiTokenId, UserId},
    state::Role,
};
use time::Duration;
use uuid::Uuid;

use crate::{Database, accounts::new_user, lines::at};

async fn made(store: &Store, owner: UserId, name: &str, byte: u8) -> NewApiToken {
    let new = NewApiToken {
        id: ApiTokenId(Uuid::new_v4()),
        owner,
        name: name.parse().unwrap(),
        digest: [byte; 32],
        role: Role::Viewer,
        created_at: at(0),
        expires_at: at(1_000),
    };
    store.api_token_create(&new).await.unwrap();
    new
}

pub(crate) async fn an_api_token_comes_back_by_its_digest_with_its_owner(database: &Database) {
    let store = &database.store;
    let (ann, bob) = (new_user("ann", Role::Admin), new_user("bob", Role::Viewer));
    for user in [&ann, &bob] {
        store.user_create(user).await.unwrap();
    }
    let backup = made(store, ann.id, "backup", 1).await;
    made(store, bob.id, "backup", 2).await;
    made(store, ann.id, "a feed", 0xff).await;

    let (token, owner) = store.api_token_by_digest(&[1; 32]).await.unwrap().unwrap();
    assert_eq!(
        (token.id, token.role, token.expires_at),
        (backup.id, Role::Viewer, at(1_000))
    );
    assert_eq!((token.name.as_str(), token.last_used_at), ("backup", None));
    assert_eq!(
        (owner.id, owner.role, owner.created_at),
        (ann.id, Role::Admin, at(0))
    );
    assert_eq!(
        store.api_token_get(backup.id).await.unwrap().unwrap().1.id,
        ann.id
    );
    assert_eq!(store.api_token_by_digest(&[3; 32]).await.unwrap(), None);

    let listed = |tokens: Vec<decnet_model::view::ApiTokenView>| {
        tokens
            .iter()
            .map(|t| format!("{}/{}", t.owner, t.name))
            .collect::<Vec<_>>()
    };
    let all = store.api_token_list(None).await.unwrap();
    assert_eq!(listed(all), ["ann/a feed", "ann/backup", "bob/backup"]);
    let bobs = store.api_token_list(Some(bob.id)).await.unwrap();
    assert_eq!(listed(bobs), ["bob/backup"]);

    let again = NewApiToken {
        id: ApiTokenId(Uuid::new_v4()),
        digest: [9; 32],
        ..backup.clone()
    };
    assert!(matches!(
        store.api_token_create(&again).await,
        Err(DbError::Taken { .. })
    ));
    store.api_token_delete(backup.id).await.unwrap();
    assert!(matches!(
        store.api_token_delete(backup.id).await,
        Err(DbError::Missing { .. })
    ));
    assert_eq!(store.api_token_by_digest(&[1; 32]).await.unwrap(), None);
    store.api_token_create(&again).await.unwrap();
}

pub(crate) async fn the_use_of_an_api_token_is_noted_once_a_minute(database: &Database) {
    let store = &database.store;
    let ann = new_user("ann", Role::Admin);
    store.user_create(&ann).await.unwrap();
    let token = made(store, ann.id, "feed", 1).await;
    for (used, noted) in [(100, 100), (159, 100), (160, 160), (90, 90), (91, 90)] {
        store
            .api_token_used(token.id, at(used), Duration::minutes(1))
            .await
            .unwrap();
        let (row, _) = store.api_token_get(token.id).await.unwrap().unwrap();
        assert_eq!(row.last_used_at, Some(at(noted)), "used at {used}");
    }
}

pub(crate) async fn api_tokens_end_with_their_owner_and_stay_with_the_last_admin(database: &Database) {
    let store = &database.store;
    let (ann, bob) = (new_user("ann", Role::Admin), new_user("bob", Role::Viewer));
    for user in [&ann, &bob] {
        store.user_create(user).await.unwrap();
    }
    made(store, ann.id, "feed", 1).await;
    made(store, bob.id, "feed", 2).await;
    let refused = store.user_set_disabled(ann.id, true, at(1)).await;
    assert!(matches!(refused, Err(DbError::LastAdmin)));
    store.user_set_disabled(bob.id, true, at(1)).await.unwrap();
    assert_eq!(store.api_token_by_digest(&[2; 32]).await.unwrap(), None);
    store.user_set_disabled(bob.id, false, at(2)).await.unwrap();
    assert_eq!(store.api_token_list(Some(bob.id)).await.unwrap(), [], "for good");
    assert!(store.api_token_by_digest(&[1; 32]).await.unwrap().is_some());

    made(store, bob.id, "feed", 3).await;
    store.user_delete(bob.id).await.unwrap();
    assert_eq!(store.api_token_list(None).await.unwrap().len(), 1);
}
