//! What is the same among captured credentials: which secret, and which account with it, turns up at several deckies or with
//! several attackers, and the lists of all of them.
//!
//! It is the profiler's: [`Store::credentials_step`] reads bounties from a cursor of its own and moves it in the transaction of its
//! effect. A bounty is one credential of one attacker at one service of one decky, and is read once.

use std::collections::{BTreeMap, BTreeSet};

use decnet_model::{
    printable::bytes_of,
    query::{HashKind, ReuseQuery, ReuseScope, Wordlist},
    view::{BountyView, Page, ReuseDetail, ReuseView},
};

use crate::{
    DbError, Store,
    backend::{Arg, Merge, Row, Sql, Tx},
    cursor,
    evidence::{BOUNTIES_FROM, SELECT_BOUNTIES, bounty},
    meaning::hash16,
    order::{Order, Walk},
    search::WINDOW,
    texts::FINDS,
};

const OPERATION: &str = "compare credentials";
pub(crate) const CURSOR: &str = "credentials";
/// The scope of accounts alone: for the list of users.
const USER: &str = "user";
/// The least [`spread`](self) of what is at several deckies or with several attackers.
const SEVERAL: i64 = 3;
/// Finds that are told of one.
const PLACES: usize = 500;

/// A credential as a bounty has it.
struct Captured {
    attacker: [u8; 16],
    decky: String,
    principal: String,
    secret_kind: String,
    value: String,
    at: i64,
}

/// What a step has of a group.
struct Group {
    scope: &'static str,
    principal: String,
    secret_kind: String,
    value: String,
    first: i64,
    last: i64,
    deckies: u64,
    attackers: u64,
}

/// What both readers of groups select first.
fn reuse(row: &Row, operation: &'static str, is_pair: bool) -> Result<ReuseView, DbError> {
    let c = row.columns(operation);
    Ok(ReuseView {
        id: c.int(0)?,
        principal: is_pair.then(|| c.text(1)).transpose()?,
        secret_kind: c.text(2)?,
        value: c.text(3)?,
        deckies: c.count(4)?,
        attackers: c.count(5)?,
        first_seen: c.time(6)?,
        last_spread: c.time(7)?,
    })
}

/// The groups that a credential belongs to: scope, account, kind and secret.
fn groups_of(one: &Captured) -> impl Iterator<Item = (&'static str, &str, &str, &str)> {
    let secret = (one.secret_kind.as_str(), one.value.as_str());
    let user = (!one.principal.is_empty()).then_some((USER, one.principal.as_str(), "", ""));
    let rest = [
        (ReuseScope::Secret.as_str(), "", secret.0, secret.1),
        (
            ReuseScope::Pair.as_str(),
            one.principal.as_str(),
            secret.0,
            secret.1,
        ),
    ];
    user.into_iter().chain(rest)
}

/// What a group is found by.
fn digest_of(scope: &str, principal: &str, secret_kind: &str, value: &str) -> [u8; 16] {
    hash16([scope, principal, secret_kind, value].map(str::as_bytes))
}

impl Store {
    /// Compares at most `limit` bounties that were not yet; gives how many there were.
    ///
    /// # Errors
    /// Where the database fails; the next step does it again.
    pub async fn credentials_step(&self, limit: u32) -> Result<u64, DbError> {
        let mut tx = self.backend.begin().await?;
        let from = self.log_cursor_in(&mut tx, CURSOR).await?;
        let text = "SELECT id, attacker_id, decky, principal, secret_kind, value, first_seen FROM bounties \
                    WHERE id > ? AND kind = 'credential' ORDER BY id LIMIT ?";
        let rows = tx.fetch(Sql::new(OPERATION, text).bind(from).bind(limit)).await?;
        let Some(last) = rows.last() else {
            return Ok(0);
        };
        let to = last.columns(OPERATION).int(0)?;
        let captured = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok(Captured {
                attacker: c.uuid(1)?.into_bytes(),
                decky: c.text(2)?,
                principal: c.opt_text(3)?.unwrap_or_default(),
                secret_kind: c.opt_text(4)?.unwrap_or_default(),
                value: c.text(5)?,
                at: c.int(6)?,
            })
        });
        let captured = captured.collect::<Result<Vec<_>, DbError>>()?;
        self.compare(&mut tx, &captured).await?;
        self.log_cursor_set(&mut tx, CURSOR, to).await?;
        tx.commit().await?;
        Ok(u64::try_from(captured.len()).unwrap_or(u64::MAX))
    }

    async fn compare(&self, tx: &mut Tx, captured: &[Captured]) -> Result<(), DbError> {
        let mut groups: BTreeMap<[u8; 16], Group> = BTreeMap::new();
        // A member, with the group that it counts for and whether it is a decky.
        let mut members: BTreeMap<[u8; 16], ([u8; 16], bool)> = BTreeMap::new();
        for one in captured {
            for (scope, principal, secret_kind, value) in groups_of(one) {
                let digest = digest_of(scope, principal, secret_kind, value);
                let group = groups.entry(digest).or_insert_with(|| Group {
                    scope,
                    principal: principal.to_owned(),
                    secret_kind: secret_kind.to_owned(),
                    value: value.to_owned(),
                    first: one.at,
                    last: one.at,
                    deckies: 0,
                    attackers: 0,
                });
                group.first = group.first.min(one.at);
                group.last = group.last.max(one.at);
                let decky = hash16([digest.as_slice(), b"decky", one.decky.as_bytes()]);
                let attacker = hash16([digest.as_slice(), b"attacker", one.attacker.as_slice()]);
                members.insert(decky, (digest, true));
                members.insert(attacker, (digest, false));
            }
        }
        let keys: Vec<_> = members.keys().map(|key| key.to_vec()).collect();
        let known = tx
            .existing(OPERATION, "credential_members", "digest", &keys)
            .await?;
        let known: BTreeSet<_> = known.into_iter().collect();
        members.retain(|key, _| !known.contains(key.as_slice()));
        for (digest, is_decky) in members.values() {
            if let Some(group) = groups.get_mut(digest) {
                group.deckies += u64::from(*is_decky);
                group.attackers += u64::from(!*is_decky);
            }
        }
        let rows: Vec<[Arg; 1]> = members.keys().map(|key| [key.as_slice().into()]).collect();
        tx.insert_rows(
            OPERATION,
            "INSERT INTO credential_members (digest) VALUES ",
            "",
            rows,
        )
        .await?;
        let upsert = self.backend.dialect().upsert(
            "digest",
            &[
                ("decky_count", Merge::Add),
                ("attacker_count", Merge::Add),
                ("spread", Merge::Add),
                ("first_seen", Merge::Min),
                ("last_spread_at", Merge::Max),
            ],
        );
        let rows = groups.into_iter().map(|(digest, group)| {
            [
                digest.as_slice().into(),
                group.scope.into(),
                group.principal.into(),
                group.secret_kind.into(),
                group.value.into(),
                group.deckies.into(),
                group.attackers.into(),
                (group.deckies + group.attackers).into(),
                group.first.into(),
                group.last.into(),
            ]
        });
        tx.insert_rows(
            OPERATION,
            "INSERT INTO credential_groups (digest, scope, principal, secret_kind, value, decky_count, attacker_count, \
             spread, first_seen, last_spread_at) VALUES ",
            &upsert,
            rows.collect(),
        )
        .await
    }

    pub(crate) async fn credentials_clear_in(&self, tx: &mut Tx) -> Result<(), DbError> {
        for table in ["credential_groups", "credential_members"] {
            tx.execute(Sql::new(OPERATION, format!("DELETE FROM {table}")))
                .await?;
        }
        let sql = Sql::new(OPERATION, "DELETE FROM log_cursors WHERE name = ?").bind(CURSOR);
        tx.execute(sql).await.map(drop)
    }

    /// What is at several deckies or with several attackers, spread widest first. While one spreads it may move between the pages of
    /// a reader.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] naming the field.
    pub async fn reuse_page(&self, query: &ReuseQuery) -> Result<Page<ReuseView>, DbError> {
        const READ: &str = "read reused credentials";
        let size = cursor::page_size(query.limit)?;
        let scope = query.scope.unwrap_or(ReuseScope::Secret);
        // Without being told SQLite takes the index of all forms for a page that begins in the middle.
        let index = match query.secret_kind {
            Some(_) => "credential_groups_kind_spread",
            None => "credential_groups_spread",
        };
        let text = format!(
            "SELECT id, principal, secret_kind, value, decky_count, attacker_count, first_seen, last_spread_at, spread \
             FROM credential_groups{} WHERE scope = ? AND spread >= ?",
            self.backend.dialect().by_index(Some(index))
        );
        let mut sql = Sql::new(READ, text).bind(scope.as_str()).bind(SEVERAL);
        if let Some((spread, id)) = cursor::pair_of(query.before.as_deref())? {
            sql.push(" AND spread <= ? AND (spread < ? OR id < ?)")
                .arg(spread)
                .arg(spread)
                .arg(id);
        }
        if let Some(kind) = &query.secret_kind {
            sql.push(" AND secret_kind = ?").arg(kind.as_str());
        }
        sql.push(" ORDER BY spread DESC, id DESC LIMIT ?").arg(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let views = rows.iter().map(|row| {
            let view = reuse(row, READ, scope == ReuseScope::Pair)?;
            Ok((row.columns(READ).int(8)?, view))
        });
        let views = views.collect::<Result<Vec<_>, DbError>>()?;
        let page = cursor::page(views, size, |(spread, view)| cursor::of_pair(*spread, view.id));
        Ok(page.map(|(_, view)| view))
    }

    /// What stands among reused secrets for this form and secret, as a find has them: its id. None where it is in one place, or the profiler
    /// has not come to it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn reuse_of(&self, secret_kind: &str, value: &str) -> Result<Option<i64>, DbError> {
        const READ: &str = "look up a secret";
        let digest = digest_of(ReuseScope::Secret.as_str(), "", secret_kind, value);
        let text = "SELECT id FROM credential_groups WHERE digest = ? AND spread >= ?";
        let sql = Sql::new(READ, text).bind(digest.as_slice()).bind(SEVERAL);
        let row = self.backend.fetch_optional(sql).await?;
        row.map(|row| row.columns(READ).int(0)).transpose()
    }

    /// A credential that is in several places, and each of them: the 500 that were seen last, those first. They are looked up by the index
    /// of texts. Where that has many with such a text, or the text is too short for it, finds are read in their order until there are 500.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn reuse_get(&self, id: i64) -> Result<Option<ReuseDetail>, DbError> {
        const READ: &str = "read a reused credential";
        let text = "SELECT id, principal, secret_kind, value, decky_count, attacker_count, first_seen, last_spread_at, scope \
                    FROM credential_groups WHERE id = ? AND scope <> ? AND spread >= ?";
        let sql = Sql::new(READ, text).bind(id).bind(USER).bind(SEVERAL);
        let Some(row) = self.backend.fetch_optional(sql).await? else {
            return Ok(None);
        };
        let is_pair = row.columns(READ).text(8)? == ReuseScope::Pair.as_str();
        let reuse = reuse(&row, READ, is_pair)?;
        let dialect = self.backend.dialect();
        let wanted = match &reuse.principal {
            Some(principal) => format!("{principal}\0{}", reuse.value),
            None => reuse.value.clone(),
        };
        let few = self.texts_few(&FINDS, &wanted).await?;
        let mut walk: Walk<'_, i64> = Walk {
            from: BOUNTIES_FROM,
            order: Order::by_rank("b.last_seen", "b.id", true),
            before: None,
            along: &[],
        };
        let mut finds: Vec<BountyView> = Vec::new();
        while finds.len() < PLACES {
            let reach = match &few {
                Some(_) => None,
                None => self.reach(&walk, WINDOW).await?,
            };
            let mut sql = match &few {
                Some(few) => few.of(READ, dialect, SELECT_BOUNTIES, BOUNTIES_FROM, "b.id"),
                None => Sql::new(READ, SELECT_BOUNTIES),
            };
            // The plus keeps the order's index: of one kind there are more than of one secret.
            sql.push(" WHERE +b.kind = 'credential' AND COALESCE(b.secret_kind, '') = ?")
                .arg(reuse.secret_kind.as_str());
            let texts = [
                ("b.value", Some(&reuse.value)),
                ("COALESCE(b.principal, '')", reuse.principal.as_ref()),
            ];
            for (column, text) in texts {
                if let Some(text) = text {
                    // MySQL takes texts for the same that differ by spaces at their ends.
                    sql.push(&format!(" AND {column} = ? AND LENGTH({column}) = LENGTH(?)"))
                        .arg(text)
                        .arg(text);
                }
            }
            if let Some(before) = walk.before {
                walk.order.after(dialect, &mut sql, before);
            }
            if let Some(reach) = &reach {
                walk.order.within(dialect, &mut sql, reach);
            }
            walk.order.sort(&mut sql);
            sql.arg(PLACES - finds.len());
            for row in &self.backend.fetch(sql).await? {
                finds.push(bounty(row)?);
            }
            let Some(reach) = reach else { break };
            walk.before = Some(reach.last);
        }
        Ok(Some(ReuseDetail { reuse, finds }))
    }

    /// Lines for a password cracker, each once, in the order in which they turned up.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a cursor that is none.
    pub async fn wordlist_page(&self, list: Wordlist, before: Option<&str>) -> Result<Page<String>, DbError> {
        let (scope, kind) = match list {
            Wordlist::Users => (USER, ""),
            Wordlist::Passwords => (ReuseScope::Secret.as_str(), "plaintext"),
            Wordlist::Pairs => (ReuseScope::Pair.as_str(), "plaintext"),
        };
        self.lines(scope, kind, before, |principal, value| match list {
            Wordlist::Users => word(principal),
            Wordlist::Passwords => word(value),
            Wordlist::Pairs => format!("{}:{}", word(principal), word(value)),
        })
        .await
    }

    /// Hashes of a kind, each once, as hashcat takes them.
    ///
    /// # Errors
    /// [`DbError::BadQuery`] for a cursor that is none.
    pub async fn hashcat_page(&self, kind: HashKind, before: Option<&str>) -> Result<Page<String>, DbError> {
        let scope = ReuseScope::Secret.as_str();
        self.lines(scope, kind.as_str(), before, |_, value| {
            value.replace(['\r', '\n'], "")
        })
        .await
    }

    async fn lines(
        &self,
        scope: &'static str,
        kind: &'static str,
        before: Option<&str>,
        line: impl Fn(&str, &str) -> String,
    ) -> Result<Page<String>, DbError> {
        const READ: &str = "read captured credentials";
        let size = cursor::page_size(Some(decnet_model::view::MAX_LIMIT))?;
        let text = "SELECT id, principal, value FROM credential_groups \
                    WHERE scope = ? AND secret_kind = ? AND id > ? ORDER BY id LIMIT ?";
        let sql = Sql::new(READ, text)
            .bind(scope)
            .bind(kind)
            .bind(cursor::id_of(before)?.unwrap_or(0))
            .bind(size + 1);
        let rows = self.backend.fetch(sql).await?;
        let lines = rows.iter().map(|row| {
            let c = row.columns(READ);
            Ok((c.int(0)?, line(&c.text(1)?, &c.text(2)?)))
        });
        let lines = lines.collect::<Result<Vec<_>, DbError>>()?;
        Ok(cursor::page(lines, size, |(id, _)| cursor::of_id(*id)).map(|(_, line)| line))
    }
}

/// A captured text as a line of a wordlist: bytes that no line can hold stand as `$HEX[…]`, which hashcat and john read.
fn word(stored: &str) -> String {
    let bytes = bytes_of(stored);
    let is_line = |text: &str| !text.chars().any(char::is_control) && !text.starts_with("$HEX[");
    match std::str::from_utf8(&bytes) {
        Ok(text) if is_line(text) => text.to_owned(),
        _ => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("$HEX[{hex}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_line_whatever_was_typed() {
        for (stored, line) in [
            ("toor", "toor"),
            ("", ""),
            ("p:w \u{e9}\u{1F980}", "p:w \u{e9}\u{1F980}"),
            (r"a\x0ab", "$HEX[610a62]"),
            (r"\xff", "$HEX[ff]"),
            ("$HEX[41]", "$HEX[244845585b34315d]"),
            (r"C:\x", r"C:\x"),
        ] {
            assert_eq!(word(stored), line, "{stored:?}");
        }
    }
}
