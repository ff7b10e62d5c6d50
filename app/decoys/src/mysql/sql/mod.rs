//! Statements: a part of SQL over the bait, with the errors of the real server.
//!
//! Start at [`Database::run`]. `token.rs` and `parse.rs` read a statement, `select.rs`, `eval.rs` and `function.rs` answer queries,
//! `show.rs` and `schema.rs` say what there is. A statement that the real server would understand and this one does not is answered
//! as a syntax error near its unknown part.

mod eval;
mod function;
mod parse;
mod schema;
mod select;
mod show;
mod token;
mod value;

use std::{collections::BTreeMap, time::Duration};

use decnet_persona::bait;

pub(super) use self::value::Val;
use self::{
    eval::{Clause, Field, Frame, Run},
    parse::Expr,
    schema::Held,
    select::Rows,
    token::{Cursor, Placed, Token, tokens},
};
use super::packet::Column;

/// What the account that gets in may do with the bait: read it, and dump it.
const PRIVILEGES: &[&str] = &["SELECT", "LOCK TABLES"];
/// The most statements that one visitor prepares by name.
const PREPARED_MAX: usize = 64;

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flavour {
    pub(super) mariadb: bool,
    /// `@@version`.
    pub(super) version: String,
    /// `@@version_comment`.
    pub(super) comment: String,
}

impl Flavour {
    fn product(&self) -> &'static str {
        if self.mariadb { "MariaDB" } else { "MySQL" }
    }

    fn collation(&self) -> &'static str {
        if self.mariadb {
            "utf8mb4_general_ci"
        } else {
            "utf8mb4_0900_ai_ci"
        }
    }

    /// Whether faults say `in 'WHERE'` and not `in 'where clause'`. 10.11.19 does and 10.11 of 2023 did not; that the
    /// releases of autumn 2024 began with it is an assumption.
    fn names_clauses_by_keyword(&self) -> bool {
        let upstream = self.version.split('-').next().unwrap_or_default();
        let numbers: Vec<u32> = upstream.split('.').filter_map(|n| n.parse().ok()).collect();
        let since: [[u32; 3]; 4] = [[10, 5, 27], [10, 6, 20], [10, 11, 10], [11, 4, 4]];
        let series = |a: &[u32; 3]| numbers.get(..2) == a.get(..2);
        self.mariadb
            && since
                .iter()
                .any(|least| series(least) && numbers.as_slice() >= least.as_slice())
    }
}

/// The schemas that a visitor may read.
pub(super) struct Database {
    pub(super) flavour: Flavour,
    schemas: Vec<(String, Vec<Held>)>,
    hostname: String,
    /// What tells this server from others: `server_uid`, or MySQL's `server_uuid`.
    uid: String,
    /// What the UUIDs that it makes end in: the clock's sequence of this start, and the hardware address.
    node: (u16, [u8; 6]),
    /// The time of the last one, in ticks of 100 ns of Unix time.
    ticks: std::sync::atomic::AtomicU64,
    /// When its tables were made, as `CREATE_TIME` has it.
    made: String,
}

/// Who asks, and what they have set.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) with_password: bool,
    /// The hash of the password that they came in with, where it is known.
    pub(super) password_hash: Option<String>,
    pub(super) database: Option<String>,
    pub(super) connection_id: u32,
    pub(super) now: String,
    pub(super) unix_time: i64,
    pub(super) uptime_s: u64,
    /// `@name`, with its sign.
    pub(super) variables: BTreeMap<String, Val>,
    /// System variables that were set for the session; NUL stands for NULL.
    pub(super) settings: BTreeMap<String, String>,
    /// Of the last statement: level, code, text.
    pub(super) warnings: Vec<(&'static str, u16, String)>,
    /// Statements that PREPARE named.
    pub(super) prepared: BTreeMap<String, String>,
    pub(super) row_count: i64,
    pub(super) found_rows: i64,
    pub(super) questions: i64,
    /// What is being asked.
    pub(super) statement: String,
    /// How long the server would take for the last statement.
    pub(super) delay: Duration,
}

impl Asker {
    fn account(&self) -> String {
        format!("'{}'@'{}'", self.user, self.host)
    }

    /// The error of somebody who is not let do something, whoever that is.
    pub(super) fn denied(&self) -> SqlError {
        let using = if self.with_password { "YES" } else { "NO" };
        let text = format!(
            "Access denied for user {} (using password: {using})",
            self.account()
        );
        SqlError::new(1045, "28000", text)
    }

    /// Forget what was set and prepared in the session; the client's character set stays.
    pub(super) fn reset(&mut self) {
        self.variables.clear();
        self.prepared.clear();
        self.warnings.clear();
        self.settings
            .retain(|name, _| name.starts_with("character_set_") || name == "collation_connection");
    }

    fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// What a statement comes to.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    /// Another database was chosen.
    Use(String),
    Rows {
        columns: Vec<Column>,
        rows: Vec<Vec<Option<String>>>,
    },
    Error(SqlError),
}

impl Outcome {
    fn rows(fields: &[Field], rows: Rows) -> Self {
        let columns = fields
            .iter()
            .map(|field| Column {
                schema: field.schema.clone(),
                table: field.table.clone(),
                original_table: field.original_table.clone(),
                name: field.name.clone(),
                kind: field.kind,
            })
            .collect();
        let rows = rows
            .into_iter()
            .map(|row| row.iter().map(Val::shown).collect())
            .collect();
        Self::Rows { columns, rows }
    }
}

/// An error: code, SQLSTATE, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SqlError {
    pub(super) code: u16,
    pub(super) state: &'static str,
    pub(super) text: String,
}

impl SqlError {
    fn new(code: u16, state: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            state,
            text: text.into(),
        }
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
        ("slow_query_log_file", "mysql-general-log"),
        ("sys_exec(", "mysql-udf"),
        ("sys_eval(", "mysql-udf"),
    ];
    table
        .iter()
        .find(|(part, _)| flat.contains(part))
        .map(|(_, name)| *name)
}

/// Where values of a prepared statement belong: its `?`, but for those in texts and comments.
pub(super) fn places(sql: &str) -> Vec<usize> {
    let marks = tokens(sql).into_iter();
    marks
        .filter(|placed| placed.token == Token::Mark("?"))
        .map(|placed| placed.from)
        .collect()
}

impl Database {
    /// The databases of `bait` on the machine called `hostname`, made at `made`.
    pub(super) fn new(
        flavour: Flavour,
        bait: Vec<bait::Database>,
        hostname: String,
        uid: String,
        node: (u16, [u8; 6]),
        made: String,
    ) -> Self {
        let mut schemas: Vec<(String, Vec<Held>)> = Vec::new();
        for database in bait {
            let tables = database.tables.into_iter().map(Held::of);
            match schemas.iter_mut().find(|(name, _)| *name == database.name) {
                Some((_, held)) => held.extend(tables),
                None => schemas.push((database.name, tables.collect())),
            }
        }
        Self {
            flavour,
            schemas,
            hostname,
            uid,
            node,
            ticks: std::sync::atomic::AtomicU64::new(0),
            made,
        }
    }

    /// The schema called `name`, as it is written.
    pub(super) fn schema<'n>(&self, name: &'n str) -> Option<&'n str>
    where
        Self: 'n,
    {
        if name.eq_ignore_ascii_case("information_schema") {
            return Some("information_schema");
        }
        self.schemas
            .iter()
            .any(|(known, _)| known == name)
            .then_some(name)
    }

    /// The error of somebody who asks for a schema that is not there, or not theirs: the server does not tell which.
    pub(super) fn no_schema(&self, name: &str, asker: &Asker) -> SqlError {
        let text = format!("Access denied for user {} to database '{name}'", asker.account());
        SqlError::new(1044, "42000", text)
    }

    /// Answer one statement with `values`, which are literals, for its `?`, and remember what it did to the session.
    pub(super) fn run(&self, sql: &str, values: &[String], asker: &mut Asker) -> Outcome {
        asker.questions += 1;
        asker.statement = sql.trim_end_matches(';').to_owned();
        let looks_back = {
            let flat = sql.trim_start().get(..8).unwrap_or_default().to_ascii_lowercase();
            flat == "show war" || flat == "show err" || flat == "show cou"
        };
        let values = values
            .iter()
            .map(|literal| match tokens(literal).into_iter().next_back() {
                Some(Placed {
                    token: Token::Text(text),
                    ..
                }) => Val::text(text),
                Some(Placed {
                    token: Token::Number(_),
                    ..
                }) => Val::number(literal),
                _ => Val::Null,
            });
        let parameters: Vec<(usize, Val)> = if values.len() == 0 {
            Vec::new()
        } else {
            places(sql).into_iter().zip(values).collect()
        };
        let outcome = match self.answer(sql, &parameters, asker, 0) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Error(error),
        };
        match &outcome {
            Outcome::Error(error) => {
                asker.warnings = vec![("Error", error.code, error.text.clone())];
                asker.row_count = -1;
            }
            Outcome::Rows { rows, .. } => {
                asker.row_count = -1;
                asker.found_rows = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            }
            Outcome::Done | Outcome::Use(_) => asker.row_count = 0,
        }
        if !looks_back && !matches!(outcome, Outcome::Error(_)) {
            asker.warnings.retain(|(level, ..)| *level == "Fresh");
            asker
                .warnings
                .iter_mut()
                .for_each(|(level, ..)| *level = "Warning");
        }
        outcome
    }

    fn answer(
        &self,
        sql: &str,
        parameters: &[(usize, Val)],
        asker: &mut Asker,
        depth: u8,
    ) -> Result<Outcome, SqlError> {
        let tokens = tokens(sql);
        let mut cursor = Cursor::new(sql, &tokens, self.flavour.product(), parameters);
        let verb = match cursor.peek() {
            Some(Token::Word(verb)) => verb.to_ascii_lowercase(),
            Some(Token::Mark("(")) => "select".to_owned(),
            None => return Err(SqlError::new(1065, "42000", "Query was empty")),
            _ => return Err(cursor.syntax()),
        };
        match verb.as_str() {
            "set" => {
                cursor.next();
                return self.set(&mut cursor, asker);
            }
            "prepare" | "execute" | "deallocate" => {
                cursor.next();
                return self.named_statement(&verb, &mut cursor, asker, depth);
            }
            _ => {}
        }
        let run = Run::new(self, asker);
        let outcome = self.statement(&verb, &mut cursor, &run);
        let (variables, delay) = (run.variables.take(), run.delay.get());
        let fresh = run.warnings.take();
        drop(run);
        asker.variables = variables;
        asker.delay = delay;
        asker
            .warnings
            .extend(fresh.into_iter().map(|(code, text)| ("Fresh", code, text)));
        outcome
    }

    fn statement(&self, verb: &str, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let asker = run.asker;
        let from = cursor.at();
        if verb == "select" {
            return self.select(cursor, run);
        }
        cursor.next();
        match verb {
            "show" => return self.show(cursor, run),
            "describe" | "desc" | "explain" => return self.describe(cursor, run),
            "use" => {
                let name = cursor.name()?;
                return match self.schema(name) {
                    Some(name) => Ok(Outcome::Use(name.to_owned())),
                    None => Err(self.no_schema(name, asker)),
                };
            }
            "do" => {
                loop {
                    let expr = parse::expression(cursor)?;
                    run.check(&expr, &Frame::NONE, Clause::Select)?;
                    run.value(&expr, &Frame::NONE, Clause::Select)?;
                    if !cursor.eat_mark(",") {
                        break;
                    }
                }
                cursor.finish()?;
                return Ok(Outcome::Done);
            }
            "begin" | "start" | "commit" | "unlock" | "savepoint" | "release" | "xa" => {
                if verb == "start" && cursor.eat_any(&["slave", "replica", "all"]) {
                    return Err(self.lacks(self.replication_admin()));
                }
                return Ok(Outcome::Done);
            }
            "rollback" => {
                cursor.eat("work");
                if cursor.eat("to") {
                    cursor.eat("savepoint");
                    let name = cursor.name()?;
                    return Err(SqlError::new(
                        1305,
                        "42000",
                        format!("SAVEPOINT {name} does not exist"),
                    ));
                }
                return Ok(Outcome::Done);
            }
            "drop"
                if asker.database.is_none()
                    && cursor.is("function")
                    && cursor.second().is_some_and(|t| t.is("if")) =>
            {
                for word in ["function", "if", "exists"] {
                    cursor.need(word)?;
                }
                let name = cursor.name()?;
                if !cursor.eat_mark(".") {
                    run.warn(1305, format!("FUNCTION (UDF) {name} does not exist"));
                    return Ok(Outcome::Done);
                }
                let routine = format!("{name}.{}", cursor.name()?);
                return Err(self.routine_denied("alter routine", &routine, asker));
            }
            "check" | "checksum" => return self.check_table(verb, cursor, run),
            "lock" => return self.lock(cursor, run),
            "kill" => {
                cursor.eat_any(&["hard", "soft"]);
                cursor.eat_any(&["connection", "query"]);
                let Some(Token::Number(id)) = cursor.next() else {
                    return Err(cursor.syntax());
                };
                return Err(SqlError::new(1094, "HY000", format!("Unknown thread id: {id}")));
            }
            _ => {}
        }
        Err(self.refusal(verb, cursor, run, from)?)
    }

    fn select(&self, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let query = parse::query(cursor)?;
        if cursor.eat("procedure") {
            // PROCEDURE ANALYSE is past what is answered here; it is refused as a procedure that is not there.
            let name = cursor.name()?;
            return Err(SqlError::new(
                1106,
                "42000",
                format!("Unknown procedure '{name}'"),
            ));
        }
        cursor.finish()?;
        if query.into_file {
            return Err(self.lacks("FILE"));
        }
        let (fields, rows) = run.query(&query, None)?;
        if query.into.is_empty() {
            return Ok(Outcome::rows(&fields, rows));
        }
        if query.into.len() != fields.len() {
            let text = "The used SELECT statements have a different number of columns";
            return Err(SqlError::new(1222, "21000", text));
        }
        if rows.len() > 1 {
            return Err(SqlError::new(
                1172,
                "42000",
                "Result consisted of more than one row",
            ));
        }
        for row in rows {
            for (name, value) in query.into.iter().zip(row) {
                run.assign(&name.to_ascii_lowercase(), value)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// What is refused, for want of rights: everything that writes. A statement that is not one is a fault of its own.
    fn refusal(
        &self,
        verb: &str,
        cursor: &mut Cursor<'_>,
        run: &Run<'_>,
        from: usize,
    ) -> Result<SqlError, SqlError> {
        let asker = run.asker;
        let mariadb = self.flavour.mariadb;
        let denied = |privilege: &str, cursor: &mut Cursor<'_>, pass: &[&str]| {
            while cursor.eat_any(pass) {}
            let (schema, table) = self.place(cursor, asker)?;
            if schema.eq_ignore_ascii_case("information_schema") {
                return Ok(self.no_schema("information_schema", asker));
            }
            Ok::<SqlError, SqlError>(self.denied(privilege, &schema, &table, asker))
        };
        Ok(match verb {
            "insert" | "replace" => {
                let privilege = if verb == "insert" {
                    "INSERT"
                } else {
                    "INSERT, DELETE"
                };
                let refusal = denied(
                    privilege,
                    cursor,
                    &["low_priority", "high_priority", "delayed", "ignore", "into"],
                )?;
                balanced(cursor)?;
                refusal
            }
            "update" => {
                let refusal = denied("UPDATE", cursor, &["low_priority", "ignore"])?;
                cursor.need("set")?;
                if cursor.is_done() {
                    return Err(cursor.syntax());
                }
                refusal
            }
            "delete" => denied("DELETE", cursor, &["low_priority", "quick", "ignore", "from"])?,
            "truncate" => denied("DROP", cursor, &["table"])?,
            "rename" if cursor.eat_any(&["user"]) => self.lacks("CREATE USER"),
            "rename" => denied(
                if mariadb { "DROP, ALTER" } else { "ALTER, DROP" },
                cursor,
                &["table", "tables"],
            )?,
            "alter" if cursor.eat_any(&["user", "role"]) => self.lacks("CREATE USER"),
            "alter" if cursor.eat_any(&["database", "schema"]) => {
                let name = cursor.name()?;
                self.no_schema(name, asker)
            }
            "alter" => denied("ALTER", cursor, &["online", "ignore", "table"])?,
            "analyze" | "optimize" | "repair" => denied(
                "INSERT",
                cursor,
                &["no_write_to_binlog", "local", "table", "tables"],
            )?,
            "create" | "drop" => return self.definition(verb, cursor, asker),
            "load" => return self.load(cursor, asker),
            "grant" | "revoke" => asker.denied(),
            "flush" | "reset" => self.lacks("RELOAD"),
            "purge" => self.lacks(if mariadb { "SUPER, BINLOG ADMIN" } else { "SUPER" }),
            "shutdown" => self.lacks("SHUTDOWN"),
            "change" | "stop" => self.lacks(self.replication_admin()),
            "install" => self.denied("INSERT", "mysql", "plugin", asker),
            "uninstall" => self.denied("DELETE", "mysql", "plugin", asker),
            "call" => {
                let first = cursor.name()?;
                let routine = if cursor.eat_mark(".") {
                    format!("{first}.{}", cursor.name()?)
                } else {
                    let schema = asker.database.as_deref();
                    format!("{}.{first}", schema.ok_or_else(no_database)?)
                };
                self.routine_denied("execute", &routine, asker)
            }
            _ => cursor.syntax_at(from),
        })
    }

    fn replication_admin(&self) -> &'static str {
        if self.flavour.mariadb {
            "SUPER, REPLICATION SLAVE ADMIN"
        } else {
            "SUPER or REPLICATION_SLAVE_ADMIN"
        }
    }

    /// The error of somebody who has not the privilege for an operation.
    pub(super) fn lacks(&self, privilege: &str) -> SqlError {
        let text = format!(
            "Access denied; you need (at least one of) the {privilege} privilege(s) for this operation"
        );
        SqlError::new(1227, "42000", text)
    }

    fn denied(&self, verb: &str, schema: &str, table: &str, asker: &Asker) -> SqlError {
        let place = if self.flavour.mariadb {
            format!("`{schema}`.`{table}`")
        } else {
            format!("'{table}'")
        };
        let text = format!(
            "{verb} command denied to user {} for table {place}",
            asker.account()
        );
        SqlError::new(1142, "42000", text)
    }

    fn routine_denied(&self, what: &str, routine: &str, asker: &Asker) -> SqlError {
        let text = format!(
            "{what} command denied to user {} for routine '{routine}'",
            asker.account()
        );
        SqlError::new(1370, "42000", text)
    }

    /// The error of somebody who calls a function that is not there.
    fn no_function(&self, name: &str, asker: &Asker) -> SqlError {
        match &asker.database {
            Some(database) => self.routine_denied("execute", &format!("{database}.{name}"), asker),
            None => SqlError::new(1305, "42000", format!("FUNCTION {name} does not exist")),
        }
    }

    fn definition(&self, verb: &str, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<SqlError, SqlError> {
        let from = cursor.at();
        let upper = verb.to_ascii_uppercase();
        if cursor.eat("or") {
            cursor.need("replace")?;
        }
        let temporary = cursor.eat("temporary");
        cursor.eat_any(&["aggregate", "unique", "fulltext", "spatial"]);
        let what = cursor
            .peek()
            .and_then(Token::name)
            .unwrap_or_default()
            .to_ascii_lowercase();
        cursor.next();
        while cursor.eat_any(&["if", "not", "exists"]) {}
        Ok(match what.as_str() {
            "database" | "schema" => {
                let name = cursor.name()?;
                self.no_schema(name, asker)
            }
            "table" | "view" | "sequence" => {
                let (schema, table) = self.place(cursor, asker)?;
                if temporary && verb == "create" || schema.eq_ignore_ascii_case("information_schema") {
                    self.no_schema(&schema, asker)
                } else {
                    let view = what == "view" && verb == "create";
                    self.denied(if view { "CREATE VIEW" } else { &upper }, &schema, &table, asker)
                }
            }
            "index" | "trigger" => {
                if what == "trigger" && verb == "drop" {
                    self.place(cursor, asker)?;
                    return Ok(SqlError::new(1360, "HY000", "Trigger does not exist"));
                }
                while !cursor.eat("on") {
                    if cursor.next().is_none() {
                        return Err(cursor.syntax());
                    }
                }
                let (schema, table) = self.place(cursor, asker)?;
                self.denied(&what.to_ascii_uppercase(), &schema, &table, asker)
            }
            "function" | "procedure" | "event" | "package" => {
                let name = cursor.name()?.to_owned();
                let qualified = if cursor.eat_mark(".") {
                    Some(cursor.name()?.to_owned())
                } else {
                    None
                };
                if verb == "create" {
                    // A function from a library is a row of mysql.func.
                    let udf = cursor.eat("returns") && qualified.is_none();
                    let schema = if udf {
                        "mysql"
                    } else if qualified.is_some() {
                        &name
                    } else {
                        asker.database.as_deref().ok_or_else(no_database)?
                    };
                    return Ok(self.no_schema(schema, asker));
                }
                match (qualified, &asker.database) {
                    (Some(routine), _) => {
                        self.routine_denied("alter routine", &format!("{name}.{routine}"), asker)
                    }
                    (None, Some(schema)) => {
                        self.routine_denied("alter routine", &format!("{schema}.{name}"), asker)
                    }
                    (None, None) if what == "function" => {
                        SqlError::new(1305, "42000", format!("FUNCTION (UDF) {name} does not exist"))
                    }
                    (None, None) => no_database(),
                }
            }
            "user" | "role" => self.lacks("CREATE USER"),
            "server" => self.lacks("SUPER, FEDERATED ADMIN"),
            "tablespace" => self.lacks("CREATE TABLESPACE"),
            _ => cursor.syntax_at(from),
        })
    }

    fn load(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<SqlError, SqlError> {
        if !cursor.eat("data") {
            return Err(cursor.syntax());
        }
        cursor.eat_any(&["low_priority", "concurrent"]);
        let local = cursor.eat("local");
        cursor.need("infile")?;
        if !local {
            // The right to files is asked for first.
            return Ok(asker.denied());
        }
        if !self.flavour.mariadb {
            let text =
                "Loading local data is disabled; this must be enabled on both the client and server sides";
            return Ok(SqlError::new(3948, "42000", text));
        }
        while let Some(token) = cursor.next() {
            if token.is("table") {
                let (schema, table) = self.place(cursor, asker)?;
                return Ok(self.denied("INSERT", &schema, &table, asker));
            }
        }
        Err(cursor.syntax())
    }

    /// The names of a table: schema and table.
    fn place(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<(String, String), SqlError> {
        let first = cursor.name()?.to_owned();
        if cursor.eat_mark(".") {
            return Ok((first, cursor.name()?.to_owned()));
        }
        match &asker.database {
            Some(database) => Ok((database.clone(), first)),
            None => Err(no_database()),
        }
    }

    /// LOCK TABLES: the account may, and nothing comes of it.
    fn lock(&self, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        if !cursor.eat_any(&["tables", "table"]) {
            return Err(cursor.syntax());
        }
        loop {
            let (schema, table) = self.place(cursor, run.asker)?;
            self.table(Some(&schema), &table, run.asker)?;
            if cursor.eat("as") {
                cursor.name()?;
            }
            if !cursor.eat_any(&["read", "write", "low_priority"]) {
                return Err(cursor.syntax());
            }
            cursor.eat_any(&["local", "write"]);
            if !cursor.eat_mark(",") {
                break;
            }
        }
        cursor.finish()?;
        Ok(Outcome::Done)
    }

    fn check_table(&self, verb: &str, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        if !cursor.eat_any(&["table", "tables"]) {
            return Err(cursor.syntax());
        }
        let (schema, table) = self.place(cursor, run.asker)?;
        let (_, rows) = self.table(Some(&schema), &table, run.asker)?;
        let name = Val::text(format!("{schema}.{table}"));
        let (names, row): (&[&str], Vec<Val>) = if verb == "check" {
            let rest = ["check", "status", "OK"].map(Val::text);
            (
                &["Table", "Op", "Msg_type", "Msg_text"],
                [name].into_iter().chain(rest).collect(),
            )
        } else {
            let sum = rows.iter().flatten().flat_map(|v| v.string().into_bytes());
            let sum = sum.fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
            (&["Table", "Checksum"], vec![name, Val::Int(sum.into())])
        };
        let fields: Vec<Field> = names
            .iter()
            .map(|name| select::plain_field(name, super::packet::Kind::text(64)))
            .collect();
        Ok(Outcome::rows(&fields, vec![row]))
    }

    /// PREPARE, EXECUTE and DEALLOCATE PREPARE.
    fn named_statement(
        &self,
        verb: &str,
        cursor: &mut Cursor<'_>,
        asker: &mut Asker,
        depth: u8,
    ) -> Result<Outcome, SqlError> {
        if verb == "deallocate" {
            cursor.need("prepare")?;
        }
        let name = cursor.name()?.to_ascii_lowercase();
        if verb == "prepare" {
            cursor.need("from")?;
            let text = match cursor.next() {
                Some(Token::Text(text)) => text.clone(),
                Some(Token::Variable(variable)) => asker
                    .variables
                    .get(&variable.to_ascii_lowercase())
                    .map(Val::string)
                    .unwrap_or_default(),
                _ => return Err(cursor.syntax()),
            };
            if asker.prepared.len() >= PREPARED_MAX || text.len() > 1 << 16 {
                let text = "Can't create more than max_prepared_stmt_count statements (current value: 16382)";
                return Err(SqlError::new(1461, "42000", text));
            }
            asker.prepared.insert(name, text);
            return Ok(Outcome::Done);
        }
        let what = if verb == "execute" {
            "EXECUTE"
        } else {
            "DEALLOCATE PREPARE"
        };
        let unknown = || {
            SqlError::new(
                1243,
                "HY000",
                format!("Unknown prepared statement handler ({name}) given to {what}"),
            )
        };
        if verb == "deallocate" {
            return asker
                .prepared
                .remove(&name)
                .map(|_| Outcome::Done)
                .ok_or_else(unknown);
        }
        let text = asker.prepared.get(&name).cloned().ok_or_else(unknown)?;
        let mut values = Vec::new();
        if cursor.eat("using") {
            loop {
                let Some(Token::Variable(variable)) = cursor.next() else {
                    return Err(cursor.syntax());
                };
                let value = asker.variables.get(&variable.to_ascii_lowercase());
                values.push(value.cloned().unwrap_or(Val::Null));
                if !cursor.eat_mark(",") {
                    break;
                }
            }
        }
        let places = places(&text);
        if places.len() != values.len() {
            return Err(SqlError::new(1210, "HY000", "Incorrect arguments to EXECUTE"));
        }
        // A statement may not execute another that was prepared.
        if depth > 0 {
            let text = "This command is not supported in the prepared statement protocol yet";
            return Err(SqlError::new(1295, "HY000", text));
        }
        let parameters: Vec<(usize, Val)> = places.into_iter().zip(values).collect();
        self.answer(&text, &parameters, asker, depth + 1)
    }

    /// SET: variables of the visitor, of the session, and those of the server, for which the right is missing.
    fn set(&self, cursor: &mut Cursor<'_>, asker: &mut Asker) -> Result<Outcome, SqlError> {
        if cursor.eat("names") {
            return self.set_names(cursor, asker);
        }
        if cursor.eat("password") {
            return Ok(Outcome::Done);
        }
        if cursor.eat("character") {
            cursor.need("set")?;
            return self.set_names(cursor, asker);
        }
        loop {
            let global = cursor.eat("global");
            cursor.eat_any(&["session", "local"]);
            if cursor.eat("transaction") {
                return self.set_transaction(cursor, asker, global);
            }
            let (name, global) = match cursor.peek() {
                Some(Token::Variable(name)) => {
                    cursor.next();
                    match name.strip_prefix("@@") {
                        None => {
                            self.set_own(name, cursor, asker)?;
                            if cursor.eat_mark(",") {
                                continue;
                            }
                            break;
                        }
                        Some(system) => {
                            let lower = system.to_ascii_lowercase();
                            let (scope, bare) = lower.split_once('.').unwrap_or(("", &lower));
                            (bare.to_owned(), global || scope == "global")
                        }
                    }
                }
                _ => (cursor.name()?.to_ascii_lowercase(), global),
            };
            if !cursor.eat_mark("=") && !cursor.eat_mark(":=") {
                return Err(cursor.syntax());
            }
            self.set_system(&name, global, cursor, asker)?;
            if !cursor.eat_mark(",") {
                break;
            }
        }
        cursor.finish()?;
        Ok(Outcome::Done)
    }

    fn set_own(&self, name: &str, cursor: &mut Cursor<'_>, asker: &mut Asker) -> Result<(), SqlError> {
        if !cursor.eat_mark("=") && !cursor.eat_mark(":=") {
            return Err(cursor.syntax());
        }
        let expr = parse::expression(cursor)?;
        let run = Run::new(self, asker);
        run.check(&expr, &Frame::NONE, Clause::Select)?;
        let value = run.value(&expr, &Frame::NONE, Clause::Select)?;
        run.assign(&name.to_ascii_lowercase(), value)?;
        let (variables, delay) = (run.variables.take(), run.delay.get());
        drop(run);
        asker.variables = variables;
        asker.delay = delay;
        Ok(())
    }

    fn set_system(
        &self,
        name: &str,
        global: bool,
        cursor: &mut Cursor<'_>,
        asker: &mut Asker,
    ) -> Result<(), SqlError> {
        let all = self.variables(asker, false);
        let Some(variable) = all.into_iter().find(|v| v.name == name) else {
            return Err(SqlError::new(
                1193,
                "HY000",
                format!("Unknown system variable '{name}'"),
            ));
        };
        // A word by itself is a value, too: ON, OFF, DEFAULT, utf8mb4.
        let expr = match (cursor.peek(), cursor.second()) {
            (Some(Token::Word(word)), next) if !matches!(next, Some(Token::Mark("(" | "."))) => {
                cursor.next();
                if word.eq_ignore_ascii_case("null") {
                    Expr::Literal(Val::Null)
                } else {
                    Expr::Literal(Val::text(word.as_str()))
                }
            }
            _ => parse::expression(cursor)?,
        };
        let run = Run::new(self, asker);
        run.check(&expr, &Frame::NONE, Clause::Select)?;
        let value = run.value(&expr, &Frame::NONE, Clause::Select)?;
        drop(run);
        if variable.read_only {
            return Err(SqlError::new(
                1238,
                "HY000",
                format!("Variable '{name}' is a read only variable"),
            ));
        }
        if global {
            return Err(self.lacks(self.needed_for(name)));
        }
        if variable.scope == 'g' {
            let text = format!("Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL");
            return Err(SqlError::new(1229, "HY000", text));
        }
        let text = if value.is_null() {
            "\0".to_owned()
        } else {
            value.string()
        };
        if text.eq_ignore_ascii_case("default") {
            asker.settings.remove(name);
            return Ok(());
        }
        let bad = || {
            SqlError::new(
                1231,
                "42000",
                format!("Variable '{name}' can't be set to the value of '{text}'"),
            )
        };
        let set = match variable.kind {
            'b' => match text.to_ascii_uppercase().as_str() {
                "1" | "ON" | "TRUE" => "ON".to_owned(),
                "0" | "OFF" | "FALSE" => "OFF".to_owned(),
                _ => return Err(bad()),
            },
            'n' | 'i' | 'd' if value.exact().is_none() && !matches!(value, Val::Real(_)) => {
                return Err(SqlError::new(
                    1232,
                    "42000",
                    format!("Incorrect argument type to variable '{name}'"),
                ));
            }
            'd' => format!("{:.6}", value.real()),
            _ if name == "sql_mode" => self.mode(&text).ok_or_else(bad)?,
            _ if name.starts_with("character_set_") && text != "\0" => {
                let (charset, _) = self.charset(&text).ok_or_else(|| no_charset(&text))?;
                charset.to_owned()
            }
            _ => text.chars().take(1024).collect(),
        };
        asker.settings.insert(name.to_owned(), set);
        Ok(())
    }

    /// The privilege that MariaDB wants for `SET GLOBAL name`.
    fn needed_for(&self, name: &str) -> &'static str {
        if !self.flavour.mariadb {
            return "SUPER or SYSTEM_VARIABLES_ADMIN";
        }
        match name {
            "read_only" => "READ_ONLY ADMIN",
            "connect_timeout"
            | "max_connections"
            | "max_connect_errors"
            | "init_connect"
            | "max_password_errors"
            | "secure_auth"
            | "extra_max_connections"
            | "slow_launch_time"
            | "thread_pool_size"
            | "proxy_protocol_networks"
            | "disconnect_on_expired_password" => "SUPER, CONNECTION ADMIN",
            _ if name.starts_with("binlog_")
                || name.contains("log_bin")
                || name.ends_with("_binlog_size") =>
            {
                "SUPER, BINLOG ADMIN"
            }
            _ => "SUPER",
        }
    }

    /// `sql_mode` in the order and spelling of the server; `None` where a mode is unknown.
    fn mode(&self, text: &str) -> Option<String> {
        const MODES: &[&str] = &[
            "REAL_AS_FLOAT",
            "PIPES_AS_CONCAT",
            "ANSI_QUOTES",
            "IGNORE_SPACE",
            "IGNORE_BAD_TABLE_OPTIONS",
            "ONLY_FULL_GROUP_BY",
            "NO_UNSIGNED_SUBTRACTION",
            "NO_DIR_IN_CREATE",
            "NO_AUTO_VALUE_ON_ZERO",
            "NO_BACKSLASH_ESCAPES",
            "STRICT_TRANS_TABLES",
            "STRICT_ALL_TABLES",
            "NO_ZERO_IN_DATE",
            "NO_ZERO_DATE",
            "ALLOW_INVALID_DATES",
            "ERROR_FOR_DIVISION_BY_ZERO",
            "TRADITIONAL",
            "NO_AUTO_CREATE_USER",
            "HIGH_NOT_PRECEDENCE",
            "NO_ENGINE_SUBSTITUTION",
            "PAD_CHAR_TO_FULL_LENGTH",
            "EMPTY_STRING_IS_NULL",
        ];
        let asked: Vec<&str> = text.split(',').map(str::trim).filter(|m| !m.is_empty()).collect();
        let known = |mode: &&str| MODES.iter().any(|m| m.eq_ignore_ascii_case(mode));
        if !asked.iter().all(known) {
            return None;
        }
        let kept = MODES
            .iter()
            .filter(|m| asked.iter().any(|a| a.eq_ignore_ascii_case(m)));
        Some(kept.copied().collect::<Vec<_>>().join(","))
    }

    fn set_names(&self, cursor: &mut Cursor<'_>, asker: &mut Asker) -> Result<Outcome, SqlError> {
        let name = match cursor.next() {
            Some(Token::Text(name) | Token::Word(name) | Token::Quoted(name)) => name,
            _ => return Err(cursor.syntax()),
        };
        let charset = if name.eq_ignore_ascii_case("default") {
            Some(("utf8mb4", self.flavour.collation()))
        } else {
            self.charset(name)
        };
        let (charset, mut collation) = charset.ok_or_else(|| no_charset(name))?;
        if charset == "utf8mb4" {
            collation = self.flavour.collation();
        }
        let mut collation = collation.to_owned();
        if cursor.eat("collate") {
            match cursor.next() {
                Some(Token::Text(name) | Token::Word(name)) => collation.clone_from(name),
                _ => return Err(cursor.syntax()),
            }
        }
        cursor.finish()?;
        for of in ["client", "connection", "results"] {
            asker
                .settings
                .insert(format!("character_set_{of}"), charset.to_owned());
        }
        asker
            .settings
            .insert("collation_connection".to_owned(), collation);
        Ok(Outcome::Done)
    }

    fn set_transaction(
        &self,
        cursor: &mut Cursor<'_>,
        asker: &mut Asker,
        global: bool,
    ) -> Result<Outcome, SqlError> {
        if global {
            return Err(self.lacks(self.needed_for("transaction_isolation")));
        }
        let name = if self.flavour.mariadb {
            "tx_isolation"
        } else {
            "transaction_isolation"
        };
        if cursor.eat("isolation") {
            cursor.need("level")?;
            let mut level = Vec::new();
            while let Some(Token::Word(word)) = cursor.peek() {
                level.push(word.to_ascii_uppercase());
                cursor.next();
            }
            let level = level.join("-");
            if ![
                "READ-UNCOMMITTED",
                "READ-COMMITTED",
                "REPEATABLE-READ",
                "SERIALIZABLE",
            ]
            .contains(&level.as_str())
            {
                return Err(cursor.syntax());
            }
            asker.settings.insert(name.to_owned(), level);
        }
        Ok(Outcome::Done)
    }
}

fn no_database() -> SqlError {
    SqlError::new(1046, "3D000", "No database selected")
}

fn no_charset(name: &str) -> SqlError {
    SqlError::new(1115, "42000", format!("Unknown character set: '{name}'"))
}

/// What an INSERT gives: its parentheses close, and something stands there.
fn balanced(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    if cursor.is_done() {
        return Err(cursor.syntax());
    }
    let mut open = 0_usize;
    while let Some(token) = cursor.next() {
        match token {
            Token::Mark("(") => open += 1,
            Token::Mark(")") => open = open.saturating_sub(1),
            _ => {}
        }
    }
    if open == 0 { Ok(()) } else { Err(cursor.syntax()) }
}

/// For the fuzz target: answer `raw`, a statement a line, in one session with each flavour.
pub(crate) fn fuzz(raw: &[u8]) {
    static DATABASES: std::sync::OnceLock<Vec<Database>> = std::sync::OnceLock::new();
    let made = |mariadb: bool| {
        let spec =
            decnet_persona::PersonaSpec::new(decnet_persona::Seed::from_bytes([7; 16]), "database-server");
        let bait = decnet_persona::Persona::derive(&spec).map(|persona| bait::database(&persona));
        let version = if mariadb {
            "10.11.11-MariaDB-0+deb12u1"
        } else {
            "8.0.40-0ubuntu0.24.04.1"
        };
        let flavour = Flavour {
            mariadb,
            version: version.to_owned(),
            comment: String::new(),
        };
        Database::new(
            flavour,
            bait.unwrap_or_default(),
            "db".to_owned(),
            String::new(),
            (0, [0; 6]),
            String::new(),
        )
    };
    let text = String::from_utf8_lossy(raw);
    for database in DATABASES.get_or_init(|| vec![made(true), made(false)]) {
        let mut asker = Asker {
            user: "root".to_owned(),
            host: "localhost".to_owned(),
            database: database.schemas.first().map(|(name, _)| name.clone()),
            now: "2026-01-02 03:04:05".to_owned(),
            ..Asker::default()
        };
        for line in text.lines() {
            let _whatever = database.run(line, &[], &mut asker);
        }
    }
}
