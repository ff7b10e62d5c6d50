//! The pages, one file each. A page fetches what it begins with, adds what the stream brings, and shows it with the
//! pieces of `components`.
//!
//! Each comes to the browser in a piece of its own: it stands in [`pieces!`](crate::piece), and its route in
//! [`App`](crate::App) takes the constant.

pub(crate) mod attacker;
pub(crate) mod attackers;
pub(crate) mod credentials;
pub(crate) mod fleet;
#[cfg(debug_assertions)]
pub(crate) mod gallery;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod lost;
pub(crate) mod overview;
pub(crate) mod password;
pub(crate) mod quarantine;
pub(crate) mod second_factor;
pub(crate) mod settings;
pub(crate) mod workers;

crate::piece::pieces! {
    ACCOUNT = account: settings::account::AccountPage,
    ATTACKER = attacker: attacker::AttackerPage,
    ATTACKERS = attackers: attackers::AttackersPage,
    AUDIT = audit: settings::audit::AuditPage,
    CREDENTIALS = credentials: credentials::finds::FindsPage,
    FLEET = fleet: fleet::FleetPage,
    HOST = host: settings::host::HostPage,
    LIVE = live: live::LivePage,
    LOGIN = login: login::LoginPage,
    LOST = lost: lost::LostPage,
    OVERVIEW = overview: overview::OverviewPage,
    PASSWORD = password: password::PasswordPage,
    QUARANTINE = quarantine: quarantine::QuarantinePage,
    REUSE = reuse: credentials::reuse::ReusePage,
    SECOND_FACTOR = second_factor: second_factor::SecondFactorPage,
    TOKENS = tokens: settings::tokens::TokensPage,
    USERS = users: settings::users::UsersPage,
    WORKERS = workers: workers::WorkersPage,
}
