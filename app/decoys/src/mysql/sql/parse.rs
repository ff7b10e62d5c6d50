//! Queries and expressions, read into trees.
//!
//! Start at [`query`]. What the server would understand and this grammar does not is a syntax error near its unknown part.

use super::{
    SqlError,
    token::{Cursor, Token},
    value::Val,
};

/// The most parentheses, functions and subqueries inside each other; each level takes stack.
const DEPTH_MAX: usize = 48;
/// The most expressions of one statement: trees cost memory.
const NODES_MAX: usize = 20_000;
const UNION_MAX: usize = 64;

/// SELECTs that UNION puts together; mostly one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// Each with whether it keeps doubles of what is before it.
    pub(super) parts: Vec<(bool, Select)>,
    /// The order and limits of a UNION as a whole.
    pub(super) order: Vec<(Expr, bool)>,
    pub(super) limit: Option<Limit>,
    /// `INTO OUTFILE` and the like.
    pub(super) into_file: bool,
    /// `INTO @a, @b`.
    pub(super) into: Vec<String>,
}

/// How many rows are passed over, and how many are wanted then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) skip: usize,
    pub(super) take: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Select {
    pub(super) distinct: bool,
    pub(super) items: Vec<Item>,
    pub(super) from: Vec<Source>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    pub(super) having: Option<Expr>,
    /// Each with whether it goes down.
    pub(super) order: Vec<(Expr, bool)>,
    pub(super) limit: Option<Limit>,
}

/// A column of the select list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// `*`, or `t.*`.
    All(Option<String>),
    Expr {
        expr: Expr,
        /// Its name in the result: the alias, or what was written.
        name: String,
    },
}

/// A table of FROM, and how it is joined to those before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    pub(super) join: Join,
    pub(super) relation: Relation,
    pub(super) alias: Option<String>,
    pub(super) on: Option<Expr>,
    pub(super) using: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Inner,
    Left,
    Right,
    Natural,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Relation {
    Table {
        schema: Option<String>,
        name: String,
    },
    Derived(Box<Query>),
    /// `FROM dual`: one row without columns.
    Dual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    Xor,
    And,
    Equal,
    NullSafe,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    BitOr,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Whole,
    Modulo,
    BitXor,
}

/// Whose system variable is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Any,
    Global,
    Session,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Null,
    True,
    False,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Literal(Val),
    /// The value at this place of the row: what `*` stands for.
    Place(usize),
    Column {
        schema: Option<String>,
        table: Option<String>,
        name: String,
    },
    UserVariable(String),
    SystemVariable {
        scope: Scope,
        name: String,
    },
    Assign(String, Box<Expr>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Inverted(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    Is(Box<Expr>, Fact),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    InQuery(Box<Expr>, Box<Query>),
    Like {
        text: Box<Expr>,
        pattern: Box<Expr>,
        escape: char,
    },
    Regexp(Box<Expr>, Box<Expr>),
    Case {
        of: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Call(Call),
    Cast(Box<Expr>, String),
    Interval(Box<Expr>, String),
    Query(Box<Query>),
    Exists(Box<Query>),
}

/// A function and what it is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// In small letters.
    pub(super) name: String,
    /// As it was written.
    pub(super) written: String,
    /// `COUNT(*)`.
    pub(super) all: bool,
    pub(super) distinct: bool,
    pub(super) arguments: Vec<Expr>,
    /// Of GROUP_CONCAT.
    pub(super) order: Vec<(Expr, bool)>,
    pub(super) separator: String,
}

impl Call {
    /// Whether it makes one value of many rows.
    pub(super) fn is_aggregate(&self) -> bool {
        matches!(
            self.name.as_str(),
            "count" | "sum" | "min" | "max" | "avg" | "group_concat" | "std" | "stddev" | "variance"
        )
    }
}

impl Expr {
    /// Call `each` with this expression and all inside it, but for subqueries.
    pub(super) fn visit(&self, each: &mut dyn FnMut(&Expr)) {
        each(self);
        match self {
            Self::Literal(_)
            | Self::Place(_)
            | Self::Column { .. }
            | Self::UserVariable(_)
            | Self::SystemVariable { .. }
            | Self::Query(_)
            | Self::Exists(_) => {}
            Self::Assign(_, a)
            | Self::Not(a)
            | Self::Negative(a)
            | Self::Inverted(a)
            | Self::Is(a, _)
            | Self::InQuery(a, _)
            | Self::Cast(a, _)
            | Self::Interval(a, _) => a.visit(each),
            Self::Binary(_, a, b)
            | Self::Regexp(a, b)
            | Self::Like {
                text: a, pattern: b, ..
            } => {
                a.visit(each);
                b.visit(each);
            }
            Self::Between(a, b, c) => [a, b, c].into_iter().for_each(|e| e.visit(each)),
            Self::In(a, list) => {
                a.visit(each);
                list.iter().for_each(|e| e.visit(each));
            }
            Self::Case { of, arms, otherwise } => {
                of.iter().chain(otherwise).for_each(|e| e.visit(each));
                for (when, then) in arms {
                    when.visit(each);
                    then.visit(each);
                }
            }
            Self::Call(call) => {
                call.arguments.iter().for_each(|e| e.visit(each));
                call.order.iter().for_each(|(e, _)| e.visit(each));
            }
        }
    }

    /// Whether an aggregate stands in it.
    pub(super) fn aggregates(&self) -> bool {
        let mut found = false;
        self.visit(&mut |e| found |= matches!(e, Self::Call(call) if call.is_aggregate()));
        found
    }
}

/// Words that name neither a column nor an alias, unless in backticks.
const RESERVED: &[&str] = &[
    "all",
    "alter",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "collate",
    "create",
    "cross",
    "delete",
    "desc",
    "distinct",
    "div",
    "drop",
    "else",
    "except",
    "exists",
    "for",
    "from",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "key",
    "left",
    "like",
    "limit",
    "lock",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "procedure",
    "regexp",
    "right",
    "rlike",
    "select",
    "set",
    "show",
    "straight_join",
    "table",
    "then",
    "to",
    "union",
    "update",
    "using",
    "when",
    "where",
    "with",
    "xor",
];

fn reserved(word: &str) -> bool {
    RESERVED.iter().any(|r| word.eq_ignore_ascii_case(r))
}

fn stack() -> SqlError {
    SqlError::new(
        1436,
        "HY000",
        "Thread stack overrun:  285184 bytes used of a 299008 byte stack, and 16000 bytes needed. Consider increasing the \
         thread_stack system variable.",
    )
}

/// Read a query; the cursor stands at SELECT or at a parenthesis.
pub(super) fn query(cursor: &mut Cursor<'_>) -> Result<Query, SqlError> {
    Reader {
        cursor,
        depth: 0,
        nodes: 0,
    }
    .query()
}

/// Read an expression.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Result<Expr, SqlError> {
    Reader {
        cursor,
        depth: 0,
        nodes: 0,
    }
    .expression()
}

struct Reader<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    depth: usize,
    nodes: usize,
}

impl Reader<'_, '_> {
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.nodes += 1;
        if self.depth == DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(stack());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn query(&mut self) -> Result<Query, SqlError> {
        self.deeper(Self::query_here)
    }

    fn query_here(&mut self) -> Result<Query, SqlError> {
        let mut out = Query {
            parts: Vec::new(),
            order: Vec::new(),
            limit: None,
            into_file: false,
            into: Vec::new(),
        };
        let mut all = false;
        let mut bare;
        loop {
            bare = !self.cursor.is_mark("(");
            let select = if bare {
                self.select(&mut out)?
            } else {
                self.in_parentheses()?
            };
            out.parts.push((all, select));
            if out.parts.len() > UNION_MAX {
                return Err(stack());
            }
            if !self.cursor.eat("union") {
                break;
            }
            all = self.cursor.eat("all");
            if !all {
                self.cursor.eat("distinct");
            }
        }
        out.order = self.order()?;
        out.limit = self.limit()?;
        self.into(&mut out)?;
        if self.cursor.eat("for") {
            self.cursor.need("update")?;
        } else if self.cursor.eat("lock") {
            for word in ["in", "share", "mode"] {
                self.cursor.need(word)?;
            }
        }
        if let ([(_, only)], true) = (out.parts.as_mut_slice(), bare) {
            only.order = std::mem::take(&mut out.order);
            only.limit = out.limit.take();
        }
        Ok(out)
    }

    /// A SELECT in parentheses, with an order and a limit of its own.
    fn in_parentheses(&mut self) -> Result<Select, SqlError> {
        self.cursor.need_mark("(")?;
        let from = self.cursor.at();
        let mut inner = self.query()?;
        self.cursor.need_mark(")")?;
        match (inner.parts.pop(), inner.parts.is_empty()) {
            (Some((_, select)), true) => Ok(select),
            // A UNION as a part of another.
            _ => Err(self.cursor.syntax_at(from)),
        }
    }

    fn into(&mut self, out: &mut Query) -> Result<(), SqlError> {
        if !self.cursor.eat("into") {
            return Ok(());
        }
        if self.cursor.eat_any(&["outfile", "dumpfile"]) {
            if !matches!(self.cursor.next(), Some(Token::Text(_))) {
                return Err(self.cursor.syntax());
            }
            out.into_file = true;
            // How fields and lines are divided and enclosed.
            while self.cursor.eat_any(&[
                "character",
                "set",
                "fields",
                "columns",
                "lines",
                "terminated",
                "enclosed",
                "escaped",
                "optionally",
                "starting",
                "by",
                "utf8",
                "utf8mb4",
                "binary",
                "latin1",
            ]) || matches!(self.cursor.peek(), Some(Token::Text(_))) && self.cursor.next().is_some()
            {
            }
            return Ok(());
        }
        loop {
            match self.cursor.peek() {
                Some(Token::Variable(name)) if !name.starts_with("@@") => out.into.push(name.clone()),
                _ => return Err(self.cursor.syntax()),
            }
            self.cursor.next();
            if !self.cursor.eat_mark(",") {
                return Ok(());
            }
        }
    }

    fn select(&mut self, whole: &mut Query) -> Result<Select, SqlError> {
        self.cursor.need("select")?;
        let mut distinct = false;
        loop {
            if self.cursor.eat_any(&["distinct", "distinctrow"]) {
                distinct = true;
            } else if !self.cursor.eat_any(&[
                "all",
                "sql_no_cache",
                "sql_cache",
                "sql_calc_found_rows",
                "straight_join",
                "high_priority",
                "sql_small_result",
                "sql_big_result",
                "sql_buffer_result",
            ]) {
                break;
            }
        }
        let mut items = vec![self.item()?];
        while self.cursor.eat_mark(",") {
            items.push(self.item()?);
            if items.len() > 4096 {
                return Err(SqlError::new(1117, "HY000", "Too many columns"));
            }
        }
        self.into(whole)?;
        let mut out = Select {
            distinct,
            items,
            from: Vec::new(),
            filter: None,
            group: Vec::new(),
            having: None,
            order: Vec::new(),
            limit: None,
        };
        if !self.cursor.eat("from") {
            // A WHERE without a table is taken since MariaDB 10 and MySQL 8.
            if self.cursor.eat("where") {
                out.filter = Some(self.expression()?);
            }
            return Ok(out);
        }
        out.from = self.sources()?;
        if self.cursor.eat("where") {
            out.filter = Some(self.expression()?);
        }
        if self.cursor.eat("group") {
            self.cursor.need("by")?;
            loop {
                out.group.push(self.expression()?);
                self.cursor.eat_any(&["asc", "desc"]);
                if !self.cursor.eat_mark(",") {
                    break;
                }
            }
        }
        if self.cursor.eat("having") {
            out.having = Some(self.expression()?);
        }
        Ok(out)
    }

    fn order(&mut self) -> Result<Vec<(Expr, bool)>, SqlError> {
        let mut out = Vec::new();
        if self.cursor.eat("order") {
            self.cursor.need("by")?;
            loop {
                let expr = self.expression()?;
                let down = self.cursor.eat("desc");
                if !down {
                    self.cursor.eat("asc");
                }
                out.push((expr, down));
                if !self.cursor.eat_mark(",") {
                    break;
                }
            }
        }
        Ok(out)
    }

    fn limit(&mut self) -> Result<Option<Limit>, SqlError> {
        if !self.cursor.eat("limit") {
            return Ok(None);
        }
        let first = self.count()?;
        let limit = if self.cursor.eat_mark(",") {
            Limit {
                skip: first,
                take: self.count()?,
            }
        } else if self.cursor.eat("offset") {
            Limit {
                skip: self.count()?,
                take: first,
            }
        } else {
            Limit { skip: 0, take: first }
        };
        Ok(Some(limit))
    }

    fn count(&mut self) -> Result<usize, SqlError> {
        if let Some(value) = self.cursor.parameter() {
            return Ok(usize::try_from(value.int()).unwrap_or_default());
        }
        match self.cursor.peek() {
            Some(Token::Number(n)) if n.bytes().all(|b| b.is_ascii_digit()) => {
                self.cursor.next();
                Ok(n.parse().unwrap_or(usize::MAX))
            }
            _ => Err(self.cursor.syntax()),
        }
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        if self.cursor.eat_mark("*") {
            return Ok(Item::All(None));
        }
        let from = self.cursor.at();
        let before = self.cursor.clone();
        // `t.*` and `s.t.*`.
        if let Ok(first) = self.cursor.name() {
            let mut table = first;
            while self.cursor.eat_mark(".") {
                if self.cursor.eat_mark("*") {
                    return Ok(Item::All(Some(table.to_owned())));
                }
                match self.cursor.name() {
                    Ok(next) => table = next,
                    Err(_) => break,
                }
            }
        }
        *self.cursor = before;
        let expr = self.expression()?;
        let written = self.cursor.since(from);
        let name = match self.alias(true)? {
            Some(alias) => alias,
            None => match &expr {
                Expr::Column { name, .. } => name.clone(),
                Expr::Literal(_) if written.starts_with("0x") || written == "?" => written.to_owned(),
                Expr::Literal(Val::Text(text)) => text.to_string(),
                Expr::Literal(Val::Null) => "NULL".to_owned(),
                _ => written.to_owned(),
            },
        };
        Ok(Item::Expr { expr, name })
    }

    /// An alias, where there is one. `text`: it may stand in quotes.
    fn alias(&mut self, text: bool) -> Result<Option<String>, SqlError> {
        let named = self.cursor.eat("as");
        let alias = match self.cursor.peek() {
            Some(Token::Word(word)) if !reserved(word) => word,
            Some(Token::Quoted(word)) => word,
            Some(Token::Text(word)) if text => word,
            _ if named => return Err(self.cursor.syntax()),
            _ => return Ok(None),
        };
        self.cursor.next();
        Ok(Some(alias.clone()))
    }

    fn sources(&mut self) -> Result<Vec<Source>, SqlError> {
        let mut out = vec![self.source(Join::Inner)?];
        loop {
            let natural = self.cursor.eat("natural");
            let join = if !natural && (self.cursor.eat_mark(",") || self.cursor.eat("straight_join")) {
                out.push(self.source(Join::Inner)?);
                self.condition(&mut out)?;
                continue;
            } else if self.cursor.eat("left") {
                self.cursor.eat("outer");
                Join::Left
            } else if self.cursor.eat("right") {
                self.cursor.eat("outer");
                Join::Right
            } else if self.cursor.eat_any(&["inner", "cross"]) || self.cursor.is("join") {
                if natural { Join::Natural } else { Join::Inner }
            } else if natural {
                return Err(self.cursor.syntax());
            } else {
                return Ok(out);
            };
            self.cursor.need("join")?;
            if out.len() >= 61 {
                return Err(SqlError::new(
                    1116,
                    "HY000",
                    "Too many tables; MariaDB can only use 61 tables in a join",
                ));
            }
            out.push(self.source(join)?);
            let joined_by = self.condition(&mut out)?;
            if !joined_by && matches!(join, Join::Left | Join::Right) && !natural {
                return Err(self.cursor.syntax());
            }
        }
    }

    /// ON or USING of the last source.
    fn condition(&mut self, sources: &mut [Source]) -> Result<bool, SqlError> {
        let Some(last) = sources.last_mut() else {
            return Ok(false);
        };
        if self.cursor.eat("on") {
            last.on = Some(self.expression()?);
            return Ok(true);
        }
        if self.cursor.eat("using") {
            self.cursor.need_mark("(")?;
            loop {
                last.using.push(self.cursor.name()?.to_owned());
                if !self.cursor.eat_mark(",") {
                    break;
                }
            }
            self.cursor.need_mark(")")?;
            return Ok(true);
        }
        Ok(false)
    }

    fn source(&mut self, join: Join) -> Result<Source, SqlError> {
        let relation = if self.cursor.eat_mark("(") {
            let inner = self.query()?;
            self.cursor.need_mark(")")?;
            Relation::Derived(Box::new(inner))
        } else if self.cursor.is("dual") {
            self.cursor.next();
            Relation::Dual
        } else {
            if matches!(self.cursor.peek(), Some(Token::Word(word)) if reserved(word)) {
                return Err(self.cursor.syntax());
            }
            let first = self.cursor.name()?.to_owned();
            if self.cursor.eat_mark(".") {
                Relation::Table {
                    schema: Some(first),
                    name: self.cursor.name()?.to_owned(),
                }
            } else {
                Relation::Table {
                    schema: None,
                    name: first,
                }
            }
        };
        let alias = if relation == Relation::Dual {
            None
        } else {
            self.alias(false)?
        };
        if alias.is_none() && matches!(relation, Relation::Derived(_)) {
            return Err(if self.cursor.product == "MariaDB" {
                self.cursor.syntax()
            } else {
                SqlError::new(1248, "42000", "Every derived table must have its own alias")
            });
        }
        if self.cursor.eat_any(&["force", "use", "ignore"]) {
            self.cursor.eat_any(&["index", "key"]);
            self.cursor.need_mark("(")?;
            while !self.cursor.eat_mark(")") {
                if self.cursor.next().is_none() {
                    return Err(self.cursor.syntax());
                }
            }
        }
        Ok(Source {
            join,
            relation,
            alias,
            on: None,
            using: Vec::new(),
        })
    }

    fn expression(&mut self) -> Result<Expr, SqlError> {
        self.binary(0)
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Result<Expr, SqlError> {
        self.deeper(|reader| reader.binary_here(least))
    }

    fn binary_here(&mut self, least: u8) -> Result<Expr, SqlError> {
        let mut left = if least <= NOT && self.cursor.eat("not") {
            Expr::Not(Box::new(self.binary(NOT)?))
        } else {
            self.unary()?
        };
        loop {
            if least <= COMPARISON && self.predicate(&mut left)? {
                self.counted()?;
                continue;
            }
            let Some((op, binds)) = self.operator() else {
                return Ok(left);
            };
            if binds < least {
                return Ok(left);
            }
            self.cursor.next();
            let right = self.binary(binds + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
            self.counted()?;
        }
    }

    fn counted(&mut self) -> Result<(), SqlError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            Err(stack())
        } else {
            Ok(())
        }
    }

    fn operator(&self) -> Option<(Op, u8)> {
        Some(match self.cursor.peek()? {
            Token::Mark("||") => (Op::Or, 1),
            Token::Mark("&&") => (Op::And, 3),
            Token::Mark("=") => (Op::Equal, COMPARISON),
            Token::Mark("<=>") => (Op::NullSafe, COMPARISON),
            Token::Mark("<>" | "!=") => (Op::Unequal, COMPARISON),
            Token::Mark("<") => (Op::Less, COMPARISON),
            Token::Mark("<=") => (Op::AtMost, COMPARISON),
            Token::Mark(">") => (Op::More, COMPARISON),
            Token::Mark(">=") => (Op::AtLeast, COMPARISON),
            Token::Mark("|") => (Op::BitOr, 6),
            Token::Mark("&") => (Op::BitAnd, 7),
            Token::Mark("<<") => (Op::ShiftLeft, 8),
            Token::Mark(">>") => (Op::ShiftRight, 8),
            Token::Mark("+") => (Op::Add, 9),
            Token::Mark("-") => (Op::Subtract, 9),
            Token::Mark("*") => (Op::Multiply, 10),
            Token::Mark("/") => (Op::Divide, 10),
            Token::Mark("%") => (Op::Modulo, 10),
            Token::Mark("^") => (Op::BitXor, 11),
            word if word.is("or") => (Op::Or, 1),
            word if word.is("xor") => (Op::Xor, 2),
            word if word.is("and") => (Op::And, 3),
            word if word.is("div") => (Op::Whole, 10),
            word if word.is("mod") => (Op::Modulo, 10),
            _ => return None,
        })
    }

    /// IS, IN, LIKE, BETWEEN and REGEXP after `left`, which becomes a part of it; whether there is one.
    fn predicate(&mut self, left: &mut Expr) -> Result<bool, SqlError> {
        let mut of = || Box::new(std::mem::replace(left, Expr::Literal(Val::Null)));
        if self.cursor.eat("is") {
            let not = self.cursor.eat("not");
            let fact = if self.cursor.eat_any(&["null", "unknown"]) {
                Fact::Null
            } else if self.cursor.eat("true") {
                Fact::True
            } else if self.cursor.eat("false") {
                Fact::False
            } else {
                return Err(self.cursor.syntax());
            };
            let predicate = Expr::Is(of(), fact);
            *left = negated(not, predicate);
            return Ok(true);
        }
        let not = self.cursor.is("not");
        if not {
            let follows = |words: &[&str]| {
                words
                    .iter()
                    .any(|w| self.cursor.second().is_some_and(|t| t.is(w)))
            };
            if !follows(&["in", "like", "between", "regexp", "rlike"]) {
                return Ok(false);
            }
            self.cursor.next();
        }
        let predicate = if self.cursor.eat("in") {
            self.cursor.need_mark("(")?;
            let inner = if self.cursor.is("select") {
                Expr::InQuery(of(), Box::new(self.query()?))
            } else {
                Expr::In(of(), self.list()?)
            };
            self.cursor.need_mark(")")?;
            inner
        } else if self.cursor.eat("like") {
            let pattern = Box::new(self.binary(COMPARISON + 1)?);
            let mut escape = '\\';
            if self.cursor.eat("escape") {
                match self.cursor.next() {
                    Some(Token::Text(text)) => escape = text.chars().next().unwrap_or('\\'),
                    _ => return Err(self.cursor.syntax()),
                }
            }
            Expr::Like {
                text: of(),
                pattern,
                escape,
            }
        } else if self.cursor.eat_any(&["regexp", "rlike"]) {
            Expr::Regexp(of(), Box::new(self.binary(COMPARISON + 1)?))
        } else if self.cursor.eat("between") {
            let low = Box::new(self.binary(COMPARISON + 1)?);
            self.cursor.need("and")?;
            Expr::Between(of(), low, Box::new(self.binary(COMPARISON + 1)?))
        } else {
            return Ok(false);
        };
        *left = negated(not, predicate);
        Ok(true)
    }

    fn list(&mut self) -> Result<Vec<Expr>, SqlError> {
        let mut out = vec![self.expression()?];
        while self.cursor.eat_mark(",") {
            out.push(self.expression()?);
        }
        Ok(out)
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        let from = self.cursor.at();
        if let Some(value) = self.cursor.parameter() {
            return Ok(Expr::Literal(value));
        }
        let expr = match self.cursor.peek() {
            Some(Token::Mark("-")) => {
                self.cursor.next();
                match self.deeper(Self::unary)? {
                    Expr::Literal(Val::Int(n)) => Expr::Literal(Val::Int(n.saturating_neg())),
                    other => Expr::Negative(Box::new(other)),
                }
            }
            Some(Token::Mark("+")) => {
                self.cursor.next();
                self.deeper(Self::unary)?
            }
            Some(Token::Mark("~")) => {
                self.cursor.next();
                Expr::Inverted(Box::new(self.deeper(Self::unary)?))
            }
            Some(Token::Mark("!")) => {
                self.cursor.next();
                Expr::Not(Box::new(self.deeper(Self::unary)?))
            }
            Some(Token::Mark("(")) => {
                self.cursor.next();
                let inner = if self.cursor.is("select") {
                    Expr::Query(Box::new(self.query()?))
                } else {
                    self.expression()?
                };
                self.cursor.need_mark(")")?;
                inner
            }
            Some(Token::Number(n)) => {
                self.cursor.next();
                Expr::Literal(Val::number(n))
            }
            Some(Token::Text(text)) => {
                self.cursor.next();
                let mut text = text.clone();
                // Texts that follow each other are one.
                while let Some(Token::Text(more)) = self.cursor.peek() {
                    text.push_str(more);
                    self.cursor.next();
                }
                Expr::Literal(Val::text(text))
            }
            Some(Token::Variable(name)) => {
                self.cursor.next();
                self.variable(name, from)?
            }
            Some(Token::Quoted(name)) => {
                self.cursor.next();
                self.column(name)?
            }
            Some(Token::Word(word)) => self.word(word)?,
            _ => return Err(self.cursor.syntax()),
        };
        // A collation makes no difference to what is compared here.
        if self.cursor.eat("collate") {
            self.cursor.name()?;
        }
        Ok(expr)
    }

    fn variable(&mut self, name: &str, from: usize) -> Result<Expr, SqlError> {
        if let Some(system) = name.strip_prefix("@@") {
            let lower = system.to_ascii_lowercase();
            let (scope, bare) = lower.split_once('.').unwrap_or(("", &lower));
            if bare.is_empty() {
                return Err(self.cursor.syntax_at(from));
            }
            let (scope, name) = match scope {
                "global" => (Scope::Global, bare),
                "session" | "local" => (Scope::Session, bare),
                "" => (Scope::Any, bare),
                _ => (Scope::Any, lower.as_str()),
            };
            return Ok(Expr::SystemVariable {
                scope,
                name: name.to_owned(),
            });
        }
        if self.cursor.eat_mark(":=") {
            let value = self.expression()?;
            return Ok(Expr::Assign(name.to_ascii_lowercase(), Box::new(value)));
        }
        Ok(Expr::UserVariable(name.to_ascii_lowercase()))
    }

    fn column(&mut self, first: &str) -> Result<Expr, SqlError> {
        let mut names = vec![first.to_owned()];
        while names.len() < 3 && self.cursor.eat_mark(".") {
            names.push(self.cursor.name()?.to_owned());
        }
        let name = names.pop().unwrap_or_default();
        let table = names.pop();
        Ok(Expr::Column {
            schema: names.pop(),
            table,
            name,
        })
    }

    /// What begins with a word: a keyword, a function or a column.
    fn word(&mut self, word: &str) -> Result<Expr, SqlError> {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "null" => {
                self.cursor.next();
                return Ok(Expr::Literal(Val::Null));
            }
            "true" | "false" => {
                self.cursor.next();
                return Ok(Expr::Literal(Val::Int(i64::from(lower == "true"))));
            }
            "case" => return self.case(),
            "exists" => {
                self.cursor.next();
                self.cursor.need_mark("(")?;
                let inner = self.query()?;
                self.cursor.need_mark(")")?;
                return Ok(Expr::Exists(Box::new(inner)));
            }
            "interval" if self.cursor.second() != Some(&Token::Mark("(")) || self.interval_follows() => {
                self.cursor.next();
                let amount = self.expression()?;
                let unit = self.cursor.name()?.to_ascii_lowercase();
                return Ok(Expr::Interval(Box::new(amount), unit));
            }
            "binary" if self.cursor.second() != Some(&Token::Mark("(")) => {
                self.cursor.next();
                let inner = self.deeper(Self::unary)?;
                return Ok(Expr::Cast(Box::new(inner), "binary".to_owned()));
            }
            "current_user" | "current_date" | "current_time" | "current_timestamp" | "localtime"
            | "utc_timestamp" | "utc_date"
                if self.cursor.second() != Some(&Token::Mark("(")) =>
            {
                self.cursor.next();
                return Ok(call(&lower, word, Vec::new()));
            }
            _ => {}
        }
        // A character set before a text: _utf8'x'.
        if lower.starts_with('_') && matches!(self.cursor.second(), Some(Token::Text(_))) {
            self.cursor.next();
            return self.unary();
        }
        let called = self.cursor.second() == Some(&Token::Mark("("));
        if reserved(word)
            && !(called && ["left", "right", "replace", "insert", "if"].contains(&lower.as_str()))
        {
            return Err(self.cursor.syntax());
        }
        self.cursor.next();
        if !self.cursor.eat_mark("(") {
            return self.column(word);
        }
        self.deeper(|reader| reader.call(&lower, word))
    }

    /// INTERVAL (expression) UNIT, and not the function of that name.
    fn interval_follows(&self) -> bool {
        let mut ahead = self.cursor.clone();
        ahead.next();
        let mut depth = 0_usize;
        while let Some(token) = ahead.next() {
            match token {
                Token::Mark("(") => depth += 1,
                Token::Mark(")") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return matches!(ahead.peek(), Some(Token::Word(unit)) if !reserved(unit));
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn case(&mut self) -> Result<Expr, SqlError> {
        self.cursor.next();
        let of = if self.cursor.is("when") {
            None
        } else {
            Some(Box::new(self.expression()?))
        };
        let mut arms = Vec::new();
        while self.cursor.eat("when") {
            let when = self.expression()?;
            self.cursor.need("then")?;
            arms.push((when, self.expression()?));
        }
        let otherwise = if self.cursor.eat("else") {
            Some(Box::new(self.expression()?))
        } else {
            None
        };
        if arms.is_empty() || !self.cursor.eat("end") {
            return Err(self.cursor.syntax());
        }
        Ok(Expr::Case { of, arms, otherwise })
    }

    /// The arguments of a function, after its parenthesis.
    fn call(&mut self, lower: &str, written: &str) -> Result<Expr, SqlError> {
        let mut out = Call {
            name: lower.to_owned(),
            written: written.to_owned(),
            all: false,
            distinct: false,
            arguments: Vec::new(),
            order: Vec::new(),
            separator: ",".to_owned(),
        };
        if self.cursor.eat_mark(")") {
            return Ok(Expr::Call(out));
        }
        match lower {
            "count" if self.cursor.eat_mark("*") => {
                out.all = true;
                self.cursor.need_mark(")")?;
                return Ok(Expr::Call(out));
            }
            "cast" | "convert" => {
                let inner = self.expression()?;
                let named = if lower == "cast" {
                    self.cursor.eat("as")
                } else {
                    self.cursor.eat_mark(",")
                };
                let using = !named && self.cursor.eat("using");
                if !named && !using {
                    return Err(self.cursor.syntax());
                }
                let kind = self.cursor.name()?.to_ascii_lowercase();
                self.cursor.eat_any(&["integer", "int"]);
                if self.cursor.eat_mark("(") {
                    while self.cursor.next().is_some_and(|t| *t != Token::Mark(")")) {}
                }
                if self.cursor.eat("character") {
                    self.cursor.need("set")?;
                    self.cursor.name()?;
                }
                self.cursor.need_mark(")")?;
                return Ok(Expr::Cast(
                    Box::new(inner),
                    if using { "char".to_owned() } else { kind },
                ));
            }
            "trim" => {
                let side = ["leading", "trailing", "both"]
                    .into_iter()
                    .find(|side| self.cursor.eat(side));
                let mut first = if side.is_some() && self.cursor.is("from") {
                    Expr::Literal(Val::text(" "))
                } else {
                    self.expression()?
                };
                let mut cut = Expr::Literal(Val::text(" "));
                if self.cursor.eat("from") {
                    cut = std::mem::replace(&mut first, self.expression()?);
                }
                self.cursor.need_mark(")")?;
                return Ok(call(side.unwrap_or("both"), written, vec![first, cut]));
            }
            "position" => {
                let needle = self.binary(COMPARISON + 1)?;
                self.cursor.need("in")?;
                let hay = self.expression()?;
                self.cursor.need_mark(")")?;
                return Ok(call("locate", written, vec![needle, hay]));
            }
            "extract" => {
                let unit = self.cursor.name()?.to_ascii_lowercase();
                self.cursor.need("from")?;
                let of = self.expression()?;
                self.cursor.need_mark(")")?;
                return Ok(call(&unit, written, vec![of]));
            }
            _ => {}
        }
        out.distinct = self.cursor.eat("distinct");
        out.arguments = self.list()?;
        if matches!(lower, "substring" | "substr" | "mid") && self.cursor.eat("from") {
            out.arguments.push(self.expression()?);
            if self.cursor.eat("for") {
                out.arguments.push(self.expression()?);
            }
        }
        if lower == "group_concat" {
            out.order = self.order()?;
            if self.cursor.eat("separator") {
                match self.cursor.next() {
                    Some(Token::Text(text)) => out.separator.clone_from(text),
                    _ => return Err(self.cursor.syntax()),
                }
            }
        }
        if lower == "char" && self.cursor.eat("using") {
            self.cursor.name()?;
        }
        self.cursor.need_mark(")")?;
        Ok(Expr::Call(out))
    }
}

/// How tightly they bind: see [`Reader::operator`].
const NOT: u8 = 4;
const COMPARISON: u8 = 5;

fn call(name: &str, written: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Call(Call {
        name: name.to_owned(),
        written: written.to_owned(),
        all: false,
        distinct: false,
        arguments,
        order: Vec::new(),
        separator: ",".to_owned(),
    })
}

fn negated(not: bool, expr: Expr) -> Expr {
    if not { Expr::Not(Box::new(expr)) } else { expr }
}
