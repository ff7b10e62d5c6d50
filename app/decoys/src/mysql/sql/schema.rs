//! The tables that can be read: those of the bait, and information_schema, which is made when it is asked for.
//!
//! `recorded/` holds what MariaDB 10.11.19 of Debian 12 says of itself: system variables (name, scope, kind, whether they can be
//! written, value), status counters, character sets, collations, engines, plug-ins, and the columns of information_schema. Other series of
//! MariaDB get the same; MySQL gets the tables that both have, and a selection of variables.

use std::{borrow::Cow, sync::Arc};

use decnet_persona::bait;

use super::{
    Asker, Database, Flavour, SqlError,
    eval::Field,
    parse::Scope,
    select::Rows,
    value::{self, Val},
};
use crate::mysql::packet::Kind;

const VARIABLES: &str = include_str!("../recorded/variables.tsv");
const STATUS: &str = include_str!("../recorded/status.tsv");
const CHARSETS: &str = include_str!("../recorded/charsets.tsv");
const COLLATIONS: &str = include_str!("../recorded/collations.tsv");
const ENGINES: &str = include_str!("../recorded/engines.tsv");
const PLUGINS: &str = include_str!("../recorded/plugins.tsv");
/// The same of MySQL 8.0, where the others are of MariaDB.
const MYSQL_ENGINES: &str = include_str!("../recorded/mysql_engines.tsv");
const MYSQL_PLUGINS: &str = include_str!("../recorded/mysql_plugins.tsv");
const COLUMNS: &str = include_str!("../recorded/columns.tsv");

/// Tables of information_schema that MySQL 8 has, too.
const BOTH: &[&str] = &[
    "APPLICABLE_ROLES",
    "CHARACTER_SETS",
    "CHECK_CONSTRAINTS",
    "COLLATIONS",
    "COLLATION_CHARACTER_SET_APPLICABILITY",
    "COLUMNS",
    "COLUMN_PRIVILEGES",
    "ENABLED_ROLES",
    "ENGINES",
    "EVENTS",
    "FILES",
    "KEYWORDS",
    "KEY_COLUMN_USAGE",
    "OPTIMIZER_TRACE",
    "PARAMETERS",
    "PARTITIONS",
    "PLUGINS",
    "PROCESSLIST",
    "PROFILING",
    "REFERENTIAL_CONSTRAINTS",
    "ROUTINES",
    "SCHEMATA",
    "SCHEMA_PRIVILEGES",
    "STATISTICS",
    "TABLES",
    "TABLESPACES",
    "TABLE_CONSTRAINTS",
    "TABLE_PRIVILEGES",
    "TRIGGERS",
    "USER_PRIVILEGES",
    "VIEWS",
];
/// Tables of information_schema that MariaDB keeps in Aria, and the rest in memory: those with long columns.
const IN_ARIA: &[&str] = &[
    "ALL_PLUGINS",
    "CHECK_CONSTRAINTS",
    "COLUMNS",
    "EVENTS",
    "OPTIMIZER_TRACE",
    "PARAMETERS",
    "PARTITIONS",
    "PLUGINS",
    "PROCESSLIST",
    "ROUTINES",
    "SYSTEM_VARIABLES",
    "TRIGGERS",
    "VIEWS",
];
/// The ones of performance_schema that anybody may see.
const PERFORMANCE: &[&str] = &["global_status", "session_account_connect_attrs", "session_status"];

/// A table of the bait, ready to be read.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) columns: Vec<bait::Column>,
    rows: Rows,
}

impl Held {
    pub(super) fn of(table: bait::Table) -> Self {
        let rows = table
            .rows
            .iter()
            .map(|row| {
                row.iter()
                    .zip(&table.columns)
                    .map(|(v, c)| Val::of_bait(v, &c.sql_type))
                    .collect()
            })
            .collect();
        Self {
            name: table.name,
            columns: table.columns,
            rows,
        }
    }

    pub(super) fn count(&self) -> i64 {
        i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }
}

/// The columns and the rows of a table.
pub(super) type Readable<'a> = (Vec<Field>, Cow<'a, [Vec<Val>]>);

/// What is in a recorded line.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split('\t')
}

fn recorded(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines().map(|line| cells(line).collect())
}

fn text(text: &str) -> Val {
    if text == "NULL" {
        Val::Null
    } else {
        Val::text(text)
    }
}

fn fields(schema: &str, table: &str, columns: impl Iterator<Item = (impl AsRef<str>, Kind)>) -> Vec<Field> {
    let (schema, table): (Arc<str>, Arc<str>) = (schema.into(), table.into());
    columns
        .map(|(name, kind)| Field {
            schema: Arc::clone(&schema),
            table: Arc::clone(&table),
            original_table: Arc::clone(&table),
            name: name.as_ref().into(),
            kind,
            hidden: false,
        })
        .collect()
}

/// A system variable.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// `g`lobal, `s`ession, or `b`oth.
    pub(super) scope: char,
    /// `b` for a switch, `n` for a whole number without a sign, `i` for one with it, `d` for a floating-point number, `t` for a text.
    pub(super) kind: char,
    pub(super) read_only: bool,
    pub(super) value: String,
}

impl Flavour {
    fn engines(&self) -> &'static str {
        if self.mariadb { ENGINES } else { MYSQL_ENGINES }
    }

    fn plugins(&self) -> &'static str {
        if self.mariadb { PLUGINS } else { MYSQL_PLUGINS }
    }

    fn information_tables(&self) -> impl Iterator<Item = &'static str> {
        let mariadb = self.mariadb;
        let mut last = "";
        COLUMNS.lines().filter_map(move |line| {
            let name = cells(line).next()?;
            let fresh = name != last;
            last = name;
            (fresh && (mariadb || BOTH.contains(&name))).then_some(name)
        })
    }
}

impl Database {
    /// The columns and rows of a table.
    pub(super) fn table(
        &self,
        schema: Option<&str>,
        name: &str,
        asker: &Asker,
    ) -> Result<Readable<'_>, SqlError> {
        let schema = schema
            .or(asker.database.as_deref())
            .ok_or_else(|| SqlError::new(1046, "3D000", "No database selected"))?;
        if schema.eq_ignore_ascii_case("information_schema") {
            return self
                .information(name, asker)
                .map(|(fields, rows)| (fields, Cow::Owned(rows)));
        }
        let table = self.held(schema, name, asker)?;
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| (c.name.as_str(), Kind::declared(&c.sql_type, i == 0)));
        Ok((fields(schema, &table.name, columns), Cow::Borrowed(&table.rows)))
    }

    /// A table of the bait.
    pub(super) fn held(&self, schema: &str, name: &str, asker: &Asker) -> Result<&Held, SqlError> {
        let Some((_, tables)) = self.schemas.iter().find(|(known, _)| known == schema) else {
            return Err(self.denied("SELECT", schema, name, asker));
        };
        tables
            .iter()
            .find(|table| table.name == name)
            .ok_or_else(|| SqlError::new(1146, "42S02", format!("Table '{schema}.{name}' doesn't exist")))
    }

    /// Names and types of the columns of a table of information_schema.
    pub(super) fn information_columns(&self, name: &str) -> Option<(&'static str, Vec<[&'static str; 3]>)> {
        let name = self
            .flavour
            .information_tables()
            .find(|known| known.eq_ignore_ascii_case(name))?;
        let columns = recorded(COLUMNS)
            .filter(|cells| cells.first() == Some(&name))
            .filter_map(|cells| match *cells.as_slice() {
                [_, column, kind, null] => Some([column, kind, null]),
                _ => None,
            })
            .collect();
        Some((name, columns))
    }

    fn information(&self, name: &str, asker: &Asker) -> Result<(Vec<Field>, Rows), SqlError> {
        let Some((name, columns)) = self.information_columns(name) else {
            return Err(SqlError::new(
                1109,
                "42S02",
                format!("Unknown table '{name}' in information_schema"),
            ));
        };
        let none_of_yours = ["INNODB_FT_", "INNODB_METRICS"];
        if name.starts_with("INNODB_") && !none_of_yours.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(self.lacks("PROCESS"));
        }
        let wide = columns.len();
        let mut rows = self.information_rows(name, asker);
        for row in &mut rows {
            row.resize(wide, Val::Null);
        }
        let kinds = columns
            .iter()
            .map(|[column, kind, _]| (*column, Kind::declared(kind, false)));
        Ok((fields("information_schema", name, kinds), rows))
    }

    /// Every table: schema, name, and the bait where it is one.
    fn all_tables(&self) -> Vec<(&str, &str, Option<&Held>)> {
        let mut out = Vec::new();
        for (schema, tables) in &self.schemas {
            out.extend(tables.iter().map(|t| (schema.as_str(), t.name.as_str(), Some(t))));
        }
        let information = self
            .flavour
            .information_tables()
            .map(|name| ("information_schema", name, None));
        out.extend(information);
        if self.flavour.mariadb {
            out.extend(PERFORMANCE.iter().map(|name| ("performance_schema", *name, None)));
        }
        out
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm a table, each a list of its columns"
    )]
    fn information_rows(&self, name: &str, asker: &Asker) -> Rows {
        let def = || Val::text("def");
        let schemas = || self.schemas.iter().map(|(name, _)| name.as_str());
        let grantee = || Val::text(asker.account());
        let collation = self.flavour.collation();
        match name {
            "SCHEMATA" => {
                let row = |name: &str, charset: &str, collation: &str| {
                    vec![
                        def(),
                        Val::text(name),
                        Val::text(charset),
                        Val::text(collation),
                        Val::Null,
                        Val::text(""),
                    ]
                };
                let mut rows = vec![row("information_schema", "utf8mb3", "utf8mb3_general_ci")];
                rows.extend(schemas().map(|name| row(name, "utf8mb4", collation)));
                rows
            }
            "TABLES" => self
                .all_tables()
                .into_iter()
                .map(|(schema, name, held)| self.described(schema, name, held))
                .collect(),
            "COLUMNS" => {
                let mut rows = Vec::new();
                for (schema, tables) in &self.schemas {
                    for table in tables {
                        for (i, c) in table.columns.iter().enumerate() {
                            let null = if i == 0 { "NO" } else { "YES" };
                            rows.push(self.column_row(schema, &table.name, &c.name, &c.sql_type, i, null));
                        }
                    }
                }
                let (mut last, mut i) = ("", 0);
                for cells in recorded(COLUMNS) {
                    let &[table, column, kind, null] = cells.as_slice() else {
                        continue;
                    };
                    if !self.flavour.mariadb && !BOTH.contains(&table) {
                        continue;
                    }
                    i = if table == last { i + 1 } else { 0 };
                    last = table;
                    rows.push(self.column_row("information_schema", table, column, kind, i, null));
                }
                rows
            }
            "STATISTICS" => self.keys(|schema, table, column| {
                let schema = Val::text(schema);
                vec![
                    def(),
                    schema.clone(),
                    Val::text(table.name.as_str()),
                    Val::Int(0),
                    schema,
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
                    Val::text("NO"),
                ]
            }),
            "KEY_COLUMN_USAGE" => self.keys(|schema, table, column| {
                let schema = Val::text(schema);
                vec![
                    def(),
                    schema.clone(),
                    Val::text("PRIMARY"),
                    def(),
                    schema,
                    Val::text(table.name.as_str()),
                    Val::text(column),
                    Val::Int(1),
                ]
            }),
            "USER_PRIVILEGES" => vec![vec![grantee(), def(), Val::text("USAGE"), Val::text("NO")]],
            "SCHEMA_PRIVILEGES" => schemas()
                .flat_map(|schema| super::PRIVILEGES.iter().map(move |p| (schema, *p)))
                .map(|(schema, p)| vec![grantee(), def(), Val::text(schema), Val::text(p), Val::text("NO")])
                .collect(),
            "PROCESSLIST" => vec![vec![
                Val::Int(asker.connection_id.into()),
                Val::text(asker.user.as_str()),
                Val::text(asker.peer()),
                asker.database.as_deref().map_or(Val::Null, Val::text),
                Val::text("Query"),
                Val::Int(0),
                Val::text("Filling schema table"),
                Val::text(asker.statement.as_str()),
                Val::Decimal(412, 3),
                Val::Int(0),
                Val::Int(0),
                Val::Decimal(0, 3),
                Val::Int(162_920),
                Val::Int(162_920),
                Val::Int(0),
                Val::Int(asker.questions),
                Val::text(asker.statement.as_str()),
                Val::Int(i64::from(asker.connection_id) + 1290),
            ]],
            "ENGINES" => recorded(self.flavour.engines())
                .map(|cells| cells.into_iter().map(text).collect())
                .collect(),
            "PLUGINS" => recorded(self.flavour.plugins())
                .map(|cells| {
                    let at = |i: usize| text(cells.get(i).copied().unwrap_or_default());
                    vec![
                        at(0),
                        Val::text("1.0"),
                        at(1),
                        at(2),
                        Val::Null,
                        at(3),
                        Val::Null,
                        Val::text("MariaDB Corporation"),
                        Val::Null,
                        at(4),
                        Val::text("ON"),
                        Val::text("Stable"),
                        Val::text("1.0"),
                    ]
                })
                .collect(),
            "CHARACTER_SETS" => recorded(CHARSETS)
                .map(|cells| match *cells.as_slice() {
                    [name, description, collation, longest] => {
                        vec![
                            text(name),
                            text(collation),
                            text(description),
                            Val::number(longest),
                        ]
                    }
                    _ => Vec::new(),
                })
                .collect(),
            "COLLATIONS" => recorded(COLLATIONS)
                .map(|cells| cells.into_iter().map(text).collect())
                .collect(),
            "COLLATION_CHARACTER_SET_APPLICABILITY" => recorded(COLLATIONS)
                .map(|cells| cells.iter().take(2).map(|c| text(c)).collect())
                .collect(),
            "GLOBAL_VARIABLES" | "SESSION_VARIABLES" => self
                .variables(asker, name == "GLOBAL_VARIABLES")
                .into_iter()
                .map(|v| vec![Val::text(v.name.to_ascii_uppercase()), Val::text(v.value)])
                .collect(),
            "GLOBAL_STATUS" | "SESSION_STATUS" => self
                .status(asker)
                .into_iter()
                .map(|(name, value)| vec![Val::text(name.to_ascii_uppercase()), Val::text(value)])
                .collect(),
            _ => Vec::new(),
        }
    }

    fn keys(&self, row: impl Fn(&str, &Held, &str) -> Vec<Val>) -> Rows {
        let mut out = Vec::new();
        for (schema, tables) in &self.schemas {
            for table in tables {
                out.extend(
                    table
                        .columns
                        .first()
                        .map(|column| row(schema, table, &column.name)),
                );
            }
        }
        out
    }

    /// A row of TABLES.
    fn described(&self, schema: &str, name: &str, held: Option<&Held>) -> Vec<Val> {
        let int = Val::Int;
        let mut out = vec![Val::text("def"), Val::text(schema), Val::text(name)];
        if let Some(table) = held {
            let status = self.table_status(table);
            out.extend([Val::text("BASE TABLE")]);
            // The same as SHOW TABLE STATUS tells, but for the name.
            out.extend(status.into_iter().skip(1));
            return out;
        }
        if schema == "performance_schema" {
            out.extend([
                Val::text("BASE TABLE"),
                Val::text("PERFORMANCE_SCHEMA"),
                int(10),
                Val::text("Fixed"),
            ]);
            out.extend([int(1000), int(0), int(0), int(0), int(0), int(0)]);
            return out;
        }
        let aria = IN_ARIA.contains(&name);
        let (engine, version, format, length) = if aria {
            ("Aria", 11, "Page", 8192)
        } else {
            ("MEMORY", 11, "Fixed", 0)
        };
        out.extend([
            Val::text("SYSTEM VIEW"),
            Val::text(engine),
            int(version),
            Val::text(format),
            Val::Null,
        ]);
        out.extend([int(0), int(length), int(0), int(length), int(0), Val::Null]);
        let made = Val::text(self.made.as_str());
        out.extend([
            made.clone(),
            if aria { made } else { Val::Null },
            Val::Null,
            Val::text("utf8mb3_general_ci"),
        ]);
        out.extend([Val::Null, Val::text(""), Val::text(""), int(0), Val::text("Y")]);
        out
    }

    /// A row of SHOW TABLE STATUS.
    pub(super) fn table_status(&self, table: &Held) -> Vec<Val> {
        let rows = table.count();
        let length = (rows / 100 + 1).saturating_mul(16_384);
        let int = Val::Int;
        let made = Val::text(self.made.as_str());
        let mut out = vec![
            Val::text(table.name.as_str()),
            Val::text("InnoDB"),
            int(10),
            Val::text("Dynamic"),
            int(rows),
            int(if rows == 0 { 0 } else { length / rows }),
            int(length),
            int(0),
            int(0),
            int(0),
            Val::Null,
            made,
            Val::Null,
            Val::Null,
            Val::text(self.flavour.collation()),
            Val::Null,
            Val::text(""),
            Val::text(""),
        ];
        if self.flavour.mariadb {
            out.extend([int(0), Val::text("N")]);
        }
        out
    }

    /// A row of COLUMNS.
    fn column_row(
        &self,
        schema: &str,
        table: &str,
        name: &str,
        sql_type: &str,
        i: usize,
        null: &str,
    ) -> Vec<Val> {
        let own = schema != "information_schema";
        let (plain, rest) = sql_type.split_once('(').unwrap_or((sql_type, ""));
        let mut numbers = rest.split([',', ')']).map(|n| n.trim().parse::<i64>().ok());
        let (length, places) = (numbers.next().flatten(), numbers.next().flatten());
        let opt = |n: Option<i64>| n.map_or(Val::Null, Val::Int);
        let data = plain.split(' ').next().unwrap_or_default();
        let characters = match data {
            "varchar" | "char" => length,
            "text" => Some(65_535),
            "longtext" => Some(4_294_967_295),
            _ => None,
        };
        let (charset, collation, widest) = if own {
            ("utf8mb4", self.flavour.collation(), 4)
        } else {
            ("utf8mb3", "utf8mb3_general_ci", 3)
        };
        let octets = match data {
            "varchar" | "char" => characters.map(|n| n * widest),
            _ => characters,
        };
        let precision = match data {
            "bigint" if sql_type.contains("unsigned") => Some(20),
            "bigint" => Some(19),
            "int" => Some(10),
            "decimal" => length,
            _ => None,
        };
        let scale = precision.map(|_| places.unwrap_or(0));
        let is_text = characters.is_some();
        vec![
            Val::text("def"),
            Val::text(schema),
            Val::text(table),
            Val::text(name),
            Val::Int(i64::try_from(i).unwrap_or_default() + 1),
            // In COLUMNS a default of NULL is the word, and none at all is NULL.
            if own && null == "YES" && self.flavour.mariadb {
                Val::text("NULL")
            } else {
                Val::Null
            },
            Val::text(null),
            Val::text(data),
            opt(characters),
            opt(octets),
            opt(precision),
            opt(scale),
            if data == "datetime" {
                Val::Int(0)
            } else {
                Val::Null
            },
            if is_text { Val::text(charset) } else { Val::Null },
            if is_text { Val::text(collation) } else { Val::Null },
            Val::text(sql_type),
            Val::text(if own && i == 0 { "PRI" } else { "" }),
            Val::text(""),
            Val::text("select"),
            Val::text(""),
            Val::text("NEVER"),
            Val::Null,
        ]
    }

    /// All system variables by name, as the asker has set them.
    pub(super) fn variables(&self, asker: &Asker, global: bool) -> Vec<Variable> {
        let mut out: Vec<Variable> = if self.flavour.mariadb {
            recorded(VARIABLES)
                .filter_map(|cells| match *cells.as_slice() {
                    [name, scope, kind, access, value] => Some(Variable {
                        name,
                        scope: scope.chars().next()?,
                        kind: kind.chars().next()?,
                        read_only: access == "r",
                        value: self.filled(name, value, asker),
                    }),
                    _ => None,
                })
                .filter(|v| !(global && v.scope == 's'))
                .collect()
        } else {
            self.mysql_variables(asker)
        };
        if !global {
            for variable in &mut out {
                if let Some(set) = asker.settings.get(variable.name) {
                    variable.value.clone_from(set);
                }
            }
        }
        out
    }

    /// A recorded value with what this machine has in its place.
    fn filled(&self, name: &str, value: &str, asker: &Asker) -> String {
        if !value.contains('{') {
            return match name {
                "character_set_client" | "character_set_connection" | "character_set_results" => {
                    "utf8mb4".to_owned()
                }
                "collation_connection" => "utf8mb4_general_ci".to_owned(),
                _ => value.to_owned(),
            };
        }
        let version = &self.flavour.version;
        value
            .replace("{hostname}", &self.hostname)
            .replace("{version}", version)
            .replace("{upstream}", version.split('-').next().unwrap_or_default())
            .replace("{comment}", &self.flavour.comment)
            .replace("{uid}", &self.uid)
            .replace("{connection}", &asker.connection_id.to_string())
            .replace("{timestamp}", &format!("{}.000000", asker.unix_time))
    }

    /// A variable in an expression.
    pub(super) fn variable(&self, name: &str, scope: Scope, asker: &Asker) -> Result<Val, SqlError> {
        let all = self.variables(asker, false);
        let Some(found) = all.into_iter().find(|v| v.name == name) else {
            return Err(SqlError::new(
                1193,
                "HY000",
                format!("Unknown system variable '{name}'"),
            ));
        };
        let whose = match (scope, found.scope) {
            (Scope::Global, 's') => Some("SESSION"),
            (Scope::Session, 'g') => Some("GLOBAL"),
            _ => None,
        };
        if let Some(whose) = whose {
            return Err(SqlError::new(
                1238,
                "HY000",
                format!("Variable '{name}' is a {whose} variable"),
            ));
        }
        Ok(match (found.kind, found.value.as_str()) {
            ('b', "ON" | "1") => Val::Int(1),
            ('b', "OFF" | "0") => Val::Int(0),
            ('n' | 'i' | 'd', number) => Val::number(number),
            (_, "\0") => Val::Null,
            (_, "") if name == "secure_file_priv" || name == "ssl_ca" || name == "ssl_cert" => Val::Null,
            (_, text) => Val::text(text),
        })
    }

    /// What the column of a variable is, where its kind says more than its value does.
    pub(super) fn variable_kind(&self, name: &str, asker: &Asker) -> Kind {
        let all = self.variables(asker, false);
        match all.iter().find(|v| v.name == name).map(|v| v.kind) {
            Some('b') => Kind::SWITCH_VARIABLE,
            Some('n') => Kind::UNSIGNED_VARIABLE,
            Some('i') => Kind::SIGNED_VARIABLE,
            Some('d') => Kind::DOUBLE_VARIABLE,
            _ => Kind::UNKNOWN,
        }
    }

    /// The selection of MySQL 8's variables that clients and visitors ask for.
    fn mysql_variables(&self, asker: &Asker) -> Vec<Variable> {
        let collation = self.flavour.collation();
        let connection = asker.connection_id.to_string();
        let table: &[(&'static str, char, &str)] = &[
            ("auto_increment_increment", 'n', "1"),
            ("autocommit", 'b', "ON"),
            ("basedir", 't', "/usr/"),
            ("bind_address", 't', "*"),
            ("character_set_client", 't', "utf8mb4"),
            ("character_set_connection", 't', "utf8mb4"),
            ("character_set_database", 't', "utf8mb4"),
            ("character_set_results", 't', "utf8mb4"),
            ("character_set_server", 't', "utf8mb4"),
            ("character_set_system", 't', "utf8mb3"),
            ("collation_connection", 't', collation),
            ("collation_database", 't', collation),
            ("collation_server", 't', collation),
            ("datadir", 't', "/var/lib/mysql/"),
            ("default_storage_engine", 't', "InnoDB"),
            ("foreign_key_checks", 'b', "ON"),
            ("general_log", 'b', "OFF"),
            ("have_openssl", 't', "YES"),
            ("have_ssl", 't', "YES"),
            ("hostname", 't', &self.hostname),
            ("init_connect", 't', ""),
            ("interactive_timeout", 'n', "28800"),
            ("license", 't', "GPL"),
            ("local_infile", 'b', "OFF"),
            ("lower_case_table_names", 'n', "0"),
            ("max_allowed_packet", 'n', "67108864"),
            ("max_connections", 'n', "151"),
            ("net_buffer_length", 'n', "16384"),
            ("net_write_timeout", 'n', "60"),
            ("optimizer_switch", 't', "index_merge=on,index_merge_union=on"),
            ("performance_schema", 'b', "ON"),
            ("plugin_dir", 't', "/usr/lib/mysql/plugin/"),
            ("port", 'n', "3306"),
            ("pseudo_thread_id", 'n', &connection),
            ("secure_file_priv", 't', "/var/lib/mysql-files/"),
            ("server_id", 'n', "1"),
            ("server_uuid", 't', &self.uid),
            ("socket", 't', "/var/run/mysqld/mysqld.sock"),
            (
                "sql_mode",
                't',
                "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
            ),
            ("sql_notes", 'b', "ON"),
            ("sql_quote_show_create", 'b', "ON"),
            ("system_time_zone", 't', "UTC"),
            ("time_zone", 't', "SYSTEM"),
            ("tmpdir", 't', "/tmp"),
            ("transaction_isolation", 't', "REPEATABLE-READ"),
            ("transaction_read_only", 'b', "OFF"),
            ("unique_checks", 'b', "ON"),
            ("version", 't', &self.flavour.version),
            ("version_comment", 't', &self.flavour.comment),
            ("version_compile_machine", 't', "x86_64"),
            ("version_compile_os", 't', "Linux"),
            ("wait_timeout", 'n', "28800"),
        ];
        let fixed = [
            "basedir",
            "datadir",
            "hostname",
            "port",
            "version",
            "plugin_dir",
            "secure_file_priv",
            "socket",
        ];
        table
            .iter()
            .map(|(name, kind, value)| Variable {
                name,
                scope: if fixed.contains(name) { 'g' } else { 'b' },
                kind: *kind,
                read_only: fixed.iter().any(|f| name.starts_with(f)),
                value: (*value).to_owned(),
            })
            .collect()
    }

    /// Status counters by name.
    pub(super) fn status(&self, asker: &Asker) -> Vec<(&'static str, String)> {
        let own = |name: &str| {
            Some(match name {
                "Uptime" | "Uptime_since_flush_status" => asker.uptime_s.to_string(),
                "Connections" => asker.connection_id.to_string(),
                "Threads_connected" | "Threads_running" | "Max_used_connections" => "1".to_owned(),
                "Questions" | "Queries" => (asker.questions + i64::from(asker.connection_id) * 9).to_string(),
                "Aborted_connects" => (asker.connection_id / 37).to_string(),
                "Bytes_received" => (u64::from(asker.connection_id) * 1973).to_string(),
                "Bytes_sent" => (u64::from(asker.connection_id) * 6211).to_string(),
                _ => return None,
            })
        };
        recorded(STATUS)
            .filter_map(|cells| match *cells.as_slice() {
                [name, value] => Some((name, own(name).unwrap_or_else(|| value.to_owned()))),
                _ => None,
            })
            .collect()
    }

    /// Settle the character set that a client begins with, by the number of its collation.
    pub(in crate::mysql) fn greet(&self, asker: &mut Asker, number: u8) {
        let number = number.to_string();
        let found = recorded(COLLATIONS).find_map(|cells| match *cells.as_slice() {
            [collation, charset, id, ..] if id == number => Some((charset, collation)),
            _ => None,
        });
        let Some((charset, collation)) = found else {
            return;
        };
        for of in ["client", "connection", "results"] {
            asker
                .settings
                .insert(format!("character_set_{of}"), charset.to_owned());
        }
        asker
            .settings
            .insert("collation_connection".to_owned(), collation.to_owned());
    }

    /// A character set by its name, and the collation that it has by default.
    pub(super) fn charset(&self, name: &str) -> Option<(&'static str, &'static str)> {
        let wanted = if name.eq_ignore_ascii_case("utf8") {
            "utf8mb3"
        } else {
            name
        };
        recorded(CHARSETS).find_map(|cells| match *cells.as_slice() {
            [name, _, collation, _] if name.eq_ignore_ascii_case(wanted) => Some((name, collation)),
            _ => None,
        })
    }

    /// Rows of a recorded file, as SHOW has them.
    pub(super) fn recorded(&self, what: &str) -> Rows {
        let file = match what {
            "collation" => COLLATIONS,
            "engines" => self.flavour.engines(),
            "plugins" => self.flavour.plugins(),
            _ => CHARSETS,
        };
        recorded(file)
            .map(|cells| cells.into_iter().map(text).collect())
            .collect()
    }

    /// The names of the tables of a schema, in their order.
    pub(super) fn table_names(&self, schema: &str) -> Option<Vec<String>> {
        if schema.eq_ignore_ascii_case("information_schema") {
            return Some(self.flavour.information_tables().map(str::to_owned).collect());
        }
        let (_, tables) = self.schemas.iter().find(|(name, _)| name == schema)?;
        let mut names: Vec<String> = tables.iter().map(|t| t.name.clone()).collect();
        names.sort_by_key(|name| value::folded(name));
        Some(names)
    }
}
