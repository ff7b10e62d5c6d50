//! What the server knows of itself: its commands and its settings, by version.

use std::sync::LazyLock;

use super::wire::Reply;

/// A version such as 7.0.15, comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) [u16; 3]);

impl Version {
    /// The version that `text` begins with; missing parts are 0.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        Self([0; 3].map(|_: u16| parts.next().unwrap_or(0)))
    }

    pub(super) fn at_least(self, major: u16, minor: u16) -> bool {
        self >= Self([major, minor, 0])
    }
}

/// A command, or a subcommand named `container|name`.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Number of words; negative where it is the least number.
    arity: i64,
    since: Version,
    since_text: &'static str,
    group: &'static str,
    flags: &'static str,
    keys: [i64; 3],
    categories: &'static str,
    complexity: &'static str,
    summary: &'static str,
}

static COMMANDS: LazyLock<Vec<Command>> = LazyLock::new(|| {
    let rows = include_str!("commands.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'));
    rows.map(|row| {
        let mut columns = row.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (name, arity, since_text, group, flags) = (next(), next(), next(), next(), next());
        let keys = [next(), next(), next()].map(|n| n.parse().unwrap_or(0));
        Command {
            name,
            arity: arity.parse().unwrap_or(0),
            since: Version::parse(since_text),
            since_text,
            group,
            flags,
            keys,
            categories: next(),
            complexity: next(),
            summary: next(),
        }
    })
    .collect()
});

/// The command or subcommand `name` (lower case) of version `of`.
pub(super) fn command(name: &str, of: Version) -> Option<&'static Command> {
    let at = COMMANDS
        .binary_search_by(|command| order(command.name).cmp(order(name)))
        .ok()?;
    COMMANDS.get(at).filter(|command| command.since <= of)
}

/// The order in which the table stands: a container before its subcommands, these before the next command.
fn order(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|b| if b == b'|' { 0 } else { b })
}

/// The commands of version `of`, without subcommands.
pub(super) fn commands(of: Version) -> impl Iterator<Item = &'static Command> {
    COMMANDS
        .iter()
        .filter(move |command| command.since <= of && !command.name.contains('|'))
}

impl Command {
    /// Whether a request of `words` words, its name included, has the right number.
    pub(super) fn takes(&self, words: usize) -> bool {
        let words = i64::try_from(words).unwrap_or(i64::MAX);
        if self.arity < 0 {
            words >= -self.arity
        } else {
            words == self.arity
        }
    }

    /// Whether it has `flag`, such as `write`.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.split(',').any(|f| f == flag)
    }

    /// Whether it has subcommands in version `of`.
    pub(super) fn is_container(&self, of: Version) -> bool {
        command(&format!("{}|help", self.name), of).is_some()
    }

    /// Its entry in the reply of `COMMAND`.
    pub(super) fn describe(&self, of: Version) -> Reply {
        let statuses = |list: &'static str| {
            Reply::Set(
                list.split(',')
                    .filter(|f| !f.is_empty())
                    .map(Reply::Status)
                    .collect(),
            )
        };
        let mut entry = vec![
            Reply::bulk(self.name),
            Reply::Int(self.arity),
            statuses(self.flags),
        ];
        entry.extend(self.keys.map(Reply::Int));
        if of.at_least(6, 0) {
            entry.push(statuses(self.categories));
        }
        if of.at_least(7, 0) {
            let prefix = format!("{}|", self.name);
            let subcommands = COMMANDS
                .iter()
                .filter(|c| c.since <= of && c.name.starts_with(&prefix));
            entry.push(Reply::Set(Vec::new()));
            entry.push(Reply::Set(Vec::new()));
            entry.push(Reply::Array(subcommands.map(|c| c.describe(of)).collect()));
        }
        Reply::Array(entry)
    }

    /// Its entry in the reply of `COMMAND DOCS`.
    pub(super) fn document(&self) -> (Reply, Reply) {
        let facts = [
            ("summary", self.summary),
            ("since", self.since_text),
            ("group", self.group),
            ("complexity", self.complexity),
        ];
        let facts = facts.into_iter().map(|(k, v)| (Reply::bulk(k), Reply::bulk(v)));
        (Reply::bulk(self.name), Reply::Map(facts.collect()))
    }
}

/// The settings of version `of` with the values that the package sets.
pub(super) fn settings(of: Version) -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("config.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'))
        .filter_map(move |row| {
            let mut columns = row.splitn(3, '\t');
            let (name, since, value) = (columns.next()?, columns.next()?, columns.next()?);
            (Version::parse(since) <= of).then_some((name, value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_table_is_found_by_name() {
        let newest = Version::parse("99.0.0");
        for known in COMMANDS.iter() {
            assert_eq!(command(known.name, newest).map(|c| c.name), Some(known.name));
        }
        assert_eq!(commands(Version::parse("7.0.15")).count(), 240);
    }

    #[test]
    fn a_command_is_unknown_before_the_version_that_brought_it() {
        assert!(command("lmpop", Version::parse("6.2.14")).is_none());
        assert!(command("lmpop", Version::parse("7.0.15")).is_some());
        assert!(Version::parse("6.0.16") < Version::parse("6.2"));
    }
}
