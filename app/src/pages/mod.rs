//! The pages, one file each. A page fetches what it begins with, adds what the stream brings, and shows it with the
//! pieces of `components`.

pub(crate) mod attacker;
pub(crate) mod attackers;
pub(crate) mod fleet;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod overview;
pub(crate) mod password;
pub(crate) mod quarantine;
