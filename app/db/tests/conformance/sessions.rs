use decnet_db::{DbError, SessionNote, Store};
use decnet_model::{
    clock::micros,
    id::{TokenId, UserId},
    state::Role,
};
use uuid::Uuid;

use crate::{Database, accounts::new_user, lines::at};

async fn user(store: &Store, name: &str) -> UserId {
    let new = new_user(name, Role::Viewer);
    store.user_create(&new).await.unwrap();
    new.id
}

/// A session that began at `start` and lasts 100 seconds.
async fn begun(store: &Store, user: UserId, start: i64) -> SessionNote {
    let note = SessionNote {
        id: TokenId(Uuid::new_v4()),
        user,
        generation: micros(at(0)),
        started_at: at(start),
        seen_at: at(start),
        expires_at: at(start + 100),
        ip: "192.0.2.7".parse().ok(),
        agent: "curl/8 \u{1F980}".into(),
    };
    store.session_note(&note).await.unwrap();
    note
}

async fn open(store: &Store, user: UserId, now: i64) -> Vec<TokenId> {
    let sessions = store.session_list(user, None, at(now)).await.unwrap();
    sessions.iter().map(|s| s.id).collect()
}

pub(crate) async fn open_sessions_are_listed_and_ended_one_by_one_or_all_others(database: &Database) {
    let store = &database.store;
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let (one, two, three) = (
        begun(store, ann, 1).await,
        begun(store, ann, 2).await,
        begun(store, ann, 3).await,
    );
    let other = begun(store, bob, 1).await;
    let again = SessionNote {
        seen_at: at(50),
        started_at: at(49),
        ip: "2001:db8::1".parse().ok(),
        agent: "other".into(),
        ..one.clone()
    };
    store.session_note(&again).await.unwrap();
    let listed = store.session_list(ann, Some(two.id), at(60)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|s| s.id).collect();
    assert_eq!(ids, [one.id, three.id, two.id], "used last first");
    let first = &listed[0];
    assert_eq!(
        (first.started_at, first.last_seen_at, first.expires_at),
        (at(1), at(50), at(101))
    );
    assert_eq!(
        (first.address, first.user_agent.as_str()),
        ("2001:db8::1".parse().ok(), "other")
    );
    assert_eq!(listed[1].user_agent, "curl/8 \u{1F980}");
    assert_eq!(
        listed.iter().map(|s| s.current).collect::<Vec<_>>(),
        [false, false, true]
    );

    for (id, whose) in [(other.id, ann), (TokenId(Uuid::new_v4()), ann), (one.id, bob)] {
        let refused = store.session_end(whose, id, at(60)).await;
        assert!(matches!(refused, Err(DbError::Missing { .. })), "{refused:?}");
        assert!(!store.token_is_revoked(id).await.unwrap());
    }
    store.session_end(ann, one.id, at(60)).await.unwrap();
    assert!(store.token_is_revoked(one.id).await.unwrap());
    let twice = store.session_end(ann, one.id, at(60)).await;
    assert!(matches!(twice, Err(DbError::Missing { .. })), "{twice:?}");
    // A request that was under way notes it once more; it stays ended.
    store.session_note(&again).await.unwrap();
    assert_eq!(open(store, ann, 60).await, [three.id, two.id]);

    assert_eq!(store.session_end_others(ann, two.id, at(60)).await.unwrap(), 1);
    assert_eq!(open(store, ann, 60).await, [two.id]);
    assert!(store.token_is_revoked(three.id).await.unwrap());
    assert!(
        !store.token_is_revoked(two.id).await.unwrap() && !store.token_is_revoked(other.id).await.unwrap()
    );
    assert_eq!(store.session_end_others(ann, two.id, at(60)).await.unwrap(), 0);
    assert_eq!(open(store, bob, 60).await, [other.id]);
}

pub(crate) async fn a_change_of_the_user_and_time_end_sessions_without_a_list(database: &Database) {
    let store = &database.store;
    let ann = user(store, "ann").await;
    let old = begun(store, ann, 1).await;
    assert_eq!(open(store, ann, 100).await, [old.id]);
    assert_eq!(open(store, ann, 101).await, [], "expired");
    store.user_end_sessions(ann, at(5)).await.unwrap();
    assert_eq!(open(store, ann, 60).await, []);
    let new = SessionNote {
        id: TokenId(Uuid::new_v4()),
        generation: micros(at(5)),
        ..old.clone()
    };
    store.session_note(&new).await.unwrap();
    assert_eq!(open(store, ann, 60).await, [new.id]);
    let nobody = store.user_end_sessions(UserId(Uuid::new_v4()), at(5)).await;
    assert!(matches!(nobody, Err(DbError::Missing { .. })), "{nobody:?}");

    let a_day_later = 86_400 + 101;
    assert_eq!(store.token_prune(at(a_day_later)).await.unwrap(), 0);
    assert_eq!(store.token_prune(at(a_day_later + 1)).await.unwrap(), 2);

    begun(store, ann, 1).await;
    store.user_create(&new_user("root", Role::Admin)).await.unwrap();
    store.user_delete(ann).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM sessions").await, 0);
}
