//! What a shell remembers by name: variables and arrays, options, traps; and what a subshell gets a copy of.

use std::{collections::BTreeMap, sync::Arc};

use super::{parse::Command, run::Fds};

/// Bytes that all variables together may hold.
const VARIABLES: usize = 2 << 20;
/// Elements that one array may have.
const ELEMENTS: usize = 10_000;

/// A variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Var {
    /// Its value; of an array element 0.
    pub(crate) value: Vec<u8>,
    pub(crate) exported: bool,
    pub(crate) readonly: bool,
    /// What is assigned to it is an arithmetic expression.
    pub(crate) integer: bool,
    /// Its elements, where it is an array.
    pub(crate) items: Option<Items>,
}

impl Var {
    /// One for a command's environment.
    pub(crate) fn exported(value: Vec<u8>) -> Self {
        Self {
            value,
            exported: true,
            ..Self::default()
        }
    }

    fn held(&self) -> usize {
        let items = match &self.items {
            None => 0,
            Some(Items::Indexed(items)) => items.values().map(Vec::len).sum(),
            Some(Items::Named(items)) => items.iter().map(|(k, v)| k.len() + v.len()).sum(),
        };
        self.value.len() + items
    }
}

/// The elements of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Items {
    Indexed(BTreeMap<u32, Vec<u8>>),
    Named(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// Which element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Number(u32),
    Name(Vec<u8>),
}

/// What `set -o` switches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) allexport: bool,
    pub(crate) errexit: bool,
    pub(crate) noexec: bool,
    pub(crate) noglob: bool,
    pub(crate) nounset: bool,
    pub(crate) pipefail: bool,
    pub(crate) xtrace: bool,
}

impl Options {
    /// The switch that a letter of `set` stands for.
    pub(crate) fn letter(&mut self, letter: char) -> Option<&mut bool> {
        Some(match letter {
            'a' => &mut self.allexport,
            'e' => &mut self.errexit,
            'f' => &mut self.noglob,
            'n' => &mut self.noexec,
            'u' => &mut self.nounset,
            'x' => &mut self.xtrace,
            _ => return None,
        })
    }

    /// The switch of that name.
    pub(crate) fn named(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "allexport" => &mut self.allexport,
            "errexit" => &mut self.errexit,
            "noexec" => &mut self.noexec,
            "noglob" => &mut self.noglob,
            "nounset" => &mut self.nounset,
            "pipefail" => &mut self.pipefail,
            "xtrace" => &mut self.xtrace,
            _ => return None,
        })
    }
}

/// Whose language a shell speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Bash,
    /// `sh` of Debian and its like.
    Dash,
    /// BusyBox's.
    Ash,
}

/// What a subshell gets a copy of.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) vars: BTreeMap<String, Var>,
    pub(crate) params: Vec<Vec<u8>>,
    pub(crate) arg0: String,
    pub(crate) dialect: Dialect,
    /// The script is the argument of `-c`.
    pub(crate) from_argument: bool,
    /// Its commands come through its standard input, and not from a terminal.
    pub(crate) from_input: bool,
    /// It is a login shell, whose end is a logout.
    pub(crate) login: bool,
    pub(crate) cwd: String,
    pub(crate) functions: BTreeMap<String, Arc<Command>>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) options: Options,
    pub(crate) traps: BTreeMap<String, String>,
    /// What `local` hid, for each function that runs.
    pub(crate) hidden: Vec<BTreeMap<String, Option<Var>>>,
    /// Where `exec` with redirections alone sent the descriptors.
    pub(crate) redirected: Option<Fds>,
    pub(crate) user: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) umask: u32,
}

impl Env {
    fn fits(&self, more: usize) -> bool {
        let held: usize = self.vars.values().map(Var::held).sum();
        held + more <= VARIABLES && self.vars.len() < 2_000
    }

    /// Give a variable a value; of an array element 0.
    pub(crate) fn set(&mut self, name: &str, value: Vec<u8>) {
        if !self.fits(value.len()) {
            return;
        }
        let export = self.options.allexport;
        let var = self.vars.entry(name.to_owned()).or_default();
        var.exported |= export;
        match &mut var.items {
            Some(Items::Indexed(items)) => {
                items.insert(0, value.clone());
            }
            Some(Items::Named(items)) => {
                items.insert(b"0".to_vec(), value.clone());
            }
            None => {}
        }
        var.value = value;
    }

    /// Give one element of an array a value; what was no array becomes one.
    pub(crate) fn set_item(&mut self, name: &str, key: &Key, value: Vec<u8>) {
        if !self.fits(value.len()) {
            return;
        }
        let var = self.vars.entry(name.to_owned()).or_default();
        let old = std::mem::take(&mut var.value);
        let items = var.items.get_or_insert_with(|| {
            Items::Indexed(if old.is_empty() {
                BTreeMap::new()
            } else {
                BTreeMap::from([(0, old.clone())])
            })
        });
        match (items, key) {
            (Items::Indexed(items), Key::Number(n)) => {
                if items.len() < ELEMENTS {
                    items.insert(*n, value);
                }
                var.value = items.get(&0).cloned().unwrap_or_default();
            }
            (Items::Named(items), Key::Name(name)) => {
                if items.len() < ELEMENTS {
                    items.insert(name.clone(), value);
                }
            }
            (Items::Named(items), Key::Number(n)) => {
                items.insert(n.to_string().into_bytes(), value);
            }
            (Items::Indexed(_), Key::Name(_)) => var.value = old,
        }
    }

    /// Make a name an array without elements.
    pub(crate) fn clear_items(&mut self, name: &str, named: bool) {
        let var = self.vars.entry(name.to_owned()).or_default();
        var.value.clear();
        let named = named || matches!(var.items, Some(Items::Named(_)));
        var.items = Some(if named {
            Items::Named(BTreeMap::new())
        } else {
            Items::Indexed(BTreeMap::new())
        });
    }

    /// Whether the array's keys are names.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        matches!(
            self.vars.get(name),
            Some(Var {
                items: Some(Items::Named(_)),
                ..
            })
        )
    }

    /// Keys and values of a variable: of one that is no array, itself under 0.
    pub(crate) fn items(&self, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        match self.vars.get(name) {
            None => Vec::new(),
            Some(Var {
                items: None, value, ..
            }) => vec![(b"0".to_vec(), value.clone())],
            Some(Var {
                items: Some(Items::Indexed(items)),
                ..
            }) => items
                .iter()
                .map(|(k, v)| (k.to_string().into_bytes(), v.clone()))
                .collect(),
            Some(Var {
                items: Some(Items::Named(items)),
                ..
            }) => items.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// One element.
    pub(crate) fn item(&self, name: &str, key: &Key) -> Option<Vec<u8>> {
        let var = self.vars.get(name)?;
        match (&var.items, key) {
            (None, Key::Number(0)) => Some(var.value.clone()),
            (None, _) => None,
            (Some(Items::Indexed(items)), Key::Number(n)) => items.get(n).cloned(),
            (Some(Items::Named(items)), Key::Name(name)) => items.get(name).cloned(),
            (Some(Items::Named(items)), Key::Number(n)) => items.get(n.to_string().as_bytes()).cloned(),
            (Some(Items::Indexed(_)), Key::Name(_)) => None,
        }
    }

    /// Remove one element.
    pub(crate) fn remove_item(&mut self, name: &str, key: &Key) {
        let Some(var) = self.vars.get_mut(name) else {
            return;
        };
        match (&mut var.items, key) {
            (Some(Items::Indexed(items)), Key::Number(n)) => {
                items.remove(n);
                var.value = items.get(&0).cloned().unwrap_or_default();
            }
            (Some(Items::Named(items)), Key::Name(name)) => {
                items.remove(name);
            }
            _ => {}
        }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.vars
            .get(name)
            .map(|v| String::from_utf8_lossy(&v.value).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn export(&mut self, name: &str, value: &str) {
        self.set(name, value.as_bytes().to_vec());
        if let Some(var) = self.vars.get_mut(name) {
            var.exported = true;
        }
    }
}

/// A value as bash shows it where it could be typed again: bare, in single quotes, or as `$'…'`.
pub(crate) fn quoted(value: &[u8]) -> Vec<u8> {
    if value.is_empty() {
        return b"''".to_vec();
    }
    if value.iter().any(|b| *b < 32 || *b == 127) {
        let mut out = b"$'".to_vec();
        for b in value {
            match b {
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\r' => out.extend_from_slice(b"\\r"),
                27 => out.extend_from_slice(b"\\E"),
                7 => out.extend_from_slice(b"\\a"),
                b'\'' | b'\\' => out.extend_from_slice(&[b'\\', *b]),
                b if *b < 32 || *b == 127 => out.extend_from_slice(format!("\\{b:03o}").as_bytes()),
                b => out.push(*b),
            }
        }
        out.push(b'\'');
        return out;
    }
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,^".contains(b) || *b >= 128;
    if value.iter().all(plain) {
        return value.to_vec();
    }
    single_quoted(value)
}

/// A value as `printf %q` writes it: with backslashes.
pub(crate) fn backslashed(value: &[u8]) -> Vec<u8> {
    if value.is_empty() || value.iter().any(|b| *b < 32 || *b == 127) {
        return quoted(value);
    }
    let mut out = Vec::new();
    for b in value {
        if !(b.is_ascii_alphanumeric() || b"_-./:=@%+".contains(b) || *b >= 128) {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out
}

/// A value in single quotes.
pub(crate) fn single_quoted(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for b in value {
        if *b == b'\'' {
            out.extend_from_slice(b"'\\''");
        } else {
            out.push(*b);
        }
    }
    out.push(b'\'');
    out
}

/// A value in double quotes, as `declare -p` shows it.
pub(crate) fn double_quoted(value: &[u8]) -> Vec<u8> {
    if value.iter().any(|b| *b < 32 || *b == 127) {
        return quoted(value);
    }
    let mut out = vec![b'"'];
    for b in value {
        if matches!(b, b'"' | b'\\' | b'$' | b'`') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
    out
}
