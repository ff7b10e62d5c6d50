//! Cursors of keyset-paged lists: opaque to callers, a few numbers to us.

use decnet_model::view::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use uuid::Uuid;

use crate::DbError;

/// Rows of a page: what was asked for within the limits.
pub(crate) fn page_size(limit: Option<u32>) -> Result<usize, DbError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(usize::try_from(limit).unwrap_or(1))
    } else {
        Err(DbError::BadQuery {
            field: "limit",
            rule: format!("1 to {MAX_LIMIT}"),
        })
    }
}

fn bad() -> DbError {
    DbError::BadQuery {
        field: "before",
        rule: "a cursor that a page gave as next".into(),
    }
}

/// A number of a cursor, written as it is given out: at most so many digits as the API's description allows, whatever else a number can be
/// read from.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    whole.then(|| text.parse().ok()).flatten()
}

/// A cursor over ids.
pub(crate) fn id_of(before: Option<&str>) -> Result<Option<i64>, DbError> {
    before
        .map(|c| c.strip_prefix('i').and_then(number).ok_or_else(bad))
        .transpose()
}

pub(crate) fn of_id(id: i64) -> String {
    format!("i{id}")
}

/// A cursor over a number and a UUID that breaks ties.
pub(crate) fn ranked_of(before: Option<&str>) -> Result<Option<(i64, Uuid)>, DbError> {
    before
        .map(|c| {
            let (rank, id) = c.strip_prefix('r')?.split_once('.')?;
            let id = Uuid::parse_str(id)
                .ok()
                .filter(|parsed| parsed.simple().to_string() == id)?;
            Some((number(rank)?, id))
        })
        .map(|parsed| parsed.ok_or_else(bad))
        .transpose()
}

pub(crate) fn of_ranked(rank: i64, id: Uuid) -> String {
    format!("r{rank}.{}", id.simple())
}

/// A cursor over a number and an id that breaks ties.
pub(crate) fn pair_of(before: Option<&str>) -> Result<Option<(i64, i64)>, DbError> {
    before
        .map(|c| {
            let (rank, id) = c.strip_prefix('p')?.split_once('.')?;
            Some((number(rank)?, number(id)?))
        })
        .map(|parsed| parsed.ok_or_else(bad))
        .transpose()
}

pub(crate) fn of_pair(rank: i64, id: i64) -> String {
    format!("p{rank}.{id}")
}

/// A page of `rows`, of which one more than `size` was asked for, to know whether another follows.
pub(crate) fn page<T>(mut rows: Vec<T>, size: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(cursor);
    Page {
        data: rows,
        next,
        total: None,
    }
}

/// The page of a search for what no text has: a NUL, which would end a pattern on SQLite.
pub(crate) fn nothing<T>() -> Page<T> {
    Page {
        data: Vec::new(),
        next: None,
        total: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds of the last year that a time can have fit it.
    const LARGEST: i64 = 999_999_999_999_999_999;

    #[test]
    fn cursors_come_back_and_anything_else_is_refused() {
        assert_eq!(id_of(Some(&of_id(-7))).unwrap(), Some(-7));
        let id = Uuid::from_u128(42);
        assert_eq!(
            ranked_of(Some(&of_ranked(-LARGEST, id))).unwrap(),
            Some((-LARGEST, id))
        );
        assert_eq!(pair_of(Some(&of_pair(-1, LARGEST))).unwrap(), Some((-1, LARGEST)));
        for bad in [
            "",
            "p1",
            "p1.x",
            "7",
            "i",
            "i1x",
            "r1",
            "r1.zz",
            "r1.0000000000000000000000000000002A",
            "r1.00000000-0000-0000-0000-00000000002a",
            "r+1.0000000000000000000000000000002a",
            "i+1",
            "i 1",
            "i--1",
            "i-",
            "i1000000000000000000",
            "p1.+1",
            "p1.1000000000000000000",
            "i99999999999999999999",
            "i1; DROP TABLE logs",
        ] {
            assert!(
                id_of(Some(bad)).is_err() && ranked_of(Some(bad)).is_err() && pair_of(Some(bad)).is_err(),
                "{bad:?}"
            );
        }
    }
}
