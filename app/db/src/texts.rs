//! Indexes of texts, by which a search finds rows without reading them all.
//!
//! An index has the trigrams of what a list is searched by, under the ids of the list's rows. It is filled by the profiler, behind
//! whoever stores the rows: an index in the ingester's own transaction would cost more than everything else in it. It only narrows: each row
//! that it gives is held against what was asked for, and rows that it does not have yet are read.
//!
//! On SQLite that is FTS5, which makes the trigrams. On MySQL and MariaDB, whose n-gram parser only one of the two has, it is a full-text
//! index of InnoDB over words that we make: a row has every trigram of its texts once, as a word of a digit and three digits or letters
//! (`gram`), which no parser cuts and no list of stopwords has. Three things differ there:
//!
//! - The database folds case, here by the same `LOWER` as where a row is held against a word (`Dialect::like`), so that the
//!   index never loses what reading would find.
//! - InnoDB finds all that there is before it gives any of it. So the rarest trigrams are asked first, because each further one is only
//!   looked for among what the ones before have left; and those that are common are not asked: where all are, rows are read.
//! - InnoDB keeps a list of what was deleted, and every search reads it: [`Store::search_tidy`] makes the indexes anew before
//!   that list is long.

use crate::{
    DbError, Store,
    backend::{Arg, Backend, Dialect, Sql, Tx},
};

/// Trigrams of a search that an index is asked for: the first ones tell nearly everything.
const MAX_TRIGRAMS: usize = 24;

/// Newest rows, and characters of each, by which it is told which trigrams are rare.
const SAMPLE: usize = 100;
const SAMPLE_CHARS: u32 = 2_000;
/// A trigram that more rows of the sample have is not asked of InnoDB: it takes longer to find all that have it than to read rows.
const COMMON: usize = SAMPLE / 10;

/// Characters of a word of [`gram`].
const GRAM_CHARS: i64 = 4;
/// How many words there are: ten digits, each before three digits of base 36.
const GRAMS: u32 = 10 * 36 * 36 * 36;

/// About how many bytes of words go to the database in one statement: MariaDB takes no more than 16 MiB, and the words of the
/// longest line are a third of one.
const STATEMENT_BYTES: usize = 4 << 20;

/// Rows that are found by their keys and then sorted, at most. Where more may fit, a page is full after a short walk in the list's order.
pub(crate) const FEW: i64 = 5_000;

const READ: &str = "read an index of texts";
const INDEX: &str = "index texts for the search";

/// What a list is searched by, and its index.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The index's table; its id is the row's, named `rowid`.
    pub(crate) index: &'static str,
    /// What SQLite's index calls its texts.
    column: &'static str,
    /// Under which name it is kept up to which row the index is. That row of the table of cursors is the index's lock on MySQL: whoever
    /// changes the index holds it.
    pub(crate) cursor: &'static str,
    /// The table of the rows.
    table: &'static str,
    /// Where the texts come from; `t` are the rows.
    from: &'static str,
    /// The texts, of which some may be NULL.
    texts: &'static [&'static str],
    /// How many of the newest rows are left out. Where several add rows at once, one of a lower id may come after the others.
    unsettled: i64,
}

/// Lines of evidence.
pub(crate) const LOGS: Texts = Texts {
    index: "log_search",
    column: "raw",
    cursor: "search",
    table: "logs",
    from: "logs t",
    texts: &["t.raw"],
    unsettled: 0,
};

/// Finds, which the ingester stores in the order of their ids.
pub(crate) const FINDS: Texts = Texts {
    index: "bounty_search",
    column: "texts",
    cursor: "search_bounties",
    table: "bounties",
    from: "bounties t JOIN attackers a ON a.id = t.attacker_id",
    texts: &["t.principal", "t.value", "t.decky", "t.service", "a.ip"],
    unsettled: 0,
};

/// Entries of the audit log, which every process appends to.
pub(crate) const AUDIT: Texts = Texts {
    index: "audit_search",
    column: "texts",
    cursor: "search_audit",
    table: "audit_log",
    from: "audit_log t",
    texts: &["t.target"],
    unsettled: 1_000,
};

impl Texts {
    /// All texts of a row in one.
    fn text(&self, dialect: Dialect) -> String {
        match (self.texts, dialect) {
            ([text], _) => (*text).to_owned(),
            (texts, Dialect::Sqlite) => {
                let texts = texts.iter().map(|text| format!("COALESCE({text}, '')"));
                texts.collect::<Vec<_>>().join(" || ' ' || ")
            }
            (texts, Dialect::MySql) => format!("CONCAT_WS(' ', {})", texts.join(", ")),
        }
    }

    /// The rows of the index, which is named `s`, that agree with what it is asked, an argument.
    pub(crate) fn matches(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Sqlite => format!("{} MATCH ?", self.index),
            Dialect::MySql => "MATCH (s.grams) AGAINST (? IN BOOLEAN MODE)".to_owned(),
        }
    }
}

/// Every three characters in a row.
fn threes(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).skip(2);
    text.char_indices()
        .zip(ends)
        .filter_map(|((start, _), end)| text.get(start..end))
}

/// What is between the characters of `text` that a line escapes: a text with one may stand in the line in two ways.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    // No text has a NUL, and FTS5 would take it for the end of the question.
    text.split(['"', '\\', ']', '\0'])
}

/// The trigrams of `text` by which it can be looked for.
pub(crate) fn trigrams(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).flat_map(threes)
}

/// A trigram as the number of its word: FNV-1a of its bytes (<http://www.isthe.com/chongo/tech/comp/fnv/>). Two may have one word, as an
/// index only narrows; in return words are short, which is most of what such an index costs, and nobody can make more than there are.
/// Stored rows have these words, so another way to make them needs the index to be made again.
fn gram(trigram: &str) -> u32 {
    let hash = trigram.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % GRAMS
}

/// Adds the word of a number of [`gram`]. It begins with a digit, so that it is none of a language.
fn push_word(out: &mut String, gram: u32) {
    for place in [36 * 36 * 36, 36 * 36, 36, 1] {
        out.extend(char::from_digit(gram / place % 36, 36));
    }
}

/// Each trigram of a text once, as words.
fn text_words(text: &str) -> String {
    let mut grams: Vec<u32> = threes(text).map(gram).collect();
    grams.sort_unstable();
    grams.dedup();
    let mut out = String::with_capacity(grams.len() * 5);
    for gram in grams {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, gram);
    }
    out
}

/// SELECTs of ids, named `id`: a row that can fit is in one of them at least.
pub(crate) type Parts = Vec<(String, Vec<Arg>)>;

/// A SELECT of the ids, named `id`, of the few rows that can fit.
pub(crate) struct Few {
    pub(crate) text: String,
    pub(crate) args: Vec<Arg>,
}

impl Few {
    /// `select`, of these rows only of what it reads `from`, whose id is `id`: a table with its name, as it stands in it. They are looked
    /// up, whatever order is asked for: else a database may walk a whole index so as not to sort them.
    pub(crate) fn of(
        &self,
        operation: &'static str,
        dialect: Dialect,
        select: &str,
        from: &str,
        id: &str,
    ) -> Sql {
        let join = match dialect {
            Dialect::Sqlite => "CROSS JOIN",
            Dialect::MySql => "STRAIGHT_JOIN",
        };
        let these = format!("FROM ({}) few {join} {from} ON {id} = few.id", self.text);
        let mut sql = Sql::new(operation, select.replacen(&format!("FROM {from}"), &these, 1));
        for arg in &self.args {
            sql.arg(arg.clone());
        }
        sql
    }
}

impl Store {
    /// Brings an index on by at most `rows` rows; gives how many there were.
    pub(crate) async fn texts_index(&self, texts: &Texts, rows: u32) -> Result<u64, DbError> {
        let Texts {
            index,
            column,
            cursor,
            table,
            from: source,
            unsettled,
            ..
        } = texts;
        let dialect = self.backend.dialect();
        let from = self.log_cursor(cursor).await?;
        let settled = match unsettled {
            0 => String::new(),
            newest => format!(" AND id <= (SELECT MAX(id) FROM {table}) - {newest}"),
        };
        let text = format!(
            "SELECT COUNT(*), MAX(id) FROM (SELECT id FROM {table} WHERE id > ?{settled} ORDER BY id LIMIT ?) l"
        );
        let found = self
            .backend
            .fetch_optional(Sql::new(INDEX, text).bind(from).bind(rows))
            .await?;
        let Some((count, Some(to))) = found
            .map(|row| Ok((row.columns(INDEX).count(0)?, row.columns(INDEX).opt_int(1)?)))
            .transpose()?
        else {
            return Ok(0);
        };
        let mut tx = self.backend.begin().await?;
        if self.log_cursor_in(&mut tx, cursor).await? != from {
            return Ok(0);
        }
        // All may have been deleted since, and ids have begun anew.
        let there = format!("SELECT MAX(id) FROM {table} WHERE id > ? AND id <= ?");
        let there = tx
            .fetch_optional(Sql::new(INDEX, there).bind(from).bind(to))
            .await?;
        let Some(to) = there.map_or(Ok(None), |row| row.columns(INDEX).opt_int(0))? else {
            return Ok(0);
        };
        let text = texts.text(dialect);
        let those = format!("FROM {source} WHERE t.id > ? AND t.id <= ?");
        match dialect {
            Dialect::Sqlite => {
                let text = format!("INSERT INTO {index} (rowid, {column}) SELECT t.id, {text} {those}");
                tx.execute(Sql::new(INDEX, text).bind(from).bind(to)).await?;
            }
            Dialect::MySql => {
                let text = format!("SELECT t.id, LOWER({text}) {those}");
                index_grams(&mut tx, index, Sql::new(INDEX, text).bind(from).bind(to)).await?;
            }
        }
        self.log_cursor_set(&mut tx, cursor, to).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// What an index, which has the rows up to `indexed`, is asked: for rows with all trigrams of `wanted`, which are texts with a NUL between
    /// them. None where that would narrow next to nothing.
    pub(crate) async fn texts_question(
        &self,
        texts: &Texts,
        wanted: &str,
        indexed: i64,
    ) -> Result<Option<String>, DbError> {
        let dialect = self.backend.dialect();
        if dialect == Dialect::Sqlite {
            return Ok(match_expression(wanted));
        }
        let fold = Sql::new(READ, "SELECT LOWER(?)").bind(wanted);
        let Some(folded) = self.backend.fetch_optional(fold).await? else {
            return Ok(None);
        };
        let newest = format!(
            "SELECT LOWER(LEFT({}, ?)) FROM {} WHERE t.id <= ? ORDER BY t.id DESC LIMIT ?",
            texts.text(dialect),
            texts.from
        );
        let newest = Sql::new(READ, newest)
            .bind(SAMPLE_CHARS)
            .bind(indexed)
            .bind(SAMPLE);
        let newest = self.backend.fetch(newest).await?;
        let sample = newest.iter().map(|row| row.columns(READ).text(0));
        let sample = sample.collect::<Result<Vec<_>, DbError>>()?;
        Ok(boolean_expression(&folded.columns(READ).text(0)?, &sample))
    }

    /// The rows of the first of these ways to find rows that gives few. None where each gives more than [`FEW`], and where there is no way.
    pub(crate) async fn few(&self, ways: Vec<Parts>) -> Result<Option<Few>, DbError> {
        const READ: &str = "see whether few rows can fit";
        for parts in ways {
            let mut found = Sql::new(READ, "SELECT COUNT(*) FROM (");
            for (n, (text, args)) in parts.iter().enumerate() {
                let and = if n > 0 { " UNION ALL " } else { "" };
                found.push(&format!("{and}SELECT id FROM ({text} LIMIT ?) part{n}"));
                for arg in args {
                    found.arg(arg.clone());
                }
                found.arg(FEW + 1);
            }
            found.push(") l");
            let found = self.backend.fetch_optional(found).await?;
            if found.map_or(Ok(0), |row| row.columns(READ).int(0))? <= FEW {
                let (texts, args): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                return Ok(Some(Few {
                    // Each once, however many parts have it.
                    text: texts.join(" UNION "),
                    args: args.into_iter().flatten().collect(),
                }));
            }
        }
        Ok(None)
    }

    /// The rows that can have all of `wanted`, texts with a NUL between them: those of the index, and those that it does not have yet. None
    /// where that are more than [`FEW`], or where no text is long enough to be asked for.
    pub(crate) async fn texts_few(&self, texts: &Texts, wanted: &str) -> Result<Option<Few>, DbError> {
        if trigrams(wanted).next().is_none() {
            return Ok(None);
        }
        let Texts { index, table, .. } = texts;
        let indexed = self.log_cursor(texts.cursor).await?;
        let newest = self
            .backend
            .fetch_optional(Sql::new(READ, format!("SELECT MAX(id) FROM {table}")));
        let newest = newest
            .await?
            .map_or(Ok(None), |row| row.columns(READ).opt_int(0))?;
        if newest.unwrap_or(0) - indexed > FEW {
            return Ok(None);
        }
        let Some(question) = self.texts_question(texts, wanted, indexed).await? else {
            return Ok(None);
        };
        let matching = format!(
            "SELECT s.rowid AS id FROM {index} s WHERE {} AND s.rowid <= ?",
            texts.matches(self.backend.dialect())
        );
        let few = Few {
            text: format!("{matching} UNION ALL SELECT t.id FROM {table} t WHERE t.id > ?"),
            args: vec![question.as_str().into(), indexed.into(), indexed.into()],
        };
        let found = Sql::new(READ, format!("SELECT COUNT(*) FROM ({matching} LIMIT ?) l"))
            .bind(question)
            .bind(indexed)
            .bind(FEW + 1);
        let found = self.backend.fetch_optional(found).await?;
        let found = found.map_or(Ok(0), |row| row.columns(READ).int(0))?;
        Ok((found <= FEW).then_some(few))
    }
}

/// What FTS5 is asked for rows with these texts: for as few trigrams as have all their characters, because each costs a look at every part
/// of the index, and those between them tell next to nothing more. None where no text is long enough.
fn match_expression(wanted: &str) -> Option<String> {
    let mut asked = Vec::new();
    for text in pieces(wanted) {
        let all: Vec<&str> = threes(text).collect();
        asked.extend(all.iter().step_by(3).chain(all.last()).copied());
    }
    asked.sort_unstable();
    asked.dedup();
    asked.truncate(MAX_TRIGRAMS);
    // Quoted for FTS5; a quote cannot be among them, see `pieces`.
    (!asked.is_empty()).then(|| {
        asked
            .iter()
            .map(|t| format!("\"{t}\""))
            .collect::<Vec<_>>()
            .join(" AND ")
    })
}

/// What a full-text index of InnoDB is asked for rows with all of these trigrams, those that fewest texts of the sample have first. None
/// where all are common.
fn boolean_expression(folded: &str, sample: &[String]) -> Option<String> {
    let texts_with = |trigram: &str| sample.iter().filter(|text| text.contains(trigram)).count();
    let mut distinct: Vec<&str> = trigrams(folded).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut asked: Vec<(usize, &str)> = distinct.into_iter().map(|t| (texts_with(t), t)).collect();
    asked.retain(|(texts, _)| *texts <= COMMON);
    asked.sort_unstable();
    asked.truncate(MAX_TRIGRAMS);
    let mut out = String::new();
    for (_, trigram) in &asked {
        out.push_str(if out.is_empty() { "+" } else { " +" });
        push_word(&mut out, gram(trigram));
    }
    (!out.is_empty()).then_some(out)
}

/// Puts the words of rows, of which `select` gives id and text, into a full-text index.
async fn index_grams(tx: &mut Tx, index: &str, select: Sql) -> Result<(), DbError> {
    let head = format!("INSERT INTO {index} (rowid, grams) VALUES ");
    let texts = tx.fetch(select).await?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for text in &texts {
        let c = text.columns(INDEX);
        let words = text_words(&c.text(1)?);
        bytes += words.len();
        rows.push([c.int(0)?.into(), words.into()]);
        if bytes >= STATEMENT_BYTES {
            tx.insert_rows(INDEX, &head, "", std::mem::take(&mut rows))
                .await?;
            bytes = 0;
        }
    }
    tx.insert_rows(INDEX, &head, "", rows).await
}

/// Succeeds where the server's full-text indexes take words of [`gram`]: shorter ones than it is set to they leave out, and a search
/// would find nothing.
pub(crate) async fn suits(backend: &Backend) -> Result<(), DbError> {
    const READ: &str = "read how the server indexes texts";
    if backend.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let row = backend.fetch_optional(Sql::new(READ, "SELECT @@innodb_ft_min_token_size"));
    let least = row.await?.map_or(Ok(0), |row| row.columns(READ).int(0))?;
    if least <= GRAM_CHARS {
        return Ok(());
    }
    Err(DbError::Unsuited {
        variable: "innodb_ft_min_token_size",
        found: least,
        rule: format!("at most {GRAM_CHARS}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigrams_leave_out_what_a_line_escapes() {
        assert_eq!(trigrams(r#"ab"cdef]gh"#).collect::<Vec<_>>(), ["cde", "def"]);
        assert_eq!(trigrams("abc\0def").collect::<Vec<_>>(), ["abc", "def"]);
        assert_eq!(
            trigrams("a\u{e9}\u{8a9e}\u{1F980}").collect::<Vec<_>>(),
            ["a\u{e9}\u{8a9e}", "\u{e9}\u{8a9e}\u{1F980}"]
        );
        assert_eq!(match_expression("ab"), None);
        assert_eq!(match_expression("wget").as_deref(), Some("\"get\" AND \"wge\""));
        assert_eq!(
            match_expression("phpmyadmin\0pass").as_deref(),
            Some("\"ass\" AND \"dmi\" AND \"min\" AND \"mya\" AND \"pas\" AND \"php\"")
        );
    }

    #[test]
    fn a_text_has_each_trigram_once_as_a_word() {
        let mut both = ["9nox", "66p6"];
        both.sort_unstable();
        assert_eq!(text_words("ababa"), both.join(" "));
        assert_eq!(text_words("ab"), "");
        for text in ["the", "\u{10FFFF}\u{10FFFF}\u{10FFFF}", "+-*", "\0\0\0"] {
            let word = text_words(text);
            assert_eq!(i64::try_from(word.len()).unwrap(), GRAM_CHARS);
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            assert!(word.starts_with(|c: char| c.is_ascii_digit()));
        }
    }

    #[test]
    fn the_rarest_trigrams_are_asked_first_and_the_commonest_not_at_all() {
        // Of the texts of a sample, abc is in all, cde in as many as may be, xyz in one.
        let sample: Vec<String> = (0..SAMPLE)
            .map(|n| match n {
                0 => "abc cde xyz".to_owned(),
                n if n < COMMON => "abc cde".to_owned(),
                _ => "abc".to_owned(),
            })
            .collect();
        let asked = |wanted: &str| boolean_expression(wanted, &sample);
        assert_eq!(asked("abc\0cde\0xyz").as_deref(), Some("+7ug0 +09b9"));
        assert_eq!(asked("abc"), None);
        assert_eq!(asked("qqqqqq").as_deref(), Some("+18lu"));
        assert_eq!(asked(""), None);
        let long: String = ('\u{4e00}'..'\u{9fff}').take(200).collect();
        assert_eq!(asked(&long).unwrap().split(' ').count(), MAX_TRIGRAMS);
        // What an operator of the boolean mode is made of is no different from other characters.
        assert_eq!(asked("+-*").as_deref(), Some("+3xml"));
    }

    #[test]
    fn the_texts_of_a_row_are_one_text_whichever_of_them_are_missing() {
        assert_eq!(LOGS.text(Dialect::Sqlite), "t.raw");
        assert_eq!(LOGS.text(Dialect::MySql), "t.raw");
        assert!(
            FINDS
                .text(Dialect::Sqlite)
                .starts_with("COALESCE(t.principal, '') || ' ' || COALESCE(t.value")
        );
        assert!(
            FINDS
                .text(Dialect::MySql)
                .starts_with("CONCAT_WS(' ', t.principal, t.value")
        );
    }
}
