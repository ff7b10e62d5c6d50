//! Statements: a small part of SQL over the bait, with the errors of the real server.
//!
//! Start at [`Database::run`]. A statement that the real server would understand and this one does not is answered as a
//! syntax error near its unknown part.

use decnet_persona::bait::{self, Table, Value};

use super::packet::Column;

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flavour {
    pub(super) mariadb: bool,
    /// `@@version`.
    pub(super) version: String,
    /// `@@version_comment`.
    pub(super) comment: String,
}

/// The schemas that a visitor may read.
pub(super) struct Database {
    pub(super) flavour: Flavour,
    schemas: Vec<bait::Database>,
    hostname: String,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) user: String,
    pub(super) host: String,
    pub(super) database: Option<String>,
    pub(super) connection_id: u32,
    pub(super) now: String,
    pub(super) uptime_s: u64,
}

impl Asker {
    fn account(&self) -> String {
        format!("'{}'@'{}'", self.user, self.host)
    }
}

/// What a statement comes to.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Done,
    /// Another database was chosen.
    Use(String),
    Rows {
        columns: Vec<Column<'a>>,
        rows: Vec<Vec<Option<String>>>,
    },
    Error(SqlError),
}

/// An error: code, SQLSTATE, text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SqlError {
    pub(super) code: u16,
    pub(super) state: &'static str,
    pub(super) text: String,
}

fn error(code: u16, state: &'static str, text: impl Into<String>) -> SqlError {
    SqlError {
        code,
        state,
        text: text.into(),
    }
}

/// The takeover sequence that `sql` is a part of, by name.
pub(super) fn exploit(sql: &str) -> Option<&'static str> {
    let flat = sql
        .to_ascii_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let table: &[(&str, &'static str)] = &[
        ("into outfile", "mysql-into-outfile"),
        ("into dumpfile", "mysql-into-dumpfile"),
        ("load_file(", "mysql-load-file"),
        ("load data", "mysql-load-data"),
        (" soname ", "mysql-udf"),
        ("install plugin", "mysql-install-plugin"),
        ("general_log_file", "mysql-general-log"),
        ("sys_exec(", "mysql-udf"),
        ("sys_eval(", "mysql-udf"),
    ];
    table
        .iter()
        .find(|(part, _)| flat.contains(part))
        .map(|(_, name)| *name)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(String),
    Variable(String),
    Mark(char),
}

impl Token {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// Split a statement into tokens with the places where they begin. Comments are left out; what stands in `/*! … */` is not.
fn tokens(sql: &str) -> Vec<(usize, Token)> {
    let mut out = Vec::new();
    let mut chars = sql.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        match c {
            c if c.is_whitespace() || c == ';' => {}
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '-' if next == Some('-') => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '/' if next == Some('*') => {
                chars.next();
                if chars.next_if(|(_, c)| *c == '!').is_some() {
                    while chars.next_if(|(_, c)| c.is_ascii_digit()).is_some() {}
                    continue;
                }
                let mut star = false;
                for (_, c) in chars.by_ref() {
                    if star && c == '/' {
                        break;
                    }
                    star = c == '*';
                }
            }
            '*' if next == Some('/') => {
                chars.next();
            }
            '\'' | '"' | '`' => {
                let mut text = String::new();
                while let Some((_, inner)) = chars.next() {
                    match inner {
                        '\\' if c != '`' => text.extend(chars.next().map(|(_, c)| c)),
                        inner if inner == c => {
                            if chars.next_if(|(_, again)| *again == c).is_none() {
                                break;
                            }
                            text.push(c);
                        }
                        inner => text.push(inner),
                    }
                }
                out.push((
                    at,
                    if c == '`' {
                        Token::Quoted(text)
                    } else {
                        Token::Text(text)
                    },
                ));
            }
            '@' => {
                let mut name = String::from("@");
                while let Some((_, c)) =
                    chars.next_if(|(_, c)| c.is_alphanumeric() || matches!(c, '@' | '_' | '.' | '$'))
                {
                    name.push(c);
                }
                out.push((at, Token::Variable(name)));
            }
            c if c.is_ascii_digit() => {
                let mut number = String::from(c);
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_ascii_digit() || *c == '.') {
                    number.push(c);
                }
                out.push((at, Token::Number(number)));
            }
            c if c.is_alphanumeric() || c == '_' || c == '$' => {
                let mut word = String::from(c);
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '$'))
                {
                    word.push(c);
                }
                out.push((at, Token::Word(word)));
            }
            c => out.push((at, Token::Mark(c))),
        }
    }
    out
}

/// Where values of a prepared statement belong: its `?`, but for those in texts and comments.
pub(super) fn places(sql: &str) -> Vec<usize> {
    let marks = tokens(sql).into_iter();
    marks
        .filter(|(_, token)| *token == Token::Mark('?'))
        .map(|(at, _)| at)
        .collect()
}

/// A statement being read.
struct Cursor<'a> {
    sql: &'a str,
    tokens: &'a [(usize, Token)],
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.first().map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let ((_, token), rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(token)
    }

    fn eat(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(keyword));
        if found {
            self.next();
        }
        found
    }

    /// Eat `mark` twice: `&&` and `||`.
    fn eat_pair(&mut self, mark: char) -> bool {
        let both = [Token::Mark(mark), Token::Mark(mark)];
        let found = self.tokens.iter().take(2).map(|(_, token)| token).eq(&both);
        if found {
            self.tokens = self.tokens.get(2..).unwrap_or_default();
        }
        found
    }

    fn eat_mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        if found {
            self.next();
        }
        found
    }

    /// What is left of the statement, for the words "near …".
    fn rest(&self) -> &'a str {
        let at = self.tokens.first().map_or(self.sql.len(), |(at, _)| *at);
        self.sql.get(at..).unwrap_or_default().trim_end_matches(';')
    }
}

/// A column of the select list.
enum Item {
    All,
    Count(String),
    Named {
        column: String,
        shown: String,
    },
    Constant {
        value: Option<String>,
        number: bool,
        shown: String,
    },
}

impl Database {
    pub(super) fn new(flavour: Flavour, bait: Vec<bait::Database>, hostname: String) -> Self {
        let mut schemas = bait;
        schemas.push(information_schema(&schemas));
        Self {
            flavour,
            schemas,
            hostname,
        }
    }

    /// The schema called `name`.
    pub(super) fn schema(&self, name: &str) -> Option<&bait::Database> {
        let fits = |schema: &&bait::Database| {
            schema.name == name
                || schema.name == "information_schema" && name.eq_ignore_ascii_case("information_schema")
        };
        self.schemas.iter().find(fits)
    }

    /// The error of somebody who asks for a schema that is not there, or not theirs: the server does not tell which.
    pub(super) fn no_schema(&self, name: &str, asker: &Asker) -> SqlError {
        error(
            1044,
            "42000",
            format!("Access denied for user {} to database '{name}'", asker.account()),
        )
    }

    fn syntax(&self, near: &str) -> SqlError {
        let product = if self.flavour.mariadb { "MariaDB" } else { "MySQL" };
        let near: String = near.chars().take(80).collect();
        error(
            1064,
            "42000",
            format!(
                "You have an error in your SQL syntax; check the manual that corresponds to your {product} server version \
                 for the right syntax to use near '{near}' at line 1"
            ),
        )
    }

    /// Answer one statement.
    pub(super) fn run<'a>(&'a self, sql: &str, asker: &Asker) -> Outcome<'a> {
        let tokens = tokens(sql);
        let mut cursor = Cursor { sql, tokens: &tokens };
        let Some(Token::Word(verb)) = cursor.peek() else {
            return Outcome::Error(if tokens.is_empty() {
                error(1065, "42000", "Query was empty")
            } else {
                self.syntax(cursor.rest())
            });
        };
        let whole = cursor.rest();
        cursor.next();
        let outcome = match verb.to_ascii_lowercase().as_str() {
            "select" => self.select(&mut cursor, asker),
            "show" => self.show(&mut cursor, asker),
            "use" => match cursor.next().and_then(Token::name) {
                Some(name) if self.schema(name).is_some() => Ok(Outcome::Use(name.to_owned())),
                Some(name) => Err(self.no_schema(name, asker)),
                None => Err(self.syntax("")),
            },
            "describe" | "desc" | "explain" => self
                .table_of(&mut cursor, asker)
                .map(|(_, table)| columns_of(table)),
            "set" | "begin" | "start" | "commit" | "rollback" | "do" | "flush" => Ok(Outcome::Done),
            "shutdown" => Err(self.lacks("SHUTDOWN")),
            "insert" | "replace" => {
                self.refused("INSERT", &mut cursor, &["low_priority", "ignore", "into"], asker)
            }
            "update" => self.refused("UPDATE", &mut cursor, &["low_priority", "ignore"], asker),
            "delete" => self.refused("DELETE", &mut cursor, &["low_priority", "ignore", "from"], asker),
            "truncate" => self.refused("DROP", &mut cursor, &["table"], asker),
            "alter" => self.refused("ALTER", &mut cursor, &["table"], asker),
            "lock" => self.refused("LOCK TABLES", &mut cursor, &["tables"], asker),
            "create" | "drop" => self.define(&verb.to_ascii_uppercase(), &mut cursor, asker),
            "load" => self.load(&mut cursor, asker),
            "grant" | "revoke" | "rename" => Err(self.lacks("CREATE USER")),
            "install" | "uninstall" => Err(self.denied("INSERT", "mysql", "plugin", asker)),
            "kill" => {
                let id = match cursor.next() {
                    Some(Token::Number(id)) => id.as_str(),
                    _ => "0",
                };
                Err(error(1094, "HY000", format!("Unknown thread id: {id}")))
            }
            _ => Err(self.syntax(whole)),
        };
        outcome.unwrap_or_else(Outcome::Error)
    }

    fn lacks(&self, privilege: &str) -> SqlError {
        error(
            1227,
            "42000",
            format!(
                "Access denied; you need (at least one of) the {privilege} privilege(s) for this operation"
            ),
        )
    }

    fn denied(&self, verb: &str, schema: &str, table: &str, asker: &Asker) -> SqlError {
        let place = if self.flavour.mariadb {
            format!("`{schema}`.`{table}`")
        } else {
            format!("'{table}'")
        };
        error(
            1142,
            "42000",
            format!(
                "{verb} command denied to user {} for table {place}",
                asker.account()
            ),
        )
    }

    fn refused<'a>(
        &self,
        verb: &str,
        cursor: &mut Cursor<'_>,
        pass: &[&str],
        asker: &Asker,
    ) -> Result<Outcome<'a>, SqlError> {
        for word in pass {
            cursor.eat(word);
        }
        let (schema, table) = self.place(cursor, asker)?;
        Err(self.denied(verb, &schema, &table, asker))
    }

    fn define<'a>(
        &self,
        verb: &str,
        cursor: &mut Cursor<'_>,
        asker: &Asker,
    ) -> Result<Outcome<'a>, SqlError> {
        cursor.eat("temporary");
        cursor.eat("or");
        cursor.eat("replace");
        cursor.eat("aggregate");
        let what = cursor
            .next()
            .and_then(Token::name)
            .unwrap_or_default()
            .to_ascii_lowercase();
        while ["if", "not", "exists"].iter().any(|word| cursor.eat(word)) {}
        match what.as_str() {
            "database" | "schema" => {
                let name = cursor
                    .next()
                    .and_then(Token::name)
                    .ok_or_else(|| self.syntax(""))?;
                Err(self.no_schema(name, asker))
            }
            "table" | "view" | "index" | "trigger" => {
                let (schema, table) = self.place(cursor, asker)?;
                Err(self.denied(verb, &schema, &table, asker))
            }
            "function" => Err(self.no_schema("mysql", asker)),
            "procedure" | "event" => Err(self.no_schema(asker.database.as_deref().unwrap_or("mysql"), asker)),
            "user" | "role" => Err(self.lacks("CREATE USER")),
            _ => Err(self.syntax(cursor.rest())),
        }
    }

    fn load<'a>(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Outcome<'a>, SqlError> {
        if !cursor.eat("data") {
            return Err(self.syntax(cursor.rest()));
        }
        let local = cursor.tokens.iter().any(|(_, token)| token.is("local"));
        if local && !self.flavour.mariadb {
            return Err(error(
                3948,
                "42000",
                "Loading local data is disabled; this must be enabled on both the client and server sides",
            ));
        }
        while let Some(token) = cursor.next() {
            if token.is("table") {
                let (schema, table) = self.place(cursor, asker)?;
                return Err(self.denied("INSERT", &schema, &table, asker));
            }
        }
        Err(self.syntax(""))
    }

    /// The names of a table: schema and table.
    fn place(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<(String, String), SqlError> {
        let rest = cursor.rest();
        let first = cursor
            .next()
            .and_then(Token::name)
            .ok_or_else(|| self.syntax(rest))?;
        if cursor.eat_mark('.') {
            let table = cursor
                .next()
                .and_then(Token::name)
                .ok_or_else(|| self.syntax(""))?;
            return Ok((first.to_owned(), table.to_owned()));
        }
        match &asker.database {
            Some(database) => Ok((database.clone(), first.to_owned())),
            None => Err(error(1046, "3D000", "No database selected")),
        }
    }

    fn table_of<'a>(
        &'a self,
        cursor: &mut Cursor<'_>,
        asker: &Asker,
    ) -> Result<(&'a str, &'a Table), SqlError> {
        let (schema, table) = self.place(cursor, asker)?;
        let Some(found) = self.schema(&schema) else {
            return Err(self.denied("SELECT", &schema, &table, asker));
        };
        let virtual_schema = found.name == "information_schema";
        let fits = |t: &&Table| t.name == table || virtual_schema && t.name.eq_ignore_ascii_case(&table);
        match found.tables.iter().find(fits) {
            Some(table) => Ok((&found.name, table)),
            None if virtual_schema => Err(error(
                1109,
                "42S02",
                format!("Unknown table '{table}' in information_schema"),
            )),
            None => Err(error(
                1146,
                "42S02",
                format!("Table '{schema}.{table}' doesn't exist"),
            )),
        }
    }

    /// One SELECT, or several that UNION puts together.
    fn select<'a>(&'a self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Outcome<'a>, SqlError> {
        let mut whole = self.simple_select(cursor, asker)?;
        let mut parts = 1;
        while cursor.eat("union") {
            let all = cursor.eat("all");
            cursor.eat("distinct");
            let near = cursor.rest();
            parts += 1;
            if !cursor.eat("select") {
                return Err(self.syntax(near));
            }
            if parts > UNION_MAX {
                return Err(error(1436, "HY000", "Thread stack overrun"));
            }
            let next = self.simple_select(cursor, asker)?;
            let (
                Outcome::Rows { columns, rows },
                Outcome::Rows {
                    columns: others,
                    rows: more,
                },
            ) = (&mut whole, next)
            else {
                return Err(self.syntax(near));
            };
            if columns.len() != others.len() {
                let text = "The used SELECT statements have a different number of columns";
                return Err(error(1222, "21000", text));
            }
            for (column, other) in columns.iter_mut().zip(others) {
                column.number &= other.number;
            }
            rows.extend(more);
            if !all {
                let mut seen = std::collections::HashSet::new();
                rows.retain(|row| seen.insert(row.clone()));
            }
        }
        if cursor.tokens.is_empty() {
            Ok(whole)
        } else {
            Err(self.syntax(cursor.rest()))
        }
    }

    fn simple_select<'a>(&'a self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Outcome<'a>, SqlError> {
        for word in ["distinct", "all", "sql_no_cache"] {
            cursor.eat(word);
        }
        let mut items = vec![self.item(cursor, asker)?];
        while cursor.eat_mark(',') {
            items.push(self.item(cursor, asker)?);
            if items.len() > 256 {
                return Err(error(1117, "HY000", "Too many columns"));
            }
        }
        if cursor
            .tokens
            .iter()
            .any(|(_, t)| t.is("outfile") || t.is("dumpfile"))
        {
            return Err(self.lacks("FILE"));
        }
        if !cursor.eat("from") {
            if cursor.eat("limit") {
                cursor.next();
            }
            return constants(&items);
        }
        if cursor.eat("dual") {
            return constants(&items);
        }
        let (schema, table) = self.table_of(cursor, asker)?;
        let condition = if cursor.eat("where") {
            self.condition(cursor, table, 0)?
        } else {
            Condition::All(Vec::new())
        };
        let mut rows: Vec<&Vec<Value>> = table.rows.iter().filter(|row| condition.holds(row)).collect();
        if cursor.eat("order") {
            if !cursor.eat("by") {
                return Err(self.syntax(cursor.rest()));
            }
            let index = self.column(cursor, table, "ORDER BY")?;
            rows.sort_by(|a, b| compare(a.get(index), b.get(index)));
            if cursor.eat("desc") {
                rows.reverse();
            } else {
                cursor.eat("asc");
            }
        }
        if cursor.eat("limit") {
            let (skip, take) = self.limit(cursor)?;
            rows = rows.into_iter().skip(skip).take(take).collect();
        }
        project(schema, table, &items, &rows)
    }

    fn limit(&self, cursor: &mut Cursor<'_>) -> Result<(usize, usize), SqlError> {
        let rest = cursor.rest();
        let mut number = || match cursor.next() {
            Some(Token::Number(n)) => Some(n.parse().unwrap_or(usize::MAX)),
            _ => None,
        };
        let first = number().ok_or_else(|| self.syntax(rest))?;
        if cursor.eat_mark(',') {
            return match cursor.next() {
                Some(Token::Number(n)) => Ok((first, n.parse().unwrap_or(usize::MAX))),
                _ => Err(self.syntax(cursor.rest())),
            };
        }
        if cursor.eat("offset") {
            return match cursor.next() {
                Some(Token::Number(n)) => Ok((n.parse().unwrap_or(usize::MAX), first)),
                _ => Err(self.syntax(cursor.rest())),
            };
        }
        Ok((0, first))
    }

    fn column(&self, cursor: &mut Cursor<'_>, table: &Table, place: &str) -> Result<usize, SqlError> {
        let rest = cursor.rest();
        let mut name = cursor
            .next()
            .and_then(Token::name)
            .ok_or_else(|| self.syntax(rest))?;
        while cursor.eat_mark('.') {
            name = cursor
                .next()
                .and_then(Token::name)
                .ok_or_else(|| self.syntax(""))?;
        }
        let found = table
            .columns
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| unknown_column(name, place))
    }

    /// What stands after WHERE: comparisons, joined by OR and, binding closer, AND.
    fn condition(&self, cursor: &mut Cursor<'_>, table: &Table, depth: usize) -> Result<Condition, SqlError> {
        let mut any = Vec::new();
        loop {
            let mut all = vec![self.comparison(cursor, table, depth)?];
            while cursor.eat("and") || cursor.eat_pair('&') {
                all.push(self.comparison(cursor, table, depth)?);
            }
            any.push(Condition::All(all));
            if !cursor.eat("or") && !cursor.eat_pair('|') {
                return Ok(Condition::Any(any));
            }
        }
    }

    fn comparison(
        &self,
        cursor: &mut Cursor<'_>,
        table: &Table,
        depth: usize,
    ) -> Result<Condition, SqlError> {
        let rest = cursor.rest();
        if depth > DEPTH_MAX {
            return Err(error(1436, "HY000", "Thread stack overrun"));
        }
        if cursor.eat("not") {
            let inner = self.comparison(cursor, table, depth + 1)?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if cursor.eat_mark('(') {
            let inner = self.condition(cursor, table, depth + 1)?;
            return if cursor.eat_mark(')') {
                Ok(inner)
            } else {
                Err(self.syntax(cursor.rest()))
            };
        }
        let left = self.operand(cursor, table, rest)?;
        if cursor.eat("is") {
            let not = cursor.eat("not");
            if !cursor.eat("null") {
                return Err(self.syntax(cursor.rest()));
            }
            let null = Condition::Null(left);
            return Ok(if not { Condition::Not(Box::new(null)) } else { null });
        }
        let not = cursor.eat("not");
        let before = cursor.tokens;
        let rest = cursor.rest();
        let operator = match cursor.next() {
            Some(Token::Mark('=')) => Operator::Equal,
            Some(Token::Mark('!')) if cursor.eat_mark('=') => Operator::Unequal,
            Some(Token::Mark('<')) if cursor.eat_mark('>') => Operator::Unequal,
            Some(Token::Mark('<')) if cursor.eat_mark('=') => Operator::AtMost,
            Some(Token::Mark('>')) if cursor.eat_mark('=') => Operator::AtLeast,
            Some(Token::Mark('<')) => Operator::Less,
            Some(Token::Mark('>')) => Operator::More,
            Some(word) if word.is("like") => Operator::Like,
            Some(word) if word.is("in") && cursor.eat_mark('(') => {
                let mut any = Vec::new();
                loop {
                    let rest = cursor.rest();
                    let right = self.operand(cursor, table, rest)?;
                    any.push(Condition::Compare(left.clone(), Operator::Equal, right));
                    if cursor.eat_mark(')') {
                        break;
                    }
                    if !cursor.eat_mark(',') {
                        return Err(self.syntax(cursor.rest()));
                    }
                }
                return Ok(negated(not, Condition::Any(any)));
            }
            // A value by itself is true where it is a number other than zero.
            _ if !not => {
                cursor.tokens = before;
                let zero = Operand::Literal(Some("0".to_owned()));
                return Ok(Condition::Compare(left, Operator::Unequal, zero));
            }
            _ => return Err(self.syntax(rest)),
        };
        let rest = cursor.rest();
        let right = self.operand(cursor, table, rest)?;
        Ok(negated(not, Condition::Compare(left, operator, right)))
    }

    fn operand(&self, cursor: &mut Cursor<'_>, table: &Table, rest: &str) -> Result<Operand, SqlError> {
        if cursor.eat("null") {
            return Ok(Operand::Literal(None));
        }
        let minus = cursor.eat_mark('-');
        match cursor.peek() {
            Some(Token::Number(number)) => {
                cursor.next();
                let sign = if minus { "-" } else { "" };
                Ok(Operand::Literal(Some(format!("{sign}{number}"))))
            }
            Some(Token::Text(text)) if !minus => {
                cursor.next();
                Ok(Operand::Literal(Some(text.clone())))
            }
            Some(Token::Word(_) | Token::Quoted(_)) if !minus => {
                self.column(cursor, table, "WHERE").map(Operand::Column)
            }
            _ => Err(self.syntax(rest)),
        }
    }

    fn item(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Item, SqlError> {
        let began = cursor.rest();
        let Some(token) = cursor.next() else {
            return Err(self.syntax(""));
        };
        let mut item = match token {
            Token::Mark('*') => return Ok(Item::All),
            Token::Number(n) => constant(Some(n.clone()), true, n),
            Token::Text(text) => constant(Some(text.clone()), false, text),
            Token::Variable(name) => {
                let value = if name.starts_with("@@") {
                    let bare = name.rsplit(['@', '.']).next().unwrap_or_default();
                    match self.variable(bare, asker) {
                        Some(value) => Some(value),
                        None => {
                            return Err(error(1193, "HY000", format!("Unknown system variable '{bare}'")));
                        }
                    }
                } else {
                    None
                };
                constant(value, false, name)
            }
            Token::Word(name) if cursor.eat_mark('(') => {
                let inner = cursor.rest();
                let mut depth = 1;
                while let Some(token) = cursor.next() {
                    match token {
                        Token::Mark('(') => depth += 1,
                        Token::Mark(')') => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
                let used = began.len() - cursor.rest().len();
                let shown = began.get(..used).unwrap_or(began).trim_end();
                if depth > 0 {
                    return Err(self.syntax(inner));
                }
                self.function(name, shown, asker)?
            }
            Token::Word(name) if name.eq_ignore_ascii_case("null") => constant(None, false, "NULL"),
            Token::Word(name) if name.eq_ignore_ascii_case("current_user") => {
                constant(Some(format!("{}@{}", asker.user, asker.host)), false, name)
            }
            Token::Word(name) | Token::Quoted(name) => {
                let mut column = name.clone();
                while cursor.eat_mark('.') {
                    match cursor.next() {
                        Some(Token::Mark('*')) => return Ok(Item::All),
                        Some(Token::Word(name) | Token::Quoted(name)) => column.clone_from(name),
                        _ => return Err(self.syntax(cursor.rest())),
                    }
                }
                Item::Named {
                    shown: column.clone(),
                    column,
                }
            }
            Token::Mark(_) => return Err(self.syntax(began)),
        };
        let named = cursor.eat("as");
        let reserved = ["from", "where", "limit", "into", "order", "union"];
        let alias = match cursor.peek() {
            Some(Token::Word(word)) if !named && reserved.iter().any(|r| word.eq_ignore_ascii_case(r)) => {
                None
            }
            Some(Token::Word(word) | Token::Quoted(word) | Token::Text(word)) => Some(word.clone()),
            _ => None,
        };
        if let Some(alias) = alias {
            cursor.next();
            match &mut item {
                Item::Named { shown, .. } | Item::Constant { shown, .. } | Item::Count(shown) => {
                    *shown = alias
                }
                Item::All => {}
            }
        }
        Ok(item)
    }

    fn function(&self, name: &str, shown: &str, asker: &Asker) -> Result<Item, SqlError> {
        let text = |value: String| Ok(constant(Some(value), false, shown));
        match name.to_ascii_lowercase().as_str() {
            "count" => Ok(Item::Count(shown.to_owned())),
            "version" => text(self.flavour.version.clone()),
            "user" | "current_user" | "session_user" | "system_user" => {
                text(format!("{}@{}", asker.user, asker.host))
            }
            "database" | "schema" => Ok(constant(asker.database.clone(), false, shown)),
            "connection_id" => Ok(constant(Some(asker.connection_id.to_string()), true, shown)),
            "now" | "current_timestamp" | "sysdate" | "localtime" => text(asker.now.clone()),
            "sleep" | "benchmark" => Ok(constant(Some("0".into()), true, shown)),
            "load_file" => Ok(constant(None, false, shown)),
            name => Err(match &asker.database {
                Some(database) => error(
                    1370,
                    "42000",
                    format!(
                        "execute command denied to user {} for routine '{database}.{name}'",
                        asker.account()
                    ),
                ),
                None => error(1305, "42000", format!("FUNCTION {name} does not exist")),
            }),
        }
    }

    /// System variables: those that clients and intruders ask for.
    fn variables(&self, asker: &Asker) -> Vec<(&'static str, String)> {
        let mariadb = self.flavour.mariadb;
        let collation = if mariadb {
            "utf8mb4_general_ci"
        } else {
            "utf8mb4_0900_ai_ci"
        };
        let mut out: Vec<(&'static str, String)> = [
            ("auto_increment_increment", "1"),
            ("autocommit", "ON"),
            ("basedir", if mariadb { "/usr" } else { "/usr/" }),
            ("character_set_client", "utf8mb4"),
            ("character_set_connection", "utf8mb4"),
            ("character_set_database", "utf8mb4"),
            ("character_set_results", "utf8mb4"),
            ("character_set_server", "utf8mb4"),
            ("character_set_system", "utf8mb3"),
            ("collation_connection", collation),
            ("collation_database", collation),
            ("collation_server", collation),
            ("datadir", "/var/lib/mysql/"),
            ("general_log", "OFF"),
            ("have_ssl", if mariadb { "DISABLED" } else { "YES" }),
            ("init_connect", ""),
            ("interactive_timeout", "28800"),
            ("license", "GPL"),
            ("local_infile", if mariadb { "ON" } else { "OFF" }),
            ("lower_case_table_names", "0"),
            ("max_allowed_packet", if mariadb { "16777216" } else { "67108864" }),
            ("max_connections", "151"),
            ("net_write_timeout", "60"),
            ("plugin_dir", "/usr/lib/mysql/plugin/"),
            ("port", "3306"),
            ("secure_file_priv", if mariadb { "" } else { "/var/lib/mysql-files/" }),
            ("socket", "/run/mysqld/mysqld.sock"),
            ("sql_mode", if mariadb {
                "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"
            } else {
                "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
            }),
            ("system_time_zone", "UTC"),
            ("time_zone", "SYSTEM"),
            ("tmpdir", "/tmp"),
            ("version_compile_machine", "x86_64"),
            ("version_compile_os", if mariadb { "debian-linux-gnu" } else { "Linux" }),
            ("wait_timeout", "28800"),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
        let isolation = if mariadb {
            "tx_isolation"
        } else {
            "transaction_isolation"
        };
        out.push((isolation, "REPEATABLE-READ".to_owned()));
        out.push(("hostname", self.hostname.clone()));
        out.push(("version", self.flavour.version.clone()));
        out.push(("version_comment", self.flavour.comment.clone()));
        out.push(("pseudo_thread_id", asker.connection_id.to_string()));
        out.sort();
        out
    }

    fn variable(&self, name: &str, asker: &Asker) -> Option<String> {
        let all = self.variables(asker);
        let value = all
            .into_iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)?;
        // A switch is 1 or 0 in an expression.
        Some(match value.as_str() {
            "ON" => "1".to_owned(),
            "OFF" => "0".to_owned(),
            _ => value,
        })
    }

    fn show<'a>(&'a self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Outcome<'a>, SqlError> {
        for word in ["full", "global", "session", "local"] {
            cursor.eat(word);
        }
        let rest = cursor.rest();
        let what = cursor
            .next()
            .and_then(Token::name)
            .unwrap_or_default()
            .to_ascii_lowercase();
        match what.as_str() {
            "databases" | "schemas" => {
                let mut names: Vec<String> = self.schemas.iter().map(|schema| schema.name.clone()).collect();
                names.sort();
                let like = pattern(cursor);
                names.retain(|name| like.as_ref().is_none_or(|like| matches_like(name, like)));
                Ok(strings(
                    &["Database"],
                    names.into_iter().map(|name| vec![Some(name)]).collect(),
                ))
            }
            "tables" => {
                let name = if cursor.eat("from") || cursor.eat("in") {
                    cursor.next().and_then(Token::name).map(str::to_owned)
                } else {
                    asker.database.clone()
                };
                let name = name.ok_or_else(|| error(1046, "3D000", "No database selected"))?;
                let schema = self.schema(&name).ok_or_else(|| self.no_schema(&name, asker))?;
                let like = pattern(cursor);
                let mut names: Vec<String> = schema.tables.iter().map(|table| table.name.clone()).collect();
                names.sort();
                names.retain(|name| like.as_ref().is_none_or(|like| matches_like(name, like)));
                Ok(strings(
                    &[&format!("Tables_in_{name}")],
                    names.into_iter().map(|name| vec![Some(name)]).collect(),
                ))
            }
            "columns" | "fields" => {
                if !cursor.eat("from") {
                    cursor.eat("in");
                }
                self.table_of(cursor, asker).map(|(_, table)| columns_of(table))
            }
            "variables" | "status" => {
                let like = pattern(cursor);
                let all = if what == "variables" {
                    self.variables(asker)
                } else {
                    status(asker)
                };
                let rows = all
                    .into_iter()
                    .filter(|(name, _)| like.as_ref().is_none_or(|like| matches_like(name, like)))
                    .map(|(name, value)| vec![Some(name.to_owned()), Some(value)])
                    .collect();
                Ok(strings(&["Variable_name", "Value"], rows))
            }
            "grants" => Ok(self.grants(asker)),
            "processlist" => Ok(self.processes(cursor.sql, asker)),
            "create" if cursor.eat("table") => self.table_of(cursor, asker).map(|(_, table)| {
                strings(
                    &["Table", "Create Table"],
                    vec![vec![Some(table.name.clone()), Some(self.create(table))]],
                )
            }),
            "warnings" | "errors" => Ok(strings(&["Level", "Code", "Message"], Vec::new())),
            "engines" => Ok(strings(
                &["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"],
                vec![
                    [
                        "InnoDB",
                        "DEFAULT",
                        "Supports transactions, row-level locking, foreign keys and encryption for tables",
                        "YES",
                        "YES",
                        "YES",
                    ]
                    .map(|text| Some(text.to_owned()))
                    .to_vec(),
                ],
            )),
            "plugins" | "collation" | "charset" | "triggers" | "events" | "procedure" | "function" => {
                Ok(strings(&["Name"], Vec::new()))
            }
            _ => Err(self.syntax(rest)),
        }
    }

    fn grants<'a>(&self, asker: &Asker) -> Outcome<'a> {
        let account = format!("`{}`@`{}`", asker.user, asker.host);
        let mut rows = vec![vec![Some(format!("GRANT USAGE ON *.* TO {account}"))]];
        for schema in self
            .schemas
            .iter()
            .filter(|schema| schema.name != "information_schema")
        {
            rows.push(vec![Some(format!(
                "GRANT SELECT ON `{}`.* TO {account}",
                schema.name
            ))]);
        }
        strings(&[&format!("Grants for {}@{}", asker.user, asker.host)], rows)
    }

    fn processes<'a>(&self, sql: &str, asker: &Asker) -> Outcome<'a> {
        let row = [
            Some(asker.connection_id.to_string()),
            Some(asker.user.clone()),
            Some(asker.host.clone()),
            asker.database.clone(),
            Some("Query".to_owned()),
            Some("0".to_owned()),
            Some("starting".to_owned()),
            Some(sql.to_owned()),
        ];
        let mut names = vec!["Id", "User", "Host", "db", "Command", "Time", "State", "Info"];
        let mut row = row.to_vec();
        if self.flavour.mariadb {
            names.push("Progress");
            row.push(Some("0.000".to_owned()));
        }
        strings(&names, vec![row])
    }

    fn create(&self, table: &Table) -> String {
        let collation = if self.flavour.mariadb {
            "utf8mb4_general_ci"
        } else {
            "utf8mb4_0900_ai_ci"
        };
        let mut lines: Vec<String> = table
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let tail = if i == 0 { "NOT NULL" } else { "DEFAULT NULL" };
                format!("  `{}` {} {tail}", column.name, column.sql_type)
            })
            .collect();
        if let Some(key) = table.columns.first() {
            lines.push(format!("  PRIMARY KEY (`{}`)", key.name));
        }
        format!(
            "CREATE TABLE `{}` (\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}",
            table.name,
            lines.join(",\n")
        )
    }
}

fn status(asker: &Asker) -> Vec<(&'static str, String)> {
    vec![
        ("Aborted_clients", "3".to_owned()),
        ("Connections", asker.connection_id.to_string()),
        ("Threads_connected", "1".to_owned()),
        ("Threads_running", "1".to_owned()),
        ("Uptime", asker.uptime_s.to_string()),
    ]
}

fn unknown_column(name: &str, place: &str) -> SqlError {
    error(1054, "42S22", format!("Unknown column '{name}' in '{place}'"))
}

fn constant(value: Option<String>, number: bool, shown: &str) -> Item {
    Item::Constant {
        value,
        number,
        shown: shown.to_owned(),
    }
}

fn literal(token: &Token) -> Option<String> {
    match token {
        Token::Text(text) | Token::Number(text) => Some(text.clone()),
        _ => None,
    }
}

/// The pattern after LIKE.
fn pattern(cursor: &mut Cursor<'_>) -> Option<String> {
    if !cursor.eat("like") {
        return None;
    }
    cursor.next().and_then(literal)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Like,
}

/// The most parentheses inside each other, and the most parts of a UNION: both cost memory.
const DEPTH_MAX: usize = 32;
const UNION_MAX: usize = 64;

/// One side of a comparison.
#[derive(Clone)]
enum Operand {
    Column(usize),
    Literal(Option<String>),
}

impl Operand {
    fn value(&self, row: &[Value]) -> Option<String> {
        match self {
            Self::Column(index) => row.get(*index).and_then(shown),
            Self::Literal(value) => value.clone(),
        }
    }
}

/// What WHERE asks of a row.
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Null(Operand),
    Compare(Operand, Operator, Operand),
}

fn negated(not: bool, condition: Condition) -> Condition {
    if not {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

impl Condition {
    fn holds(&self, row: &[Value]) -> bool {
        self.truth(row) == Some(true)
    }

    /// True, false, or neither: NULL compares to nothing.
    fn truth(&self, row: &[Value]) -> Option<bool> {
        match self {
            Self::All(parts) => {
                let mut all = parts.iter().map(|part| part.truth(row));
                // A false part decides, wherever it stands.
                all.try_fold(Some(true), |so_far, part| match part {
                    Some(false) => Err(()),
                    Some(true) => Ok(so_far),
                    None => Ok(None),
                })
                .unwrap_or(Some(false))
            }
            Self::Any(parts) => {
                let mut any = parts.iter().map(|part| part.truth(row));
                any.try_fold(Some(false), |so_far, part| match part {
                    Some(true) => Err(()),
                    Some(false) => Ok(so_far),
                    None => Ok(None),
                })
                .unwrap_or(Some(true))
            }
            Self::Not(inner) => inner.truth(row).map(|held| !held),
            Self::Null(operand) => Some(operand.value(row).is_none()),
            Self::Compare(left, operator, right) => {
                Some(compared(&left.value(row)?, *operator, &right.value(row)?))
            }
        }
    }
}

fn compared(left: &str, operator: Operator, right: &str) -> bool {
    let order = match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => left.to_lowercase().cmp(&right.to_lowercase()),
    };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::Unequal => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::AtMost => order.is_le(),
        Operator::More => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
        Operator::Like => matches_like(left, right),
    }
}

/// Whether `text` fits a LIKE pattern, without regard to case. Takes time in proportion to both lengths.
fn matches_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || text.get(t) == Some(c) => {
                t += 1;
                p += 1;
            }
            _ => match retry {
                Some((after, at)) => {
                    retry = Some((after, at + 1));
                    t = at + 1;
                    p = after;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '%')
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Int(n) => Some(n.to_string()),
        Value::Text(text) => Some(text.clone()),
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::Int(a)), Some(Value::Int(b))) => a.cmp(b),
        (a, b) => a.and_then(shown).cmp(&b.and_then(shown)),
    }
}

fn is_number(sql_type: &str) -> bool {
    ["int", "bigint", "smallint", "tinyint", "mediumint"]
        .iter()
        .any(|kind| sql_type.starts_with(kind))
}

/// A result of text columns that belong to no table.
fn strings<'a>(names: &[&str], rows: Vec<Vec<Option<String>>>) -> Outcome<'a> {
    Outcome::Rows {
        columns: names
            .iter()
            .map(|name| Column {
                schema: "",
                table: "",
                name: (*name).to_owned(),
                number: false,
            })
            .collect(),
        rows,
    }
}

fn constants<'a>(items: &[Item]) -> Result<Outcome<'a>, SqlError> {
    let mut columns = Vec::new();
    let mut row = Vec::new();
    for item in items {
        let (name, value, number) = match item {
            Item::All => return Err(error(1096, "HY000", "No tables used")),
            Item::Named { column, .. } => return Err(unknown_column(column, "SELECT")),
            Item::Count(shown) => (shown, Some("1".to_owned()), true),
            Item::Constant { value, number, shown } => (shown, value.clone(), *number),
        };
        columns.push(Column {
            schema: "",
            table: "",
            name: name.clone(),
            number,
        });
        row.push(value);
    }
    Ok(Outcome::Rows {
        columns,
        rows: vec![row],
    })
}

fn project<'a>(
    schema: &'a str,
    table: &'a Table,
    items: &[Item],
    rows: &[&Vec<Value>],
) -> Result<Outcome<'a>, SqlError> {
    let mut columns = Vec::new();
    // Where each column of the result comes from: a column of the table, or a constant.
    let mut sources: Vec<Result<usize, Option<String>>> = Vec::new();
    let mut counts = false;
    for item in items {
        let mut push = |name: &str, number: bool, source| {
            columns.push(Column {
                schema,
                table: &table.name,
                name: name.to_owned(),
                number,
            });
            sources.push(source);
        };
        match item {
            Item::All => {
                for (i, column) in table.columns.iter().enumerate() {
                    push(&column.name, is_number(&column.sql_type), Ok(i));
                }
            }
            Item::Count(shown) => {
                counts = true;
                push(shown, true, Err(Some(rows.len().to_string())));
            }
            Item::Named { column, shown } => {
                let found = table
                    .columns
                    .iter()
                    .position(|c| c.name.eq_ignore_ascii_case(column))
                    .ok_or_else(|| unknown_column(column, "SELECT"))?;
                let number = table.columns.get(found).is_some_and(|c| is_number(&c.sql_type));
                push(shown, number, Ok(found));
            }
            Item::Constant { value, number, shown } => push(shown, *number, Err(value.clone())),
        }
    }
    let row = |row: &Vec<Value>| -> Vec<Option<String>> {
        sources
            .iter()
            .map(|source| match source {
                Ok(index) => row.get(*index).and_then(shown),
                Err(value) => value.clone(),
            })
            .collect()
    };
    let rows = match (counts, rows.first()) {
        (true, Some(first)) => vec![row(first)],
        (true, None) => vec![row(&Vec::new())],
        (false, _) => rows.iter().map(|r| row(r)).collect(),
    };
    Ok(Outcome::Rows { columns, rows })
}

fn columns_of<'a>(table: &Table) -> Outcome<'a> {
    let rows = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let (null, key) = if i == 0 { ("NO", "PRI") } else { ("YES", "") };
            let some = |text: &str| Some(text.to_owned());
            vec![
                some(&column.name),
                some(&column.sql_type),
                some(null),
                some(key),
                None,
                some(""),
            ]
        })
        .collect();
    strings(&["Field", "Type", "Null", "Key", "Default", "Extra"], rows)
}

/// The schema of schemas: what intruders list first.
fn information_schema(schemas: &[bait::Database]) -> bait::Database {
    let text = |s: &str| Value::Text(s.to_owned());
    let table = |name: &str, columns: &[&str], rows: Vec<Vec<Value>>| Table {
        name: name.to_owned(),
        columns: columns
            .iter()
            .map(|name| bait::Column {
                name: (*name).to_owned(),
                sql_type: "varchar(64)".to_owned(),
            })
            .collect(),
        rows,
    };
    let names = schemas.iter().map(|schema| schema.name.as_str());
    let mut tables = Vec::new();
    let mut columns = Vec::new();
    for schema in schemas {
        for t in &schema.tables {
            let rows = Value::Int(i64::try_from(t.rows.len()).unwrap_or(i64::MAX));
            tables.push(vec![
                text("def"),
                text(&schema.name),
                text(&t.name),
                text("BASE TABLE"),
                text("InnoDB"),
                rows,
            ]);
            for (i, column) in t.columns.iter().enumerate() {
                let place = Value::Int(i64::try_from(i + 1).unwrap_or(i64::MAX));
                let kind = column.sql_type.split('(').next().unwrap_or_default();
                columns.push(vec![
                    text("def"),
                    text(&schema.name),
                    text(&t.name),
                    text(&column.name),
                    place,
                    text(kind),
                    text(&column.sql_type),
                ]);
            }
        }
    }
    bait::Database {
        name: "information_schema".to_owned(),
        tables: vec![
            table(
                "SCHEMATA",
                &["CATALOG_NAME", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME"],
                names
                    .chain(["information_schema"])
                    .map(|name| vec![text("def"), text(name), text("utf8mb4")])
                    .collect(),
            ),
            table(
                "TABLES",
                &[
                    "TABLE_CATALOG",
                    "TABLE_SCHEMA",
                    "TABLE_NAME",
                    "TABLE_TYPE",
                    "ENGINE",
                    "TABLE_ROWS",
                ],
                tables,
            ),
            table(
                "COLUMNS",
                &[
                    "TABLE_CATALOG",
                    "TABLE_SCHEMA",
                    "TABLE_NAME",
                    "COLUMN_NAME",
                    "ORDINAL_POSITION",
                    "DATA_TYPE",
                    "COLUMN_TYPE",
                ],
                columns,
            ),
        ],
    }
}
