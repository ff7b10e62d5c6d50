//! The pages, one file each. A page fetches what it begins with, adds what the stream brings, and shows it with the
//! pieces of `components`.
//!
//! Each comes to the browser in a piece of its own: it stands in [`pieces!`](crate::piece), and its route in
//! [`App`](crate::App) takes the constant.

pub(crate) mod attacker;
pub(crate) mod attackers;
pub(crate) mod fleet;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod overview;
pub(crate) mod password;
pub(crate) mod quarantine;

crate::piece::pieces! {
    ATTACKER = attacker: attacker::AttackerPage,
    ATTACKERS = attackers: attackers::AttackersPage,
    FLEET = fleet: fleet::FleetPage,
    LIVE = live: live::LivePage,
    LOGIN = login: login::LoginPage,
    OVERVIEW = overview: overview::OverviewPage,
    PASSWORD = password: password::PasswordPage,
    QUARANTINE = quarantine: quarantine::QuarantinePage,
}
