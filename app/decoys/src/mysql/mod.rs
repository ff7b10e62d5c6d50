//! MySQL and MariaDB: a server whose login can be guessed, with a schema of bait behind it.
//!
//! `packet.rs` reads and writes the client/server protocol, `prepared.rs` its prepared statements, `sql/` answers
//! statements, `command.rs` names the commands that are none, `session.rs` is the handshake and the commands. Errors and greeting are those of MariaDB 10.11, MySQL 8.0's where they differ; `tests/mysql.rs` compares
//! with a real mariadbd.
//!
//! The account that gets in may read and dump, and nothing else: writes are refused as its privileges have it, and sequences
//! that reach for files or code are reported. Deliberately absent: WITH, window functions, JSON, and compression.

#[cfg(feature = "serve")]
pub mod command;
#[cfg(feature = "serve")]
pub mod packet;
#[cfg(feature = "serve")]
pub mod prepared;
#[cfg(feature = "serve")]
mod session;
#[cfg(feature = "serve")]
mod sql;

use decnet_persona::{Persona, Product};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Misfit, knobs, said},
};

#[cfg(feature = "serve")]
pub(crate) use session::{LABEL, look};
#[cfg(feature = "serve")]
pub(crate) use sql::fuzz;

/// The service.
pub struct Mysql {
    #[cfg(feature = "serve")]
    server: session::Server,
}

knobs! {
    /// Knobs of mysql.
    pub struct MysqlConfig {
        /// Who gets in.
        pub accept: Accept = Accept::Listed,
        /// Version, where the persona's is not wanted, as `@@version` has it: `8.0.36`, `10.11.6-MariaDB`. Of the same program, and of the
        /// series that its distribution has.
        pub version: Option<String> = None,
    }
}

impl Service for Mysql {
    const META: Meta = Meta {
        slug: "mysql",
        label: "MySQL",
        category: Category::Database,
        listen: &[Port::Tcp(3306)],
        summary: "MySQL or MariaDB; credentials are captured, and a guessed login leads to bait tables",
    };
    type Config = MysqlConfig;

    fn program(config: &MysqlConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.sql_product();
        let mariadb = own.name == "MariaDB";
        let given = config.version.as_deref();
        if let Some(given) = given.filter(|given| !is_version(given, mariadb)) {
            let and = if mariadb { " and -MariaDB" } else { "" };
            let problem = format!("is not three numbers{and}, as the persona's program has it");
            return Err(Misfit::of::<Self>("version", given, problem, &own));
        }
        said::<Self>(persona, own, "version", given)
    }
}

/// Whether `given` is a version as the product writes it: three numbers, and MariaDB's name after them where it is that.
fn is_version(given: &str, mariadb: bool) -> bool {
    let number = given.split('-').next().unwrap_or_default();
    let parts: Vec<Option<u16>> = number.split('.').map(|part| part.parse().ok()).collect();
    let plain = given.len() <= 60 && given.bytes().all(|b| b.is_ascii_graphic());
    let is_number = matches!(parts.as_slice(), [Some(_), Some(_), Some(_)]);
    plain && is_number && given.contains("-MariaDB") == mariadb
}
