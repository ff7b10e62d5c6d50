use decnet_db::{DbError, NewUser, Setting};
use decnet_model::{
    id::{IgnoreRuleId, TokenId, UserId},
    ignore::{IgnoreMatch, IgnoreRule},
    query::AuditQuery,
    state::Role,
};
use uuid::Uuid;

use crate::{Database, lines::at};

pub(crate) fn new_user(name: &str, role: Role) -> NewUser {
    NewUser {
        id: UserId(Uuid::new_v4()),
        username: name.parse().unwrap(),
        role,
        password_hash: "$argon2id$x".into(),
        must_change_password: true,
        created_at: at(0),
    }
}

pub(crate) async fn a_user_comes_back_as_it_was_made(database: &Database) {
    let store = &database.store;
    let new = new_user("ann", Role::Admin);
    store.user_create(&new).await.unwrap();
    store.user_create(&new_user("bob", Role::Viewer)).await.unwrap();
    let ann = store.user_by_name(&new.username).await.unwrap().unwrap();
    assert_eq!(
        (ann.id, ann.role, ann.disabled, ann.must_change_password),
        (new.id, Role::Admin, false, true)
    );
    assert_eq!(
        (ann.created_at, ann.tokens_valid_from, ann.last_login_at),
        (at(0), at(0), None)
    );
    assert!(!format!("{ann:?}{new:?}").contains("argon2"));

    store
        .user_set_password(ann.id, "$other", false, at(5))
        .await
        .unwrap();
    store.user_rehash(ann.id, "$stale", "$never").await.unwrap();
    store.user_rehash(ann.id, "$other", "$rehashed").await.unwrap();
    store.user_logged_in(ann.id, at(6)).await.unwrap();
    let ann = store.user_get(ann.id).await.unwrap().unwrap();
    assert_eq!(
        (ann.password_hash.as_str(), ann.must_change_password),
        ("$rehashed", false)
    );
    assert_eq!((ann.tokens_valid_from, ann.last_login_at), (at(5), Some(at(6))));
    let names: Vec<_> = store
        .user_list()
        .await
        .unwrap()
        .into_iter()
        .map(|u| u.username.to_string())
        .collect();
    assert_eq!(names, ["ann", "bob"]);
    let nobody = UserId(Uuid::new_v4());
    assert_eq!(store.user_get(nobody).await.unwrap(), None);
    assert!(matches!(
        store.user_delete(nobody).await,
        Err(DbError::Missing { .. })
    ));
    assert!(matches!(
        store.user_set_password(nobody, "", false, at(0)).await,
        Err(DbError::Missing { .. })
    ));
}

pub(crate) async fn the_first_password_is_the_configured_one_until_anybody_gives_another(
    database: &Database,
) {
    let store = &database.store;
    let first = new_user("ann", Role::Admin);
    store.user_create_first(&first).await.unwrap();
    let other = new_user("bob", Role::Admin);
    store.user_create(&other).await.unwrap();
    assert!(store.user_has_first_password(first.id).await.unwrap());
    assert!(!store.user_has_first_password(other.id).await.unwrap());
    // Another account's password, and the hash of the same one, change nothing of that.
    store
        .user_set_password(other.id, "$bob", true, at(1))
        .await
        .unwrap();
    store
        .user_rehash(first.id, "$argon2id$x", "$rehashed")
        .await
        .unwrap();
    assert!(
        store
            .user_set_first_password(first.id, "$second", at(2))
            .await
            .unwrap()
    );
    assert!(
        !store
            .user_set_first_password(other.id, "$no", at(2))
            .await
            .unwrap()
    );

    store
        .user_set_password(first.id, "$reset", true, at(3))
        .await
        .unwrap();
    assert!(!store.user_has_first_password(first.id).await.unwrap());
    assert!(
        !store
            .user_set_first_password(first.id, "$no", at(4))
            .await
            .unwrap()
    );
    let ann = store.user_get(first.id).await.unwrap().unwrap();
    assert_eq!(
        (ann.password_hash.as_str(), ann.tokens_valid_from),
        ("$reset", at(3))
    );
    let again = store.user_create_first(&new_user("ann", Role::Admin)).await;
    assert!(matches!(again, Err(DbError::Taken { .. })), "{again:?}");
}

pub(crate) async fn of_eight_servers_that_start_at_once_one_makes_the_first_account(database: &Database) {
    let servers: Vec<_> = (0..8)
        .map(|_| {
            let (store, new) = (database.store.clone(), new_user("admin", Role::Admin));
            tokio::spawn(async move { store.user_create_first(&new).await.map(|()| new.id) })
        })
        .collect();
    let mut made = Vec::new();
    for server in servers {
        match server.await.unwrap() {
            Ok(id) => made.push(id),
            Err(error) => assert!(matches!(error, DbError::Taken { .. }), "{error:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert!(
        database.store.user_has_first_password(made[0]).await.unwrap(),
        "nobody else has noted itself"
    );
}

pub(crate) async fn a_name_is_taken_once(database: &Database) {
    database
        .store
        .user_create(&new_user("ann", Role::Admin))
        .await
        .unwrap();
    let again = database.store.user_create(&new_user("ann", Role::Viewer)).await;
    assert!(matches!(again, Err(DbError::Taken { .. })), "{again:?}");
    assert_eq!(database.store.user_list().await.unwrap().len(), 1);
}

pub(crate) async fn the_last_admin_stays_under_a_race(database: &Database) {
    let store = &database.store;
    let admins: Vec<_> = ["a1", "a2", "a3"]
        .iter()
        .map(|n| new_user(n, Role::Admin))
        .collect();
    for admin in &admins {
        store.user_create(admin).await.unwrap();
    }
    let (a, b, c) = tokio::join!(
        store.user_set_role(admins[0].id, Role::Viewer, at(1)),
        store.user_set_disabled(admins[1].id, true, at(1)),
        store.user_delete(admins[2].id),
    );
    let refused = [a, b, c]
        .into_iter()
        .filter(|r| matches!(r, Err(DbError::LastAdmin)))
        .count();
    let left = store.user_admin_count().await.unwrap();
    // On MySQL a deadlock may refuse more than one; never may nobody be left.
    assert!(left >= 1, "{left} left");
    assert!(refused == 1 || left > 1, "{refused} refused, {left} left");
}

pub(crate) async fn ended_tokens_stay_ended_until_they_expire(database: &Database) {
    let store = &database.store;
    let ann = new_user("ann", Role::Admin);
    store.user_create(&ann).await.unwrap();
    let (ended, running) = (TokenId(Uuid::new_v4()), TokenId(Uuid::new_v4()));
    store.token_revoke(ended, ann.id, at(100)).await.unwrap();
    store.token_revoke(ended, ann.id, at(100)).await.unwrap();
    assert!(store.token_is_revoked(ended).await.unwrap());
    assert!(!store.token_is_revoked(running).await.unwrap());
    let a_day_later = 86_400 + 100;
    assert_eq!(store.token_prune(at(a_day_later)).await.unwrap(), 0);
    assert!(
        store.token_is_revoked(ended).await.unwrap(),
        "whatever the clock does meanwhile"
    );
    assert_eq!(store.token_prune(at(a_day_later + 1)).await.unwrap(), 1);
    assert!(!store.token_is_revoked(ended).await.unwrap());
}

pub(crate) async fn the_audit_log_takes_no_change_and_pages_newest_first(database: &Database) {
    let store = &database.store;
    for n in 0..5 {
        let target = format!("t{n}");
        store
            .audit_append(
                at(n),
                "ann",
                "fleet.deploy",
                &target,
                "192.0.2.1".parse().ok(),
                "ok",
            )
            .await
            .unwrap();
    }
    for tampering in ["UPDATE audit_log SET actor = 'bob'", "DELETE FROM audit_log"] {
        let refused = database.raw(&[tampering]).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    let page = |limit, before: Option<&str>| AuditQuery {
        limit,
        before: before.map(str::to_owned),
        ..AuditQuery::default()
    };
    let first = store.audit_page(&page(Some(3), None)).await.unwrap();
    let second = store
        .audit_page(&page(Some(3), first.next.as_deref()))
        .await
        .unwrap();
    let targets: Vec<_> = first
        .data
        .iter()
        .chain(&second.data)
        .map(|e| e.target.as_str())
        .collect();
    assert_eq!(targets, ["t4", "t3", "t2", "t1", "t0"]);
    assert_eq!(second.next, None);
    assert_eq!(first.data[0].from, "192.0.2.1".parse().ok());
    assert!(
        store
            .audit_page(&page(Some(501), None))
            .await
            .unwrap_err()
            .is_bad_query()
    );
    assert!(
        store
            .audit_page(&page(None, Some("x")))
            .await
            .unwrap_err()
            .is_bad_query()
    );
}

pub(crate) async fn the_audit_log_is_found_by_who_what_on_what_and_when(database: &Database) {
    let store = &database.store;
    for (n, (actor, action, target)) in [
        ("ann", "user.create", "Bob 100%"),
        ("ann/backup", "export.logs", "csv"),
        ("anna", "user.role", "bob = admin"),
        ("ann", "users", "all"),
        ("bob", "user", "100 more"),
    ]
    .into_iter()
    .enumerate()
    {
        let when = at(i64::try_from(n).unwrap());
        store
            .audit_append(when, actor, action, target, None, "ok")
            .await
            .unwrap();
    }
    let text = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (AuditQuery::default(), vec![4, 3, 2, 1, 0]),
        (
            AuditQuery {
                actor: text("ann"),
                ..AuditQuery::default()
            },
            vec![3, 1, 0],
        ),
        (
            AuditQuery {
                action: text("user"),
                ..AuditQuery::default()
            },
            vec![4, 2, 0],
        ),
        (
            AuditQuery {
                actor: text("ann"),
                action: text("user"),
                ..AuditQuery::default()
            },
            vec![0],
        ),
        (
            AuditQuery {
                target: text("BOB"),
                ..AuditQuery::default()
            },
            vec![2, 0],
        ),
        (
            AuditQuery {
                target: text("100%"),
                ..AuditQuery::default()
            },
            vec![0],
        ),
        (
            AuditQuery {
                start_time: Some(at(1)),
                end_time: Some(at(4)),
                ..AuditQuery::default()
            },
            vec![3, 2, 1],
        ),
    ] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let query = AuditQuery {
                limit: Some(2),
                before,
                ..query.clone()
            };
            let page = store.audit_page(&query).await.unwrap();
            found.extend(page.data.into_iter().map(|entry| entry.at));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let expected: Vec<_> = expected.into_iter().map(at).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

pub(crate) async fn settings_are_kept(database: &Database) {
    let store = &database.store;
    assert_eq!(store.setting_get("a").await.unwrap(), None);
    store.setting_set("a", "1").await.unwrap();
    store
        .setting_set("a", "'; DROP TABLE settings; -- \u{1F980}")
        .await
        .unwrap();
    assert_eq!(
        store.setting_get("a").await.unwrap().as_deref(),
        Some("'; DROP TABLE settings; -- \u{1F980}")
    );
}

pub(crate) async fn numbers_among_the_settings_are_typed_and_can_be_left_alone_again(database: &Database) {
    let store = &database.store;
    for setting in Setting::ALL {
        assert_eq!(store.setting_number(setting).await.unwrap(), None);
        store.setting_number_set(setting, Some(7)).await.unwrap();
        store.setting_number_set(setting, Some(u32::MAX)).await.unwrap();
        assert_eq!(store.setting_number(setting).await.unwrap(), Some(u32::MAX));
    }
    store
        .setting_number_set(Setting::RetentionDays, None)
        .await
        .unwrap();
    assert_eq!(store.setting_number(Setting::RetentionDays).await.unwrap(), None);
    assert_eq!(
        store.setting_number(Setting::SessionMinutes).await.unwrap(),
        Some(u32::MAX)
    );
    store
        .setting_set(Setting::SessionMinutes.name(), "-1")
        .await
        .unwrap();
    let bad = store.setting_number(Setting::SessionMinutes).await;
    assert!(matches!(bad, Err(DbError::Corrupt { .. })), "{bad:?}");
}

pub(crate) async fn ignore_rules_are_changed_by_two_at_once_and_none_is_lost(database: &Database) {
    let store = &database.store;
    assert_eq!(store.ignore_rules().await.unwrap(), []);
    let add = |n: u8| {
        let rule = IgnoreRule {
            id: IgnoreRuleId(Uuid::new_v4()),
            lines: IgnoreMatch {
                network: format!("192.0.2.{n}/32").parse().ok(),
                ..IgnoreMatch::default()
            },
            note: "our scanner \u{1F980} '\"".into(),
            created_by: "ann".into(),
            created_at: at(0),
        };
        async move {
            store
                .ignore_rules_change(|rules| {
                    rules.push(rule);
                    Ok::<_, DbError>(())
                })
                .await
        }
    };
    add(0).await.unwrap();
    let (a, b, c) = tokio::join!(add(1), add(2), add(3));
    for done in [a, b, c] {
        done.unwrap();
    }
    let rules = store.ignore_rules().await.unwrap();
    let mut networks: Vec<_> = rules
        .iter()
        .map(|r| r.lines.network.unwrap().to_string())
        .collect();
    assert_eq!(
        networks[0], "192.0.2.0/32",
        "in the order in which they were made"
    );
    networks.sort();
    assert_eq!(
        networks,
        ["192.0.2.0/32", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"]
    );
    assert_eq!(
        (rules[0].note.as_str(), rules[0].created_at),
        ("our scanner \u{1F980} '\"", at(0))
    );
    let refused = store
        .ignore_rules_change(|rules| {
            rules.clear();
            Err(DbError::LastAdmin)
        })
        .await;
    assert!(matches!(refused, Err(DbError::LastAdmin)));
    assert_eq!(store.ignore_rules().await.unwrap(), rules, "nothing was changed");
}
