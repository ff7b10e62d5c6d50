//! Queries: which rows, joined, filtered, grouped and ordered.
//!
//! Start at [`Run::query`]. Rows are joined in the order in which their tables are named; a part of WHERE is asked as soon as
//! its columns are there.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use super::{
    SqlError,
    eval::{self, Clause, Field, Frame, Run},
    parse::{Expr, Item, Join, Limit, Op, Query, Relation, Select, Source},
    schema::Readable,
    value::{self, Val},
};
use crate::mysql::packet::Kind;

/// Rows of values.
pub(super) type Rows = Vec<Vec<Val>>;
/// What a result is made of: an expression and its name.
type Output<'q> = Vec<(Cow<'q, Expr>, &'q str)>;

impl Run<'_> {
    /// The columns and the rows of a query inside `outer`.
    pub(super) fn query(
        &self,
        query: &Query,
        outer: Option<&Frame<'_>>,
    ) -> Result<(Vec<Field>, Rows), SqlError> {
        let mut whole: Option<(Vec<Field>, Rows)> = None;
        for (all, select) in &query.parts {
            let (fields, rows) = self.select(select, outer)?;
            let Some((names, so_far)) = &mut whole else {
                whole = Some((fields, rows));
                continue;
            };
            if names.len() != fields.len() {
                let text = "The used SELECT statements have a different number of columns";
                return Err(SqlError::new(1222, "21000", text));
            }
            for (name, other) in names.iter_mut().zip(&fields) {
                name.kind = name.kind.with(other.kind);
            }
            so_far.extend(rows);
            if !all {
                distinct(so_far);
            }
        }
        let Some((fields, mut rows)) = whole else {
            return Ok((Vec::new(), Vec::new()));
        };
        if !query.order.is_empty() {
            let keys: Vec<(Cow<'_, Expr>, bool)> = query
                .order
                .iter()
                .map(|(expr, down)| Ok((self.by_position(expr, fields.len(), Clause::Order)?, *down)))
                .collect::<Result<_, SqlError>>()?;
            let frame = Frame {
                fields: &fields,
                row: &[],
                group: None,
                outer,
            };
            for (expr, _) in &keys {
                self.check(expr, &frame, Clause::Order)?;
            }
            let mut sorted = Vec::with_capacity(rows.len());
            for row in rows {
                let frame = Frame { row: &row, ..frame };
                let key = keys
                    .iter()
                    .map(|(expr, _)| self.value(expr, &frame, Clause::Order))
                    .collect::<Result<Vec<_>, _>>()?;
                sorted.push((key, row));
            }
            sorted.sort_by(|(a, _), (b, _)| eval::by(a, b, &query.order));
            rows = sorted.into_iter().map(|(_, row)| row).collect();
        }
        limited(&mut rows, query.limit);
        Ok((fields, rows))
    }

    /// `ORDER BY 2`, where there are `columns`; the expression itself where it is no number.
    fn by_position<'e>(
        &self,
        expr: &'e Expr,
        columns: usize,
        clause: Clause,
    ) -> Result<Cow<'e, Expr>, SqlError> {
        let Expr::Literal(Val::Int(n)) = expr else {
            return Ok(Cow::Borrowed(expr));
        };
        match usize::try_from(*n) {
            Ok(n) if (1..=columns).contains(&n) => Ok(Cow::Owned(Expr::Place(n - 1))),
            _ => Err(self.unknown_column(&n.to_string(), clause)),
        }
    }

    fn select(&self, select: &Select, outer: Option<&Frame<'_>>) -> Result<(Vec<Field>, Rows), SqlError> {
        let conjuncts = select.filter.as_ref().map(conjuncts).unwrap_or_default();
        let (fields, rows) = self.joined(&select.from, &conjuncts, outer)?;
        let frame = Frame {
            fields: &fields,
            row: &[],
            group: None,
            outer,
        };
        if let Some(filter) = &select.filter {
            self.check(filter, &frame, Clause::Where)?;
        }
        let output = self.output(&select.items, &fields, select.from.is_empty())?;
        for (expr, _) in &output {
            self.check(expr, &frame, Clause::Select)?;
        }
        // Aliases are what HAVING and ORDER BY find behind the columns.
        let named: Vec<Field> = output
            .iter()
            .map(|(expr, name)| self.field(expr, name, &fields, outer))
            .collect();
        let group = select
            .group
            .iter()
            .map(|expr| self.by_name(expr, &output, &fields, Clause::Group))
            .collect::<Result<Vec<_>, _>>()?;
        for expr in &group {
            self.check(expr, &frame, Clause::Group)?;
        }
        let order = select
            .order
            .iter()
            .map(|(expr, _)| self.by_name(expr, &output, &fields, Clause::Order))
            .collect::<Result<Vec<_>, _>>()?;
        let aliases = Frame {
            fields: &named,
            row: &[],
            group: None,
            outer,
        };
        let behind = Frame {
            outer: Some(&aliases),
            ..frame
        };
        for expr in &order {
            self.check(expr, &behind, Clause::Order)?;
        }
        if let Some(having) = &select.having {
            self.check(having, &behind, Clause::Having)?;
        }
        let aggregates = output
            .iter()
            .map(|(e, _)| e.as_ref())
            .chain(order.iter().map(AsRef::as_ref))
            .chain(&select.having);
        let grouped = !group.is_empty() || aggregates.into_iter().any(Expr::aggregates);
        let (groups, rows) = if grouped {
            (self.groups(rows, &group, &frame)?, Vec::new())
        } else {
            (Vec::new(), rows)
        };

        let nulls = vec![Val::Null; fields.len()];
        let mut out = Vec::new();
        let mut each = |row: &[Val], group: Option<&[Vec<Val>]>| -> Result<(), SqlError> {
            let frame = Frame { row, group, ..frame };
            let values = output
                .iter()
                .map(|(expr, _)| self.value(expr, &frame, Clause::Select))
                .collect::<Result<Vec<_>, _>>()?;
            let aliases = Frame {
                row: &values,
                ..aliases
            };
            let behind = Frame {
                outer: Some(&aliases),
                ..frame
            };
            if let Some(having) = &select.having
                && self.value(having, &behind, Clause::Having)?.truth() != Some(true)
            {
                return Ok(());
            }
            let keys = order
                .iter()
                .map(|expr| self.value(expr, &behind, Clause::Order))
                .collect::<Result<Vec<_>, _>>()?;
            self.take(values.len() * size_of::<Val>())?;
            out.push((keys, values));
            Ok(())
        };
        for group in &groups {
            each(group.first().unwrap_or(&nulls), Some(group))?;
        }
        // Rows that LIMIT does not want are not made, where nothing has to be known of them.
        let plain = select.order.is_empty() && select.having.is_none() && !select.distinct;
        let wanted = match select.limit {
            Some(limit) if plain => limit.skip.saturating_add(limit.take),
            _ => usize::MAX,
        };
        for row in rows.iter().take(wanted) {
            each(row, None)?;
        }
        out.sort_by(|(a, _), (b, _)| eval::by(a, b, &select.order));
        let mut rows: Rows = out.into_iter().map(|(_, values)| values).collect();
        if select.distinct {
            distinct(&mut rows);
        }
        limited(&mut rows, select.limit);
        let mut named = named;
        for (i, field) in named.iter_mut().enumerate() {
            if field.kind == Kind::UNKNOWN {
                field.kind = rows
                    .iter()
                    .filter_map(|row| row.get(i))
                    .fold(Kind::UNKNOWN, |kind, v| kind.with(kind_of(v)));
            }
        }
        Ok((named, rows))
    }

    /// The select list, with what `*` stands for.
    fn output<'q>(&self, items: &'q [Item], fields: &[Field], no_tables: bool) -> Result<Output<'q>, SqlError>
    where
        Self: 'q,
    {
        let mut out: Output<'q> = Vec::new();
        for item in items {
            match item {
                Item::All(_) if no_tables => return Err(SqlError::new(1096, "HY000", "No tables used")),
                Item::All(table) => {
                    let before = out.len();
                    for (i, field) in fields.iter().enumerate() {
                        let fits = table
                            .as_ref()
                            .map_or(!field.hidden, |t| field.table.eq_ignore_ascii_case(t));
                        if fits {
                            out.push((Cow::Owned(Expr::Place(i)), ""));
                        }
                    }
                    if let (Some(table), true) = (table, before == out.len()) {
                        let Some(schema) = &self.asker.database else {
                            return Err(super::no_database());
                        };
                        return Err(SqlError::new(
                            1051,
                            "42S02",
                            format!("Unknown table '{schema}.{table}'"),
                        ));
                    }
                }
                Item::Expr { expr, name } => out.push((Cow::Borrowed(expr), name)),
            }
        }
        Ok(out)
    }

    /// What a column of the result is.
    fn field(&self, expr: &Expr, name: &str, fields: &[Field], outer: Option<&Frame<'_>>) -> Field {
        let frame = Frame {
            fields,
            row: &[],
            group: None,
            outer,
        };
        let place = match expr {
            Expr::Place(i) => Some(*i),
            Expr::Column { schema, table, name } => {
                let found = self.resolve((schema, table, name), &frame, Clause::Select);
                found.ok().filter(|(out, _)| *out == 0).map(|(_, i)| i)
            }
            _ => None,
        };
        match place.and_then(|i| fields.get(i)) {
            Some(field) if name.is_empty() => Field {
                hidden: false,
                ..field.clone()
            },
            Some(field) => Field {
                name: name.into(),
                hidden: false,
                ..field.clone()
            },
            None => {
                let kind = match expr {
                    Expr::Call(call) if call.name == "count" => Kind::BIGINT,
                    Expr::SystemVariable { name, .. } => self.database.variable_kind(name, self.asker),
                    _ => Kind::UNKNOWN,
                };
                plain_field(name, kind)
            }
        }
    }

    /// What a name or a number of GROUP BY and ORDER BY stands for.
    fn by_name<'q>(
        &self,
        expr: &'q Expr,
        output: &Output<'q>,
        fields: &[Field],
        clause: Clause,
    ) -> Result<Cow<'q, Expr>, SqlError> {
        let positioned = self.by_position(expr, output.len(), clause)?;
        if let Cow::Owned(Expr::Place(i)) = positioned {
            return Ok(output.get(i).map_or(positioned, |(expr, _)| expr.clone()));
        }
        let Expr::Column {
            schema: None,
            table: None,
            name,
        } = expr
        else {
            return Ok(positioned);
        };
        // GROUP BY asks the tables first, ORDER BY the aliases.
        if clause == Clause::Group && fields.iter().any(|f| f.name.eq_ignore_ascii_case(name)) {
            return Ok(positioned);
        }
        let alias = output.iter().find(|(_, alias)| alias.eq_ignore_ascii_case(name));
        Ok(alias.map_or(positioned, |(expr, _)| expr.clone()))
    }

    /// Rows by what GROUP BY says, each group where its first row stood; all rows are one group where it says nothing.
    fn groups(&self, rows: Rows, by: &[Cow<'_, Expr>], frame: &Frame<'_>) -> Result<Vec<Rows>, SqlError> {
        if by.is_empty() {
            return Ok(vec![rows]);
        }
        let mut places = std::collections::HashMap::new();
        let mut out: Vec<(Vec<Val>, Rows)> = Vec::new();
        for row in rows {
            let inner = Frame { row: &row, ..*frame };
            let values = by
                .iter()
                .map(|e| self.value(e, &inner, Clause::Group))
                .collect::<Result<Vec<_>, _>>()?;
            let place = *places.entry(value::key(&values)).or_insert(out.len());
            match out.get_mut(place) {
                Some((_, group)) => group.push(row),
                None => out.push((values, vec![row])),
            }
        }
        // Groups come sorted, as from a temporary table that is read by its key.
        let order: Vec<(Expr, bool)> = by.iter().map(|e| (e.as_ref().clone(), false)).collect();
        out.sort_by(|(a, _), (b, _)| eval::by(a, b, &order));
        Ok(out.into_iter().map(|(_, rows)| rows).collect())
    }

    /// The rows of FROM, as far as `filter` does not rule them out.
    fn joined(
        &self,
        sources: &[Source],
        filter: &[&Expr],
        outer: Option<&Frame<'_>>,
    ) -> Result<(Vec<Field>, Rows), SqlError> {
        let mut fields: Vec<Field> = Vec::new();
        let mut rows: Rows = vec![Vec::new()];
        let mut names = HashSet::new();
        // A RIGHT JOIN asks WHERE of rows that it has yet to make.
        let early = !sources.iter().any(|source| source.join == Join::Right);
        let mut asked = 0;
        let mut left: Vec<&Expr> = filter.to_vec();
        for (i, source) in sources.iter().enumerate() {
            let (mut new, right) = self.relation(source, outer)?;
            if let Some(field) = new.first()
                && !names.insert((
                    field.table.to_string(),
                    if source.alias.is_some() {
                        String::new()
                    } else {
                        field.schema.to_string()
                    },
                ))
            {
                return Err(SqlError::new(
                    1066,
                    "42000",
                    format!("Not unique table/alias: '{}'", field.table),
                ));
            }
            let common = self.common(source, &fields, &new);
            for (_, right) in &common {
                if let Some(field) = new.get_mut(*right) {
                    field.hidden = true;
                }
            }
            let width = (fields.len(), new.len());
            fields.extend(new);
            let frame = Frame {
                fields: &fields,
                row: &[],
                group: None,
                outer,
            };
            if let Some(on) = &source.on {
                self.check(on, &frame, Clause::On)?;
            }
            let last = i + 1 == sources.len();
            let (now, later): (Vec<&Expr>, Vec<&Expr>) = left
                .into_iter()
                .partition(|e| last || early && self.resolves(e, &frame));
            left = later;
            asked += now.len();
            for expr in &now {
                self.check(expr, &frame, Clause::Where)?;
            }
            rows = self.join(source, &rows, &right, width, &common, &now, &frame)?;
        }
        // Without a table, WHERE is asked once.
        if asked < filter.len() {
            for expr in left {
                let frame = Frame {
                    fields: &fields,
                    row: &[],
                    group: None,
                    outer,
                };
                self.check(expr, &frame, Clause::Where)?;
                if self.value(expr, &frame, Clause::Where)?.truth() != Some(true) {
                    rows.clear();
                }
            }
        }
        Ok((fields, rows))
    }

    /// Whether `expr` can be asked of what is joined so far. What sleeps or looks elsewhere waits for whole rows.
    fn resolves(&self, expr: &Expr, frame: &Frame<'_>) -> bool {
        let mut all = true;
        expr.visit(&mut |e| {
            all &= match e {
                Expr::Column { schema, table, name } => self
                    .resolve(
                        (schema, table, name),
                        &Frame {
                            outer: None,
                            ..*frame
                        },
                        Clause::Where,
                    )
                    .is_ok(),
                Expr::Query(_) | Expr::Exists(_) | Expr::InQuery(..) | Expr::Call(_) | Expr::Assign(..) => {
                    false
                }
                _ => true,
            };
        });
        all
    }

    /// Columns by which NATURAL and USING join: their places on both sides.
    fn common(&self, source: &Source, left: &[Field], right: &[Field]) -> Vec<(usize, usize)> {
        let place =
            |fields: &[Field], name: &str| fields.iter().position(|f| f.name.eq_ignore_ascii_case(name));
        let names: Vec<String> = if source.join == Join::Natural {
            right.iter().map(|f| f.name.to_string()).collect()
        } else {
            source.using.clone()
        };
        names
            .iter()
            .filter_map(|name| Some((place(left, name)?, place(right, name)?)))
            .collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a join is about two sides and what binds them"
    )]
    fn join(
        &self,
        source: &Source,
        left: &[Vec<Val>],
        right: &[Vec<Val>],
        width: (usize, usize),
        common: &[(usize, usize)],
        filter: &[&Expr],
        frame: &Frame<'_>,
    ) -> Result<Rows, SqlError> {
        let mut out = Vec::new();
        let fits = |row: &[Val]| -> Result<bool, SqlError> {
            let inner = Frame { row, ..*frame };
            for (a, b) in common {
                let same = row
                    .get(*a)
                    .zip(row.get(width.0 + b))
                    .and_then(|(a, b)| value::compared(a, b));
                if !same.is_some_and(std::cmp::Ordering::is_eq) {
                    return Ok(false);
                }
            }
            match &source.on {
                Some(on) => Ok(self.value(on, &inner, Clause::On)?.truth() == Some(true)),
                None => Ok(true),
            }
        };
        let mut push = |row: &[Val]| -> Result<(), SqlError> {
            let inner = Frame { row, ..*frame };
            for expr in filter {
                if self.value(expr, &inner, Clause::Where)?.truth() != Some(true) {
                    return Ok(());
                }
            }
            self.take(size_of_val(row))?;
            out.push(row.to_vec());
            Ok(())
        };
        let mut row = Vec::new();
        let mut met = vec![false; right.len()];
        for a in left {
            let mut any = false;
            for (b, met) in right.iter().zip(&mut met) {
                self.step()?;
                row.clear();
                row.extend_from_slice(a);
                row.extend_from_slice(b);
                if fits(&row)? {
                    any = true;
                    *met = true;
                    push(&row)?;
                }
            }
            if !any && source.join == Join::Left {
                row.clear();
                row.extend_from_slice(a);
                row.resize(width.0 + width.1, Val::Null);
                push(&row)?;
            }
        }
        if source.join == Join::Right {
            for (b, _) in right.iter().zip(met).filter(|(_, met)| !met) {
                row.clear();
                row.resize(width.0, Val::Null);
                row.extend_from_slice(b);
                push(&row)?;
            }
        }
        Ok(out)
    }

    fn relation(&self, source: &Source, outer: Option<&Frame<'_>>) -> Result<Readable<'_>, SqlError> {
        let (mut fields, rows) = match &source.relation {
            Relation::Dual => return Ok((Vec::new(), Cow::Owned(vec![Vec::new()]))),
            Relation::Table { schema, name } => {
                let (fields, rows) = self.database.table(schema.as_deref(), name, self.asker)?;
                (fields, rows)
            }
            Relation::Derived(query) => {
                let (fields, rows) = self.query(query, outer)?;
                (fields, Cow::Owned(rows))
            }
        };
        if let Some(alias) = &source.alias {
            let alias: Arc<str> = alias.as_str().into();
            for field in &mut fields {
                field.table = Arc::clone(&alias);
                if matches!(source.relation, Relation::Derived(_)) {
                    field.schema = "".into();
                }
            }
        }
        Ok((fields, rows))
    }
}

/// A column of no table.
pub(super) fn plain_field(name: &str, kind: Kind) -> Field {
    Field {
        schema: "".into(),
        table: "".into(),
        original_table: "".into(),
        name: name.into(),
        kind,
        hidden: false,
    }
}

fn kind_of(value: &Val) -> Kind {
    match value {
        Val::Null => Kind::UNKNOWN,
        Val::Int(_) => Kind::BIGINT,
        Val::Decimal(_, scale) => Kind::decimal(*scale),
        Val::Real(_) => Kind::DOUBLE,
        Val::Text(text) => Kind::text(text.chars().count()),
    }
}

/// The parts of a condition that AND joins.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Binary(Op::And, a, b) => {
            let mut out = conjuncts(a);
            out.extend(conjuncts(b));
            out
        }
        other => vec![other],
    }
}

fn distinct(rows: &mut Rows) {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(value::key(row)));
}

fn limited(rows: &mut Rows, limit: Option<Limit>) {
    if let Some(limit) = limit {
        rows.drain(..limit.skip.min(rows.len()));
        rows.truncate(limit.take);
    }
}
