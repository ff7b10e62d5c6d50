//! The pages, one file each. A page fetches what it begins with, adds what the stream brings, and shows it with the
//! pieces of `components`.

pub(crate) mod attacker;
pub(crate) mod attackers;
pub(crate) mod credentials;
pub(crate) mod fleet;
#[cfg(debug_assertions)]
pub(crate) mod gallery;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod overview;
pub(crate) mod password;
pub(crate) mod quarantine;
pub(crate) mod second_factor;
pub(crate) mod settings;
pub(crate) mod workers;
