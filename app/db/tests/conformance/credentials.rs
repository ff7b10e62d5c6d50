use std::collections::{BTreeMap, BTreeSet};

use decnet_db::{Store, search::WINDOW};
use decnet_model::{
    query::{HashKind, ReuseQuery, ReuseScope, Wordlist},
    view::{BountyView, ReuseView},
};

use crate::{
    Database,
    lines::{line, login, store},
};

async fn compare(db: &Store, step: u32) -> u64 {
    let mut compared = 0;
    loop {
        match db.credentials_step(step).await.unwrap() {
            0 => return compared,
            rows => compared += rows,
        }
    }
}

/// All pages.
async fn reused(db: &Store, scope: ReuseScope, limit: u32) -> Vec<ReuseView> {
    let mut query = ReuseQuery {
        limit: Some(limit),
        scope: Some(scope),
        ..ReuseQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = db.reuse_page(&query).await.unwrap();
        all.extend(page.data);
        query.before = page.next;
        if query.before.is_none() {
            return all;
        }
    }
}

fn told(views: &[ReuseView]) -> BTreeMap<(Option<String>, String), (u64, u64)> {
    let told = views
        .iter()
        .map(|v| ((v.principal.clone(), v.value.clone()), (v.deckies, v.attackers)));
    told.collect()
}

pub(crate) async fn reuse_is_counted_as_a_scan_would_however_it_is_cut_into_steps(database: &Database) {
    let db = &database.store;
    let (mut deckies, mut attackers) = (BTreeMap::new(), BTreeMap::new());
    let mut lines = Vec::new();
    // A walk through numbers, so that every combination comes, and some come often.
    for n in 0_u32..400 {
        let m = n * 7919 % 1009;
        let decky = format!("web-{}", m % 5);
        let ip = format!("192.0.2.{}", m / 7 % 6);
        let (user, password) = (format!("u{}", m % 4), format!("p{}", m % 89));
        for principal in [None, Some(user.clone())] {
            let key = (principal, password.clone());
            deckies
                .entry(key.clone())
                .or_insert_with(BTreeSet::new)
                .insert(decky.clone());
            attackers
                .entry(key)
                .or_insert_with(BTreeSet::new)
                .insert(ip.clone());
        }
        lines.push(login(n.into(), &decky, &ip, &user, &password));
    }
    let mut compared = 0;
    for (n, part) in lines.chunks(57).enumerate() {
        store(db, part).await;
        compared += compare(db, [1, 7, 1_000][n % 3]).await;
    }
    assert_eq!(compared, db.stats(crate::lines::at(0)).await.unwrap().credentials);
    assert_eq!(compare(db, 10).await, 0, "each is read once");
    let expected = |is_pair: bool| -> BTreeMap<_, _> {
        let counts = deckies.iter().filter(|((user, _), _)| user.is_some() == is_pair);
        let counts = counts.map(|(key, d)| (key.clone(), (d.len() as u64, attackers[key].len() as u64)));
        counts.filter(|(_, (d, a))| *d > 1 || *a > 1).collect()
    };
    for (scope, is_pair) in [(ReuseScope::Secret, false), (ReuseScope::Pair, true)] {
        let expected = expected(is_pair);
        assert!(expected.len() > 20, "{}", expected.len());
        for limit in [3, 500] {
            let views = reused(db, scope, limit).await;
            assert_eq!(views.len(), expected.len(), "each once");
            assert_eq!(told(&views), expected);
            let spread: Vec<_> = views.iter().map(|v| v.deckies + v.attackers).collect();
            assert!(spread.is_sorted_by(|a, b| a >= b), "{spread:?}");
            assert!(
                views
                    .iter()
                    .all(|v| v.first_seen <= v.last_spread && v.secret_kind == "plaintext")
            );
        }
    }
    let before = reused(db, ReuseScope::Pair, 500).await;
    let none = ReuseQuery {
        secret_kind: Some("cram_md5".into()),
        ..ReuseQuery::default()
    };
    assert_eq!(db.reuse_page(&none).await.unwrap().data, []);
    let bad = ReuseQuery {
        before: Some("i7".into()),
        ..ReuseQuery::default()
    };
    assert!(db.reuse_page(&bad).await.unwrap_err().is_bad_query());

    // Each leads to all the places that it was counted at, and to no other.
    for view in &before {
        let detail = db.reuse_get(view.id).await.unwrap().unwrap();
        assert_eq!(&detail.reuse, view);
        let of = |f: fn(&BountyView) -> String| detail.finds.iter().map(f).collect::<BTreeSet<_>>();
        assert_eq!(of(|b| b.decky.clone()).len() as u64, view.deckies);
        assert_eq!(of(|b| b.attacker_ip.to_string()).len() as u64, view.attackers);
        assert_eq!(of(|b| b.value.clone()), BTreeSet::from([view.value.clone()]));
        assert_eq!(
            of(|b| b.principal.clone().unwrap()),
            BTreeSet::from([view.principal.clone().unwrap()])
        );
    }
    assert_eq!(db.reuse_get(i64::MAX).await.unwrap(), None);

    // Derived anew it is the same.
    db.profile_clear().await.unwrap();
    assert_eq!(reused(db, ReuseScope::Pair, 500).await, []);
    compare(db, 64).await;
    assert_eq!(told(&reused(db, ReuseScope::Pair, 500).await), told(&before));
    db.evidence_forget().await.unwrap();
    assert_eq!(reused(db, ReuseScope::Pair, 500).await, []);
    store(db, &lines[..100]).await;
    assert!(
        compare(db, 64).await > 0,
        "what comes after everything was deleted is compared, too"
    );
}

pub(crate) async fn a_find_leads_to_where_its_secret_was_used_again(database: &Database) {
    let db = &database.store;
    let lines = [
        login(1, "web-01", "192.0.2.7", "root", "toor"),
        login(2, "web-02", "192.0.2.7", "admin", "toor"),
        login(3, "web-02", "192.0.2.7", "admin", "once"),
        // What a text index cannot be asked for, and what it has no more of than others.
        login(4, "web-01", "192.0.2.7", "a", "1"),
        login(5, "web-02", "192.0.2.8", "a", "1"),
        login(6, "web-01", "192.0.2.8", "b", "12"),
        login(7, "web-01", "192.0.2.8", "b", "toor "),
    ];
    store(db, &lines).await;
    compare(db, 100).await;
    for steps in 0..3 {
        let toor = db.reuse_of("plaintext", "toor").await.unwrap().unwrap();
        let detail = db.reuse_get(toor).await.unwrap().unwrap();
        assert_eq!((detail.reuse.value.as_str(), detail.finds.len()), ("toor", 2));
        for (kind, value) in [
            ("plaintext", "once"),
            ("plaintext", "Toor"),
            ("", "toor"),
            ("plaintext", ""),
        ] {
            assert_eq!(db.reuse_of(kind, value).await.unwrap(), None, "{kind} {value}");
        }
        let short = db.reuse_of("plaintext", "1").await.unwrap().unwrap();
        let detail = db.reuse_get(short).await.unwrap().unwrap();
        let seen: Vec<_> = detail.finds.iter().map(|find| find.decky.as_str()).collect();
        assert_eq!(seen, ["web-02", "web-01"], "those seen last come first");
        // First nothing is in the index of texts, then some, then all.
        db.search_index(4 * steps).await.unwrap();
    }
    // Further back than one page of a list reads.
    if database.is_sqlite() {
        const { assert!(WINDOW < 60_000) };
        let others = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 60000) \
                      INSERT INTO bounties (digest, kind, attacker_id, decky, service, principal, secret_kind, value, seen_count, \
                      first_seen, last_seen, log_id) SELECT CAST(printf('%016d', n) AS BLOB), kind, attacker_id, decky, service, 'x', \
                      secret_kind, 'other', 1, first_seen + n, last_seen + 60000000 + n, log_id FROM bounties, n WHERE id = 1";
        database.raw(&[others]).await.unwrap();
        let short = db.reuse_of("plaintext", "1").await.unwrap().unwrap();
        let detail = db.reuse_get(short).await.unwrap().unwrap();
        assert_eq!(detail.finds.len(), 2);
    }
}

pub(crate) async fn lists_for_crackers_have_each_line_once(database: &Database) {
    let db = &database.store;
    let secret = |user: &str, kind: &str, value: &str| {
        let fields = [
            ("src_ip", "192.0.2.7"),
            ("principal", user),
            ("secret_kind", kind),
            ("secret_printable", value),
        ];
        line(0, "db-01", "mysql", "auth_attempt", &fields, "")
    };
    let mut lines = vec![
        login(0, "web-01", "192.0.2.7", "root", "toor"),
        login(1, "web-02", "192.0.2.8", "root", "toor"),
        login(2, "web-02", "192.0.2.8", "admin", "toor"),
        login(3, "web-02", "192.0.2.8", "admin", ""),
        login(4, "web-02", "192.0.2.8", "", "nobody"),
        login(5, "web-02", "192.0.2.8", "root", r"two\x0alines"),
        secret("root", "mysql_native_password", "$mysqlna$aa*bb"),
        secret("admin", "mysql_native_password", "$mysqlna$aa*bb"),
        secret("root", "cram_md5", "$cram_md5$YQ==$Yg=="),
        secret("root", "public_key", "SHA256:x"),
        secret("root", "none", ""),
    ];
    lines.extend((0..600).map(|n| login(n, "web-03", "192.0.2.9", "many", &format!("word{n:03}"))));
    store(db, &lines).await;
    compare(db, 100).await;
    let list = async |list| {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let page = db.wordlist_page(list, next.as_deref()).await.unwrap();
            all.extend(page.data);
            next = page.next;
            if next.is_none() {
                all.sort();
                return all;
            }
        }
    };
    assert_eq!(list(Wordlist::Users).await, ["admin", "many", "root"]);
    let passwords = list(Wordlist::Passwords).await;
    let others: Vec<_> = passwords.iter().filter(|w| !w.starts_with("word")).collect();
    assert_eq!(others, ["", "$HEX[74776f0a6c696e6573]", "nobody", "toor"]);
    assert_eq!(passwords.len(), 604);
    let pairs = list(Wordlist::Pairs).await;
    let others: Vec<_> = pairs.iter().filter(|w| !w.starts_with("many:")).collect();
    let expected = [
        ":nobody",
        "admin:",
        "admin:toor",
        "root:$HEX[74776f0a6c696e6573]",
        "root:toor",
    ];
    assert_eq!(others, expected);
    let hashes = async |kind| db.hashcat_page(kind, None).await.unwrap().data;
    assert_eq!(hashes(HashKind::MysqlNative).await, ["$mysqlna$aa*bb"]);
    assert_eq!(hashes(HashKind::CramMd5).await, ["$cram_md5$YQ==$Yg=="]);
}
