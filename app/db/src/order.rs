//! The order of a list along an index, and how far one page may walk along it.

use uuid::Uuid;

use crate::{
    DbError, Store,
    backend::{Arg, Columns, Dialect, Sql},
    search::WINDOW,
};

/// What tells rows of one rank apart.
pub(crate) trait Key: Into<Arg> + Copy {
    /// That of a row.
    fn read(columns: &Columns<'_>, i: usize) -> Result<Self, DbError>;
}

impl Key for i64 {
    fn read(columns: &Columns<'_>, i: usize) -> Result<Self, DbError> {
        columns.int(i)
    }
}

impl Key for Uuid {
    fn read(columns: &Columns<'_>, i: usize) -> Result<Self, DbError> {
        columns.uuid(i)
    }
}

/// By a rank, and by the id among rows of one rank: an index has both. Without a rank by the id alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    rank: Option<&'static str>,
    id: &'static str,
    descending: bool,
}

/// Where a row stands in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<I> {
    /// Of no meaning in an order by the id alone.
    pub(crate) rank: i64,
    pub(crate) id: I,
}

/// As far as a page may walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<I> {
    /// The last row that it reads: the next page begins after it.
    pub(crate) last: Place<I>,
    /// The first that it does not.
    beyond: Place<I>,
}

impl Order {
    pub(crate) fn by_id(id: &'static str, descending: bool) -> Self {
        Self {
            rank: None,
            id,
            descending,
        }
    }

    pub(crate) fn by_rank(rank: &'static str, id: &'static str, descending: bool) -> Self {
        Self {
            rank: Some(rank),
            id,
            descending,
        }
    }

    /// The other way round.
    fn reversed(self) -> Self {
        Self {
            descending: !self.descending,
            ..self
        }
    }

    /// Only rows after this one.
    pub(crate) fn after<I: Key>(self, dialect: Dialect, sql: &mut Sql, place: Place<I>) {
        let Some(rank) = self.rank else {
            let than = if self.descending { '<' } else { '>' };
            sql.push(&format!(" AND {} {than} ?", self.id)).arg(place.id);
            return;
        };
        let (after, ranks) = dialect.after(rank, self.id, self.descending);
        sql.push(&format!(" AND {after}"));
        for _ in 0..ranks {
            sql.arg(place.rank);
        }
        sql.arg(place.id);
    }

    /// Only rows that are within reach.
    pub(crate) fn within<I: Key>(self, dialect: Dialect, sql: &mut Sql, reach: &Reach<I>) {
        self.reversed().after(dialect, sql, reach.beyond);
    }

    /// The end of the statement.
    pub(crate) fn sort(self, sql: &mut Sql) {
        let way = if self.descending { "DESC" } else { "ASC" };
        let rank = self
            .rank
            .map_or_else(String::new, |rank| format!("{rank} {way}, "));
        sql.push(&format!(" ORDER BY {rank}{} {way} LIMIT ?", self.id));
    }
}

impl Store {
    /// How far a page walks that begins after `before` and leaves out what does not fit: [`WINDOW`] rows. None where there are no more
    /// than that. `from` is the table with its name in the order.
    pub(crate) async fn reach<I: Key>(
        &self,
        from: &str,
        order: Order,
        before: Option<Place<I>>,
    ) -> Result<Option<Reach<I>>, DbError> {
        const OPERATION: &str = "see how far a page reaches";
        let rank = order.rank.unwrap_or("0");
        let mut sql = Sql::new(
            OPERATION,
            format!("SELECT {rank}, {} FROM {from} WHERE 1 = 1", order.id),
        );
        if let Some(before) = before {
            order.after(self.backend.dialect(), &mut sql, before);
        }
        order.sort(&mut sql);
        sql.arg(2_i64).push(" OFFSET ?").arg(WINDOW - 1);
        let rows = self.backend.fetch(sql).await?;
        let mut places = rows.iter().map(|row| {
            let c = row.columns(OPERATION);
            Ok::<_, DbError>(Place {
                rank: c.int(0)?,
                id: I::read(&c, 1)?,
            })
        });
        let (last, beyond) = (places.next().transpose()?, places.next().transpose()?);
        Ok(last.zip(beyond).map(|(last, beyond)| Reach { last, beyond }))
    }
}
