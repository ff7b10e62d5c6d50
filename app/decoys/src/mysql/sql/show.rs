//! SHOW, DESCRIBE and EXPLAIN.

use super::{
    Asker, Database, Outcome, SqlError,
    eval::{Clause, Field, Frame, Run},
    parse::{self, Relation},
    schema::Held,
    select::{Rows, plain_field},
    token::{Cursor, Token},
    value::{Val, matches_like},
};
use crate::mysql::packet::Kind;

/// A list before LIKE and WHERE.
struct Shown {
    names: Vec<String>,
    rows: Rows,
    /// The column that LIKE asks.
    like: usize,
    /// LIKE becomes a part of the first column's name.
    renamed: bool,
}

fn list<N: Into<String>>(names: impl IntoIterator<Item = N>, rows: Rows) -> Shown {
    Shown {
        names: names.into_iter().map(Into::into).collect(),
        rows,
        like: 0,
        renamed: false,
    }
}

impl Database {
    pub(super) fn show(&self, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let asker = run.asker;
        let full = cursor.eat("full");
        let global = cursor.eat("global");
        cursor.eat_any(&["session", "local", "extended"]);
        let from = cursor.at();
        let what = cursor
            .peek()
            .and_then(Token::name)
            .unwrap_or_default()
            .to_ascii_lowercase();
        cursor.next();
        let shown = match what.as_str() {
            "databases" | "schemas" => {
                let mut names: Vec<&str> = self.schemas.iter().map(|(name, _)| name.as_str()).collect();
                names.push("information_schema");
                names.sort_unstable();
                let mut shown = list(["Database"], column(names));
                shown.renamed = true;
                shown
            }
            "tables" => {
                let schema = self.schema_of(cursor, asker)?;
                let names = self
                    .table_names(&schema)
                    .ok_or_else(|| self.no_schema(&schema, asker))?;
                let kind = if schema.eq_ignore_ascii_case("information_schema") {
                    "SYSTEM VIEW"
                } else {
                    "BASE TABLE"
                };
                let mut shown = list(
                    [format!("Tables_in_{schema}")],
                    column(names.iter().map(String::as_str)),
                );
                if full {
                    shown.names.push("Table_type".to_owned());
                    shown.rows.iter_mut().for_each(|row| row.push(Val::text(kind)));
                }
                shown.renamed = true;
                shown
            }
            "table" => {
                cursor.need("status")?;
                let schema = self.schema_of(cursor, asker)?;
                let names = self
                    .table_names(&schema)
                    .ok_or_else(|| self.no_schema(&schema, asker))?;
                let held = names
                    .iter()
                    .filter_map(|name| self.held(&schema, name, asker).ok());
                let mut columns = vec![
                    "Name",
                    "Engine",
                    "Version",
                    "Row_format",
                    "Rows",
                    "Avg_row_length",
                    "Data_length",
                    "Max_data_length",
                    "Index_length",
                    "Data_free",
                    "Auto_increment",
                    "Create_time",
                    "Update_time",
                    "Check_time",
                    "Collation",
                    "Checksum",
                    "Create_options",
                    "Comment",
                ];
                if self.flavour.mariadb {
                    columns.extend(["Max_index_length", "Temporary"]);
                }
                list(columns, held.map(|table| self.table_status(table)).collect())
            }
            "columns" | "fields" => {
                if !cursor.eat_any(&["from", "in"]) {
                    return Err(cursor.syntax());
                }
                let (schema, name) = self.place_in(cursor, asker)?;
                self.columns_of(&schema, &name, full, asker)?
            }
            "index" | "indexes" | "keys" => {
                if !cursor.eat_any(&["from", "in"]) {
                    return Err(cursor.syntax());
                }
                let (schema, name) = self.place_in(cursor, asker)?;
                let mut names = vec![
                    "Table",
                    "Non_unique",
                    "Key_name",
                    "Seq_in_index",
                    "Column_name",
                    "Collation",
                    "Cardinality",
                    "Sub_part",
                    "Packed",
                    "Null",
                    "Index_type",
                    "Comment",
                    "Index_comment",
                ];
                names.push(if self.flavour.mariadb {
                    "Ignored"
                } else {
                    "Visible"
                });
                if !self.flavour.mariadb {
                    names.push("Expression");
                }
                let information = schema.eq_ignore_ascii_case("information_schema");
                let rows = if information {
                    Vec::new()
                } else {
                    vec![self.key_of(self.held(&schema, &name, asker)?)]
                };
                list(names, rows)
            }
            "variables" | "status" => {
                let rows: Vec<(&str, String)> = if what == "status" {
                    self.status(asker)
                } else {
                    self.variables(asker, global)
                        .into_iter()
                        .map(|v| (v.name, v.value))
                        .collect()
                };
                let shown = |value: String| Val::text(if value == "\0" { String::new() } else { value });
                let rows = rows
                    .into_iter()
                    .map(|(name, value)| vec![Val::text(name), shown(value)])
                    .collect();
                list(["Variable_name", "Value"], rows)
            }
            "character" | "charset" => {
                if what == "character" {
                    cursor.need("set")?;
                }
                list(
                    ["Charset", "Description", "Default collation", "Maxlen"],
                    self.recorded("charset"),
                )
            }
            "collation" => list(
                ["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"],
                self.recorded("collation"),
            ),
            "engines" => self.engines(),
            "storage" => {
                cursor.need("engines")?;
                self.engines()
            }
            "plugins" => {
                let soname = cursor.eat("soname");
                if soname {
                    cursor.next();
                }
                let rows = if soname {
                    Vec::new()
                } else {
                    self.recorded("plugins")
                };
                list(["Name", "Status", "Type", "Library", "License"], rows)
            }
            "grants" => {
                if cursor.eat("for") && !cursor.eat("current_user") {
                    cursor.next();
                    return Err(self.no_schema("mysql", asker));
                }
                self.grants(asker)
            }
            "processlist" => self.processes(asker),
            "create" => self.show_create(cursor, asker)?,
            "warnings" | "errors" => warnings(asker, what == "errors"),
            "count" => {
                cursor.need_mark("(")?;
                cursor.need_mark("*")?;
                cursor.need_mark(")")?;
                let errors = cursor.eat("errors");
                if !errors {
                    cursor.need("warnings")?;
                }
                let count = i64::try_from(warnings(asker, errors).rows.len()).unwrap_or_default();
                let name = if errors {
                    "@@session.error_count"
                } else {
                    "@@session.warning_count"
                };
                list([name], vec![vec![Val::Int(count)]])
            }
            "triggers" => {
                self.schema_of(cursor, asker)?;
                list(
                    [
                        "Trigger",
                        "Event",
                        "Table",
                        "Statement",
                        "Timing",
                        "Created",
                        "sql_mode",
                        "Definer",
                        "character_set_client",
                        "collation_connection",
                        "Database Collation",
                    ],
                    Vec::new(),
                )
            }
            "events" => return Err(self.no_schema(&self.schema_of(cursor, asker)?, asker)),
            "function" | "procedure" => {
                cursor.need("status")?;
                list(
                    [
                        "Db",
                        "Name",
                        "Type",
                        "Definer",
                        "Modified",
                        "Created",
                        "Security_type",
                        "Comment",
                        "character_set_client",
                        "collation_connection",
                        "Database Collation",
                    ],
                    Vec::new(),
                )
            }
            "open" => {
                cursor.need("tables")?;
                let schema = self.schema_of(cursor, asker)?;
                let names = self.table_names(&schema).unwrap_or_default();
                let row = |name: &String| {
                    vec![
                        Val::text(schema.as_str()),
                        Val::text(name.as_str()),
                        Val::Int(0),
                        Val::Int(0),
                    ]
                };
                list(
                    ["Database", "Table", "In_use", "Name_locked"],
                    names.iter().map(row).collect(),
                )
            }
            "profiles" => list(["Query_ID", "Duration", "Query"], Vec::new()),
            "engine" => return Err(self.lacks("PROCESS")),
            "master" | "binary" | "binlog" => {
                let ours = self.flavour.mariadb;
                return Err(self.lacks(if ours {
                    "SUPER, BINLOG MONITOR"
                } else {
                    "SUPER, REPLICATION CLIENT"
                }));
            }
            "slave" | "replica" | "all" => {
                let ours = self.flavour.mariadb;
                return Err(self.lacks(if ours {
                    "SUPER, SLAVE MONITOR"
                } else {
                    "SUPER, REPLICATION CLIENT"
                }));
            }
            _ => return Err(cursor.syntax_at(from)),
        };
        self.sifted(shown, cursor, run)
    }

    /// What LIKE or WHERE leaves of a list.
    fn sifted(&self, mut shown: Shown, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        if cursor.eat("like") {
            let Some(Token::Text(pattern)) = cursor.next() else {
                return Err(cursor.syntax());
            };
            let column = shown.like;
            shown.rows.retain(|row| {
                row.get(column)
                    .is_some_and(|v| matches_like(&v.string(), pattern, '\\'))
            });
            if let (Some(name), true) = (shown.names.first_mut(), shown.renamed) {
                *name = format!("{name} ({pattern})");
            }
        }
        let kind = |i: usize| {
            let number = shown
                .rows
                .iter()
                .all(|row| matches!(row.get(i), Some(Val::Int(_) | Val::Null)));
            if number && !shown.rows.is_empty() {
                Kind::BIGINT
            } else {
                Kind::text(256)
            }
        };
        let fields: Vec<Field> = shown
            .names
            .iter()
            .enumerate()
            .map(|(i, name)| plain_field(name, kind(i)))
            .collect();
        let mut rows = shown.rows;
        if cursor.eat("where") {
            let condition = parse::expression(cursor)?;
            let frame = Frame {
                fields: &fields,
                ..Frame::NONE
            };
            run.check(&condition, &frame, Clause::Where)?;
            let mut kept = Vec::new();
            for row in rows {
                let inner = Frame { row: &row, ..frame };
                if run.value(&condition, &inner, Clause::Where)?.truth() == Some(true) {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        if cursor.eat("limit") {
            cursor.next();
        }
        cursor.finish()?;
        Ok(Outcome::rows(&fields, rows))
    }

    /// The schema after FROM, or the one that was chosen.
    fn schema_of(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<String, SqlError> {
        if cursor.eat_any(&["from", "in"]) {
            return cursor.name().map(str::to_owned);
        }
        asker
            .database
            .clone()
            .ok_or_else(|| SqlError::new(1046, "3D000", "No database selected"))
    }

    /// `t`, `s.t`, and `t FROM s`.
    fn place_in(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<(String, String), SqlError> {
        let first = cursor.name()?.to_owned();
        if cursor.eat_mark(".") {
            return Ok((first, cursor.name()?.to_owned()));
        }
        Ok((self.schema_of(cursor, asker)?, first))
    }

    fn columns_of(&self, schema: &str, name: &str, full: bool, asker: &Asker) -> Result<Shown, SqlError> {
        let row = |name: &str, kind: &str, null: &str, key: &str| -> Vec<Val> {
            let text = ["varchar", "char", "text", "longtext"]
                .iter()
                .any(|t| kind.starts_with(t));
            let mut out = vec![Val::text(name), Val::text(kind)];
            if full {
                out.push(if text {
                    Val::text(self.flavour.collation())
                } else {
                    Val::Null
                });
            }
            out.extend([Val::text(null), Val::text(key), Val::Null, Val::text("")]);
            if full {
                out.extend([Val::text("select"), Val::text("")]);
            }
            out
        };
        let rows = if schema.eq_ignore_ascii_case("information_schema") {
            let (_, columns) = self.information_columns(name).ok_or_else(|| {
                SqlError::new(
                    1109,
                    "42S02",
                    format!("Unknown table '{name}' in information_schema"),
                )
            })?;
            columns
                .iter()
                .map(|[name, kind, null]| row(name, kind, null, ""))
                .collect()
        } else {
            let table = self.held(schema, name, asker)?;
            let columns = table.columns.iter().enumerate();
            columns
                .map(|(i, c)| {
                    let (null, key) = if i == 0 { ("NO", "PRI") } else { ("YES", "") };
                    row(&c.name, &c.sql_type, null, key)
                })
                .collect()
        };
        Ok(if full {
            list(
                [
                    "Field",
                    "Type",
                    "Collation",
                    "Null",
                    "Key",
                    "Default",
                    "Extra",
                    "Privileges",
                    "Comment",
                ],
                rows,
            )
        } else {
            list(["Field", "Type", "Null", "Key", "Default", "Extra"], rows)
        })
    }

    fn key_of(&self, table: &Held) -> Vec<Val> {
        let column = table.columns.first().map(|c| c.name.as_str()).unwrap_or_default();
        let mut out = vec![
            Val::text(table.name.as_str()),
            Val::Int(0),
            Val::text("PRIMARY"),
            Val::Int(1),
            Val::text(column),
            Val::text("A"),
            Val::Int(table.count()),
            Val::Null,
            Val::Null,
            Val::text(""),
            Val::text("BTREE"),
            Val::text(""),
            Val::text(""),
        ];
        if self.flavour.mariadb {
            out.push(Val::text("NO"));
        } else {
            out.extend([Val::text("YES"), Val::Null]);
        }
        out
    }

    fn engines(&self) -> Shown {
        list(
            ["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"],
            self.recorded("engines"),
        )
    }

    fn grants(&self, asker: &Asker) -> Shown {
        let account = format!("`{}`@`{}`", asker.user, asker.host);
        let by = match &asker.password_hash {
            Some(hash) if self.flavour.mariadb => format!(" IDENTIFIED BY PASSWORD '{hash}'"),
            _ => String::new(),
        };
        let mut rows = vec![format!("GRANT USAGE ON *.* TO {account}{by}")];
        let privileges = super::PRIVILEGES.join(", ");
        for (schema, _) in &self.schemas {
            let schema = schema.replace('_', "\\_");
            rows.push(format!("GRANT {privileges} ON `{schema}`.* TO {account}"));
        }
        list(
            [format!("Grants for {}@{}", asker.user, asker.host)],
            column(rows.iter().map(String::as_str)),
        )
    }

    fn processes(&self, asker: &Asker) -> Shown {
        let mut row = vec![
            Val::Int(asker.connection_id.into()),
            Val::text(asker.user.as_str()),
            Val::text(asker.peer()),
            asker.database.as_deref().map_or(Val::Null, Val::text),
            Val::text("Query"),
            Val::Int(0),
            Val::text(if self.flavour.mariadb { "starting" } else { "init" }),
            Val::text(asker.statement.as_str()),
        ];
        let mut names = vec!["Id", "User", "Host", "db", "Command", "Time", "State", "Info"];
        if self.flavour.mariadb {
            names.push("Progress");
            row.push(Val::Decimal(0, 3));
        }
        list(names, vec![row])
    }

    fn show_create(&self, cursor: &mut Cursor<'_>, asker: &Asker) -> Result<Shown, SqlError> {
        if cursor.eat_any(&["database", "schema"]) {
            let guarded = cursor.eat("if");
            if guarded {
                cursor.need("not")?;
                cursor.need("exists")?;
            }
            let guard = if guarded { "/*!32312 IF NOT EXISTS*/ " } else { "" };
            let name = cursor.name()?.to_owned();
            let Some(name) = self.schema(&name) else {
                return Err(self.no_schema(&name, asker));
            };
            let charset = if name == "information_schema" {
                "utf8mb3 COLLATE utf8mb3_general_ci".to_owned()
            } else {
                format!("utf8mb4 COLLATE {}", self.flavour.collation())
            };
            let tail = if self.flavour.mariadb {
                ""
            } else {
                " /*!80016 DEFAULT ENCRYPTION='N' */"
            };
            let made =
                format!("CREATE DATABASE {guard}`{name}` /*!40100 DEFAULT CHARACTER SET {charset} */{tail}");
            return Ok(list(
                ["Database", "Create Database"],
                vec![vec![Val::text(name), Val::text(made)]],
            ));
        }
        let view = cursor.eat("view");
        if !view {
            cursor.need("table")?;
        }
        let (schema, name) = self.place_in(cursor, asker)?;
        let (shown, made) = if schema.eq_ignore_ascii_case("information_schema") {
            let (name, columns) = self.information_columns(&name).ok_or_else(|| {
                SqlError::new(
                    1109,
                    "42S02",
                    format!("Unknown table '{name}' in information_schema"),
                )
            })?;
            let line = |[name, kind, null]: &[&str; 3]| {
                format!(
                    "  `{name}` {kind}{}",
                    if *null == "NO" { " NOT NULL" } else { "" }
                )
            };
            let lines: Vec<String> = columns.iter().map(line).collect();
            let text = format!(
                "CREATE TEMPORARY TABLE `{name}` (\n{}\n) ENGINE=MEMORY DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci",
                lines.join(",\n")
            );
            (name.to_owned(), text)
        } else {
            let table = self.held(&schema, &name, asker)?;
            (table.name.clone(), self.create_table(table))
        };
        if view {
            return Err(SqlError::new(
                1347,
                "HY000",
                format!("'{schema}.{name}' is not of type 'VIEW'"),
            ));
        }
        Ok(list(
            ["Table", "Create Table"],
            vec![vec![Val::text(shown), Val::text(made)]],
        ))
    }

    fn create_table(&self, table: &Held) -> String {
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
            "CREATE TABLE `{}` (\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={}",
            table.name,
            lines.join(",\n"),
            self.flavour.collation()
        )
    }

    /// DESCRIBE and EXPLAIN, of a table or of a query.
    pub(super) fn describe(&self, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        cursor.eat_any(&["extended", "partitions"]);
        if cursor.is("select") || cursor.is_mark("(") {
            return self.explain(cursor, run);
        }
        let first = cursor.name()?.to_owned();
        let (schema, name) = if cursor.eat_mark(".") {
            (first, cursor.name()?.to_owned())
        } else {
            let schema = run.asker.database.clone();
            (
                schema.ok_or_else(|| SqlError::new(1046, "3D000", "No database selected"))?,
                first,
            )
        };
        let mut shown = self.columns_of(&schema, &name, false, run.asker)?;
        let wanted = match cursor.peek() {
            Some(Token::Word(name) | Token::Quoted(name) | Token::Text(name)) => Some(name),
            _ => None,
        };
        if let Some(wanted) = wanted {
            cursor.next();
            shown.rows.retain(|row| {
                row.first()
                    .is_some_and(|v| matches_like(&v.string(), wanted, '\\'))
            });
        }
        self.sifted(shown, cursor, run)
    }

    /// The plan of a query: every table is read whole, which is what the product does with tables as small as these.
    fn explain(&self, cursor: &mut Cursor<'_>, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let query = parse::query(cursor)?;
        // Its faults are told as if it were run.
        run.query(&query, None)?;
        let mut rows = Vec::new();
        let int = |n: usize| Val::Int(i64::try_from(n).unwrap_or_default());
        for (nth, (_, select)) in query.parts.iter().enumerate() {
            let kind = match (query.parts.len(), nth) {
                (1, _) => "SIMPLE",
                (_, 0) => "PRIMARY",
                _ => "UNION",
            };
            let mut row = |table: Val, access: Val, count: Val, extra: &str| {
                let mut row = vec![int(nth + 1), Val::text(kind), table, access];
                row.extend([
                    Val::Null,
                    Val::Null,
                    Val::Null,
                    Val::Null,
                    count,
                    Val::text(extra),
                ]);
                if !self.flavour.mariadb {
                    row.insert(3, Val::Null);
                    row.insert(10, Val::Decimal(10_000, 2));
                }
                rows.push(row);
            };
            if select.from.is_empty() {
                row(Val::Null, Val::Null, Val::Null, "No tables used");
            }
            for source in &select.from {
                let Relation::Table { schema, name } = &source.relation else {
                    continue;
                };
                let (_, held) = self.table(schema.as_deref(), name, run.asker)?;
                let shown = source.alias.as_deref().unwrap_or(name);
                let extra = if select.filter.is_some() {
                    "Using where"
                } else {
                    ""
                };
                row(Val::text(shown), Val::text("ALL"), int(held.len()), extra);
            }
        }
        let mut names = vec![
            "id",
            "select_type",
            "table",
            "type",
            "possible_keys",
            "key",
            "key_len",
            "ref",
            "rows",
            "Extra",
        ];
        if !self.flavour.mariadb {
            names.insert(3, "partitions");
            names.insert(10, "filtered");
        }
        self.sifted(list(names, rows), cursor, run)
    }
}

fn column<'a>(values: impl IntoIterator<Item = &'a str>) -> Rows {
    values.into_iter().map(|v| vec![Val::text(v)]).collect()
}

fn warnings(asker: &Asker, errors: bool) -> Shown {
    let rows = asker
        .warnings
        .iter()
        .filter(|(level, ..)| !errors || *level == "Error");
    let row = |(level, code, text): &(&'static str, u16, String)| {
        vec![
            Val::text(*level),
            Val::Int((*code).into()),
            Val::text(text.as_str()),
        ]
    };
    list(["Level", "Code", "Message"], rows.map(row).collect())
}
