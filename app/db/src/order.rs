//! The order of a list along an index, and how far one page may walk along it.

use decnet_model::view::Page;
use uuid::Uuid;

use crate::{
    DbError, Store,
    backend::{Arg, Columns, Dialect, Row, Sql},
    search::WINDOW,
};

/// Rows of a walk that are read first: enough for a page where many fit, and told by a small part of what it costs to count further.
const NEAR: i64 = 1_000;

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

/// A list and the place in it where a page begins.
pub(crate) struct Walk<'a, I> {
    /// The table with its name in the order.
    pub(crate) from: &'a str,
    pub(crate) order: Order,
    pub(crate) before: Option<Place<I>>,
    /// Conditions that all rows of the walk agree with, as the index of the order has them, too.
    pub(crate) along: &'a [(&'static str, Arg)],
}

impl Store {
    /// A page of a list: `select` makes the statement, which reads no further than it is told, and `page` the page of its rows. Without a
    /// walk all that fits is read. With one, which leaves out what does not fit, a page may be short and still have a next one, whose cursor
    /// `cursor` makes: it walks [`WINDOW`] rows at most.
    pub(crate) async fn walk<I: Key, T>(
        &self,
        walk: Option<Walk<'_, I>>,
        select: impl Fn(Option<Reach<I>>) -> Sql,
        page: impl Fn(&[Row]) -> Result<Page<T>, DbError>,
        cursor: impl Fn(Place<I>) -> String,
    ) -> Result<Page<T>, DbError> {
        let Some(walk) = walk else {
            return page(&self.backend.fetch(select(None)).await?);
        };
        let near = self.reach(&walk, NEAR).await?;
        let first = page(&self.backend.fetch(select(near)).await?)?;
        if near.is_none() || first.next.is_some() {
            return Ok(first);
        }
        let reach = self.reach(&walk, WINDOW).await?;
        let mut page = page(&self.backend.fetch(select(reach)).await?)?;
        page.next = page.next.or(reach.map(|reach| cursor(reach.last)));
        Ok(page)
    }

    /// How far a walk of `rows` rows goes. None where there are no more than that.
    pub(crate) async fn reach<I: Key>(
        &self,
        walk: &Walk<'_, I>,
        rows: i64,
    ) -> Result<Option<Reach<I>>, DbError> {
        let Walk {
            from,
            order,
            before,
            along,
        } = walk;
        const OPERATION: &str = "see how far a page reaches";
        let rank = order.rank.unwrap_or("0");
        let mut sql = Sql::new(
            OPERATION,
            format!("SELECT {rank}, {} FROM {from} WHERE 1 = 1", order.id),
        );
        if let Some(before) = before {
            order.after(self.backend.dialect(), &mut sql, *before);
        }
        for (condition, arg) in *along {
            sql.push(&format!(" AND {condition}")).arg(arg.clone());
        }
        order.sort(&mut sql);
        sql.arg(2_i64).push(" OFFSET ?").arg(rows - 1);
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
