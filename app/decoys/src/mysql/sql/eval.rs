//! What an expression comes to.
//!
//! Start at [`Run::value`]. Functions are in `function.rs`.

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    collections::BTreeMap,
    sync::Arc,
    time::Duration,
};

use super::{
    Asker, Database, SqlError,
    parse::{Call, Expr, Fact, Op},
    value::{self, Val, compared},
};
use crate::mysql::packet::Kind;

/// The most steps of one statement. A step takes a part of a microsecond, and other visitors wait meanwhile.
const STEPS_MAX: u64 = 1_500_000;
/// The most bytes that one statement makes.
const BYTES_MAX: u64 = 16 << 20;

/// One statement at work.
pub(super) struct Run<'a> {
    pub(super) database: &'a Database,
    pub(super) asker: &'a Asker,
    pub(super) variables: RefCell<BTreeMap<String, Val>>,
    pub(super) warnings: RefCell<Vec<(u16, String)>>,
    /// How long the server would take: SLEEP and BENCHMARK.
    pub(super) delay: Cell<Duration>,
    steps: Cell<u64>,
    bytes: Cell<u64>,
}

/// A column that an expression may name.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) schema: Arc<str>,
    /// The alias of its table.
    pub(super) table: Arc<str>,
    pub(super) original_table: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    /// The second one of two that were joined by their name: `*` does not show it.
    pub(super) hidden: bool,
}

/// A row and what its values are called, inside those of the query around it.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f> {
    pub(super) fields: &'f [Field],
    pub(super) row: &'f [Val],
    /// The rows of a group, for aggregates.
    pub(super) group: Option<&'f [Vec<Val>]>,
    pub(super) outer: Option<&'f Frame<'f>>,
}

impl Frame<'_> {
    pub(super) const NONE: Frame<'static> = Frame {
        fields: &[],
        row: &[],
        group: None,
        outer: None,
    };
}

/// Where an expression stands, for the words of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Select,
    Where,
    On,
    Group,
    Having,
    Order,
}

impl<'a> Run<'a> {
    pub(super) fn new(database: &'a Database, asker: &'a Asker) -> Self {
        Self {
            database,
            asker,
            variables: RefCell::new(asker.variables.clone()),
            warnings: RefCell::default(),
            delay: Cell::default(),
            steps: Cell::default(),
            bytes: Cell::default(),
        }
    }

    /// Count one step.
    pub(super) fn step(&self) -> Result<(), SqlError> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps <= STEPS_MAX {
            return Ok(());
        }
        Err(SqlError::new(
            1104,
            "42000",
            "The SELECT would examine more than MAX_JOIN_SIZE rows; check your WHERE and use SET SQL_BIG_SELECTS=1 or SET \
             MAX_JOIN_SIZE=# if the SELECT is okay",
        ))
    }

    /// Count what a value takes.
    pub(super) fn take(&self, bytes: usize) -> Result<(), SqlError> {
        let bytes = self
            .bytes
            .get()
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.bytes.set(bytes);
        if bytes <= BYTES_MAX {
            return Ok(());
        }
        Err(SqlError::new(
            1041,
            "HY000",
            "Out of memory; check if mariadbd or some other process uses all available memory; if not, you may have to use \
             'ulimit' to allow mariadbd to use more memory or you can add more swap space",
        ))
    }

    pub(super) fn warn(&self, code: u16, text: impl Into<String>) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < 64 {
            warnings.push((code, text.into()));
        }
    }

    /// Where the column is: how many frames outwards, and its place there.
    pub(super) fn resolve(
        &self,
        (schema, table, name): (&Option<String>, &Option<String>, &str),
        frame: &Frame<'_>,
        clause: Clause,
    ) -> Result<(usize, usize), SqlError> {
        let mut at = Some(frame);
        let mut out = 0;
        while let Some(frame) = at {
            let fits = |field: &Field| {
                field.name.eq_ignore_ascii_case(name)
                    && table.as_ref().is_none_or(|t| {
                        *field.table == **t
                            || field.schema.eq_ignore_ascii_case("information_schema")
                                && field.table.eq_ignore_ascii_case(t)
                    })
                    && schema
                        .as_ref()
                        .is_none_or(|s| field.schema.eq_ignore_ascii_case(s))
                    && (table.is_some() || !field.hidden)
            };
            let mut found = frame.fields.iter().enumerate().filter(|(_, field)| fits(field));
            if let Some((index, _)) = found.next() {
                if found.next().is_some() {
                    let text = format!("Column '{name}' in {} is ambiguous", self.place(clause));
                    return Err(SqlError::new(1052, "23000", text));
                }
                return Ok((out, index));
            }
            at = frame.outer;
            out += 1;
        }
        let parts = [schema.as_deref(), table.as_deref(), Some(name)];
        let full = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
        Err(self.unknown_column(&full, clause))
    }

    pub(super) fn unknown_column(&self, name: &str, clause: Clause) -> SqlError {
        let place = self.place(clause);
        SqlError::new(1054, "42S22", format!("Unknown column '{name}' in '{place}'"))
    }

    /// What the server calls a clause. MariaDB took to the keywords in its releases of autumn 2024.
    fn place(&self, clause: Clause) -> &'static str {
        let keywords = self.database.flavour.names_clauses_by_keyword();
        match (clause, keywords) {
            (Clause::Select, true) => "SELECT",
            (Clause::Where, true) => "WHERE",
            (Clause::On, true) => "ON",
            (Clause::Group, true) => "GROUP BY",
            (Clause::Having, true) => "HAVING",
            (Clause::Order, true) => "ORDER BY",
            (Clause::Select, false) => "field list",
            (Clause::Where, false) => "where clause",
            (Clause::On, false) => "on clause",
            (Clause::Group, false) => "group statement",
            (Clause::Having, false) => "having clause",
            (Clause::Order, false) => "order clause",
        }
    }

    /// Whether every column of `expr` is there, before a row is looked at; aggregates where they may not be are faults, too.
    pub(super) fn check(&self, expr: &Expr, frame: &Frame<'_>, clause: Clause) -> Result<(), SqlError> {
        let mut fault = None;
        expr.visit(&mut |e| {
            if fault.is_some() {
                return;
            }
            let found = match e {
                Expr::Column { schema, table, name } => {
                    self.resolve((schema, table, name), frame, clause).err()
                }
                Expr::Call(call)
                    if call.is_aggregate()
                        && matches!(clause, Clause::Where | Clause::On | Clause::Group) =>
                {
                    Some(SqlError::new(1111, "HY000", "Invalid use of group function"))
                }
                Expr::Call(call) => self.check_call(call).err(),
                Expr::SystemVariable { scope, name } => {
                    self.database.variable(name, *scope, self.asker).err()
                }
                _ => None,
            };
            fault = found;
        });
        fault.map_or(Ok(()), Err)
    }

    /// What `expr` comes to for a row.
    pub(super) fn value(&self, expr: &Expr, frame: &Frame<'_>, clause: Clause) -> Result<Val, SqlError> {
        self.step()?;
        let of = |e: &Expr| self.value(e, frame, clause);
        Ok(match expr {
            Expr::Literal(literal) => literal.clone(),
            Expr::Place(index) => frame.row.get(*index).cloned().unwrap_or(Val::Null),
            Expr::Column { schema, table, name } => {
                let (out, index) = self.resolve((schema, table, name), frame, clause)?;
                let mut at = frame;
                for _ in 0..out {
                    at = at.outer.unwrap_or(at);
                }
                at.row.get(index).cloned().unwrap_or(Val::Null)
            }
            Expr::UserVariable(name) => self.variables.borrow().get(name).cloned().unwrap_or(Val::Null),
            Expr::SystemVariable { scope, name } => self.database.variable(name, *scope, self.asker)?,
            Expr::Assign(name, to) => {
                let to = of(to)?;
                self.assign(name, to.clone())?;
                to
            }
            Expr::Not(a) => logical(of(a)?.truth().map(|truth| !truth)),
            Expr::Negative(a) => match of(a)? {
                Val::Int(n) => value::whole(-i128::from(n)),
                Val::Decimal(n, scale) => Val::Decimal(-n, scale),
                Val::Null => Val::Null,
                other => Val::Real(-other.real()),
            },
            Expr::Inverted(a) => bits(of(a)?, Val::Int(0), |a, _| !a),
            Expr::Binary(Op::And, a, b) => {
                let left = of(a)?.truth();
                if left == Some(false) {
                    return Ok(Val::bool(false));
                }
                let right = of(b)?.truth();
                logical(if right == Some(false) {
                    right
                } else {
                    left.and(right)
                })
            }
            Expr::Binary(Op::Or, a, b) => {
                let left = of(a)?.truth();
                if left == Some(true) {
                    return Ok(Val::bool(true));
                }
                let right = of(b)?.truth();
                logical(if right == Some(true) {
                    right
                } else {
                    left.and(right)
                })
            }
            Expr::Binary(op, a, b) => {
                if let Expr::Interval(amount, unit) = b.as_ref() {
                    let sign = if *op == Op::Subtract { -1 } else { 1 };
                    return Ok(super::function::moved(
                        &of(a)?,
                        of(amount)?.int().saturating_mul(sign),
                        unit,
                    ));
                }
                self.binary(*op, &of(a)?, &of(b)?)?
            }
            Expr::Is(a, fact) => {
                let a = of(a)?;
                Val::bool(match fact {
                    Fact::Null => a.is_null(),
                    Fact::True => a.truth() == Some(true),
                    Fact::False => a.truth() == Some(false),
                })
            }
            Expr::Between(a, low, high) => {
                let (a, low, high) = (of(a)?, of(low)?, of(high)?);
                let above = compared(&a, &low).map(Ordering::is_ge);
                let below = compared(&a, &high).map(Ordering::is_le);
                logical(match (above, below) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (above, below) => above.and(below),
                })
            }
            Expr::In(a, list) => {
                let a = of(a)?;
                let list = list.iter().map(of).collect::<Result<Vec<_>, _>>()?;
                logical(among(&a, &list))
            }
            Expr::InQuery(a, query) => {
                let a = of(a)?;
                let (_, rows) = self.query(query, Some(frame))?;
                let list: Vec<Val> = rows
                    .into_iter()
                    .filter_map(|row| row.into_iter().next())
                    .collect();
                logical(among(&a, &list))
            }
            Expr::Like {
                text,
                pattern,
                escape,
            } => match (of(text)?.shown(), of(pattern)?.shown()) {
                (Some(text), Some(pattern)) => {
                    self.take(text.len() + pattern.len())?;
                    Val::bool(value::matches_like(&text, &pattern, *escape))
                }
                _ => Val::Null,
            },
            Expr::Regexp(text, pattern) => match (of(text)?.shown(), of(pattern)?.shown()) {
                (Some(text), Some(pattern)) => Val::bool(super::function::matches_regexp(&text, &pattern)),
                _ => Val::Null,
            },
            Expr::Case {
                of: subject,
                arms,
                otherwise,
            } => {
                let subject = subject.as_deref().map(of).transpose()?;
                for (when, then) in arms {
                    let when = of(when)?;
                    let holds = match &subject {
                        Some(subject) => compared(subject, &when) == Some(Ordering::Equal),
                        None => when.truth() == Some(true),
                    };
                    if holds {
                        return of(then);
                    }
                }
                otherwise.as_deref().map(of).transpose()?.unwrap_or(Val::Null)
            }
            Expr::Call(call) if call.is_aggregate() => self.aggregate(call, frame, clause)?,
            Expr::Call(call) => self.call(call, frame, clause)?,
            Expr::Cast(a, kind) => cast(of(a)?, kind),
            Expr::Interval(a, _) => of(a)?,
            Expr::Query(query) => {
                let (fields, rows) = self.query(query, Some(frame))?;
                if fields.len() != 1 {
                    return Err(SqlError::new(1241, "21000", "Operand should contain 1 column(s)"));
                }
                if rows.len() > 1 {
                    return Err(SqlError::new(1242, "21000", "Subquery returns more than 1 row"));
                }
                rows.into_iter().flatten().next().unwrap_or(Val::Null)
            }
            Expr::Exists(query) => {
                let (_, rows) = self.query(query, Some(frame))?;
                Val::bool(!rows.is_empty())
            }
        })
    }

    pub(super) fn assign(&self, name: &str, to: Val) -> Result<(), SqlError> {
        let mut variables = self.variables.borrow_mut();
        let held: usize = variables.iter().map(|(k, v)| k.len() + v.string().len()).sum();
        if held + to.string().len() > 1 << 20 || variables.len() > 1000 {
            drop(variables);
            return self.take(usize::MAX);
        }
        variables.insert(name.to_owned(), to);
        Ok(())
    }

    fn binary(&self, op: Op, a: &Val, b: &Val) -> Result<Val, SqlError> {
        let order = || compared(a, b);
        Ok(match op {
            Op::Equal => logical(order().map(Ordering::is_eq)),
            Op::Unequal => logical(order().map(Ordering::is_ne)),
            Op::Less => logical(order().map(Ordering::is_lt)),
            Op::AtMost => logical(order().map(Ordering::is_le)),
            Op::More => logical(order().map(Ordering::is_gt)),
            Op::AtLeast => logical(order().map(Ordering::is_ge)),
            Op::NullSafe => Val::bool(match (a.is_null(), b.is_null()) {
                (true, true) => true,
                (false, false) => order() == Some(Ordering::Equal),
                _ => false,
            }),
            Op::Xor => logical(a.truth().zip(b.truth()).map(|(a, b)| a != b)),
            Op::BitOr => bits(a.clone(), b.clone(), |a, b| a | b),
            Op::BitAnd => bits(a.clone(), b.clone(), |a, b| a & b),
            Op::BitXor => bits(a.clone(), b.clone(), |a, b| a ^ b),
            Op::ShiftLeft => bits(a.clone(), b.clone(), |a, b| {
                u32::try_from(b).map_or(0, |b| a.checked_shl(b).unwrap_or(0))
            }),
            Op::ShiftRight => bits(a.clone(), b.clone(), |a, b| {
                u32::try_from(b).map_or(0, |b| a.checked_shr(b).unwrap_or(0))
            }),
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Whole | Op::Modulo => {
                self.arithmetic(op, a, b)?
            }
            // Answered before both sides are known.
            Op::And | Op::Or => Val::Null,
        })
    }

    pub(super) fn arithmetic(&self, op: Op, a: &Val, b: &Val) -> Result<Val, SqlError> {
        if a.is_null() || b.is_null() {
            return Ok(Val::Null);
        }
        let divides = matches!(op, Op::Divide | Op::Whole | Op::Modulo);
        if divides && b.real() == 0.0 {
            self.warn(1365, "Division by 0");
            return Ok(Val::Null);
        }
        let (Some((x, s)), Some((y, t))) = (a.exact(), b.exact()) else {
            let (x, y) = (a.real(), b.real());
            return Ok(match op {
                Op::Add => Val::Real(x + y),
                Op::Subtract => Val::Real(x - y),
                Op::Multiply => Val::Real(x * y),
                Op::Divide => Val::Real(x / y),
                Op::Modulo => Val::Real(x % y),
                _ => Val::Int(Val::Real((x / y).trunc()).int()),
            });
        };
        let scale = s.max(t);
        let same = |n: i128, from: u32| n.saturating_mul(value::power_of_ten(scale - from));
        let out_of_range = |sign: char| {
            let text = format!(
                "BIGINT value is out of range in '{} {sign} {}'",
                a.string(),
                b.string()
            );
            SqlError::new(1690, "22003", text)
        };
        let (result, places, sign) = match op {
            Op::Add => (same(x, s).saturating_add(same(y, t)), scale, '+'),
            Op::Subtract => (same(x, s).saturating_sub(same(y, t)), scale, '-'),
            Op::Multiply => (x.saturating_mul(y), s + t, '*'),
            Op::Modulo => (same(x, s) % same(y, t), scale, '%'),
            Op::Whole => (same(x, s) / same(y, t), 0, '/'),
            _ => {
                // div_precision_increment.
                let places = s + 4;
                let n = x.saturating_mul(value::power_of_ten(t + 4));
                (value::divided(n, y), places, '/')
            }
        };
        let whole = (s == 0 && t == 0 && op != Op::Divide) || op == Op::Whole;
        if whole {
            return i64::try_from(result)
                .map(Val::Int)
                .map_err(|_| out_of_range(sign));
        }
        Ok(Val::Decimal(result, places.min(30)))
    }

    /// One value of the rows of a group.
    fn aggregate(&self, call: &Call, frame: &Frame<'_>, clause: Clause) -> Result<Val, SqlError> {
        let Some(group) = frame.group else {
            return Err(SqlError::new(1111, "HY000", "Invalid use of group function"));
        };
        if call.all {
            return Ok(Val::Int(i64::try_from(group.len()).unwrap_or(i64::MAX)));
        }
        let mut rows: Vec<(Vec<Val>, Vec<Val>)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for row in group {
            let inner = Frame {
                row,
                group: None,
                ..*frame
            };
            let values = call
                .arguments
                .iter()
                .map(|e| self.value(e, &inner, clause))
                .collect::<Result<Vec<_>, _>>()?;
            if values.iter().any(Val::is_null) || call.distinct && !seen.insert(value::key(&values)) {
                continue;
            }
            let order = call
                .order
                .iter()
                .map(|(e, _)| self.value(e, &inner, clause))
                .collect::<Result<Vec<_>, _>>()?;
            rows.push((order, values));
        }
        let firsts = || rows.iter().filter_map(|(_, values)| values.first());
        let count = i128::try_from(rows.len()).unwrap_or(i128::MAX);
        Ok(match call.name.as_str() {
            "count" => Val::Int(value::clamped(count)),
            "min" => firsts()
                .min_by(|a, b| value::ordered(a, b))
                .cloned()
                .unwrap_or(Val::Null),
            "max" => firsts()
                .max_by(|a, b| value::ordered(a, b))
                .cloned()
                .unwrap_or(Val::Null),
            "sum" | "avg" => {
                let mut sum: Option<Val> = None;
                for v in firsts() {
                    let exact = v
                        .exact()
                        .map_or_else(|| Val::Real(v.real()), |(n, s)| Val::Decimal(n, s));
                    sum = Some(match sum {
                        None => exact,
                        Some(so_far) => self.arithmetic(Op::Add, &so_far, &exact)?,
                    });
                }
                // A sum of whole numbers is one too large for their type.
                let sum = match sum {
                    Some(Val::Int(n)) => Val::Decimal(n.into(), 0),
                    other => other.unwrap_or(Val::Null),
                };
                if call.name == "avg" {
                    self.arithmetic(Op::Divide, &sum, &Val::Decimal(count.max(1), 0))?
                } else {
                    sum
                }
            }
            "group_concat" => {
                if rows.is_empty() {
                    return Ok(Val::Null);
                }
                rows.sort_by(|(a, _), (b, _)| by(a, b, &call.order));
                let texts: Vec<String> = rows
                    .iter()
                    .map(|(_, values)| values.iter().map(Val::string).collect())
                    .collect();
                let mut text = texts.join(&call.separator);
                self.take(text.len())?;
                // group_concat_max_len.
                if text.len() > 1 << 20 {
                    text = text.chars().take(1 << 20).collect();
                }
                Val::text(text)
            }
            _ => {
                if rows.is_empty() {
                    return Ok(Val::Null);
                }
                #[expect(clippy::cast_precision_loss, reason = "as floating-point aggregates have it")]
                let n = rows.len() as f64;
                let mean = firsts().map(Val::real).sum::<f64>() / n;
                let variance = firsts().map(|v| (v.real() - mean).powi(2)).sum::<f64>() / n;
                let result = if call.name == "variance" {
                    variance
                } else {
                    variance.sqrt()
                };
                Val::number(&format!("{result:.4}"))
            }
        })
    }
}

/// The order of two rows by their keys.
pub(super) fn by(a: &[Val], b: &[Val], order: &[(Expr, bool)]) -> Ordering {
    let mut pairs = a.iter().zip(b).zip(order);
    pairs
        .find_map(|((a, b), (_, down))| {
            let order = value::ordered(a, b);
            let order = if *down { order.reverse() } else { order };
            order.is_ne().then_some(order)
        })
        .unwrap_or(Ordering::Equal)
}

fn logical(truth: Option<bool>) -> Val {
    truth.map_or(Val::Null, Val::bool)
}

/// Whether `a` is one of `list`; neither where NULL is among them.
fn among(a: &Val, list: &[Val]) -> Option<bool> {
    let mut unknown = a.is_null();
    for b in list {
        match compared(a, b) {
            Some(Ordering::Equal) => return Some(true),
            None => unknown = true,
            Some(_) => {}
        }
    }
    (!unknown || list.is_empty()).then_some(false)
}

/// An operation on 64 bits.
fn bits(a: Val, b: Val, of: impl Fn(u64, u64) -> u64) -> Val {
    if a.is_null() || b.is_null() {
        return Val::Null;
    }
    let unsigned = |v: Val| match v {
        Val::Decimal(n, 0) => u64::try_from(n).unwrap_or(u64::MAX),
        other => other.int().cast_unsigned(),
    };
    value::whole(of(unsigned(a), unsigned(b)).into())
}

fn cast(value: Val, kind: &str) -> Val {
    if value.is_null() {
        return Val::Null;
    }
    match kind {
        "signed" | "int" | "integer" => Val::Int(value.int()),
        "unsigned" => value::whole(value.int().cast_unsigned().into()),
        "decimal" => match value {
            exact @ (Val::Int(_) | Val::Decimal(..)) => exact.rescaled(0),
            other => Val::Decimal(other.int().into(), 0),
        },
        "date" => Val::text(value.string().chars().take(10).collect::<String>()),
        "datetime" if value.string().len() == 10 => Val::text(format!("{} 00:00:00", value.string())),
        "double" | "float" | "real" => Val::Real(value.real()),
        _ => Val::text(value.string()),
    }
}
