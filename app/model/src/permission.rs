//! Permissions: marker types that a `Permit<P>` (in `decnet-domain`) carries, and what each one needs.

use crate::state::Role;

/// Something that an actor must be allowed to do before a use-case runs.
pub trait Permission: Send + Sync + 'static {
    /// The name under which the audit log and errors mention it.
    const NAME: &'static str;
    /// The least role that holds it.
    const ROLE: Role;
    /// Who may make use of it.
    const BEARER: Bearer;
    /// When it can be made use of.
    const WHEN: When;
}

/// Who may make use of a permission that the role holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// A person in a session, and a program with an API token.
    Anyone,
    /// Only a person: whoever steals a token must not get more out of it than the token.
    Person,
}

/// In which state of the account a permission can be made use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When nothing else has to be done first.
    Settled,
    /// Also while the password has to be changed.
    PasswordDue,
    /// Also while a second factor has to be enrolled.
    FactorDue,
    /// In every state.
    Always,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: $text:literal, $role:ident, $bearer:ident, $when:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLE: Role = Role::$role;
                const BEARER: Bearer = Bearer::$bearer;
                const WHEN: When = When::$when;
            }
        )*
        /// Every permission with the role that it needs, for documentation and for tests.
        pub const ALL: &[(&str, Role)] = &[$(($text, Role::$role)),*];
    };
}

permissions! {
    /// Read logs, attackers, credentials, counters and the event stream.
    ViewEvidence: "evidence.view", Viewer, Anyone, Settled;
    /// Read the state of the fleet and of the workers.
    ViewFleet: "fleet.view", Viewer, Anyone, Settled;
    /// Deploy, tear down, redeploy and mutate, and read in its own words why a decky or a task failed.
    ManageFleet: "fleet.manage", Admin, Anyone, Settled;
    /// Start and stop workers, and read in its own words what keeps one from its work.
    ManageWorkers: "workers.manage", Admin, Anyone, Settled;
    /// Create, change and delete users, and what belongs to them. A token that could would outlive its own end: by a user
    /// of its own, or by its owner's password.
    ManageUsers: "users.manage", Admin, Person, Settled;
    /// Read the lines that did not become evidence.
    ViewQuarantine: "quarantine.view", Admin, Anyone, Settled;
    /// Read the settings that are changed while DECNET runs.
    ViewSettings: "settings.view", Viewer, Anyone, Settled;
    /// Change them.
    ManageSettings: "settings.manage", Admin, Anyone, Settled;
    /// Delete all evidence from the database.
    Reinitialise: "evidence.reinitialise", Admin, Person, Settled;
    /// Work on the installation's files at its own command line.
    Operate: "host.operate", Admin, Person, Settled;
    /// Read the audit log.
    ViewAudit: "audit.view", Admin, Anyone, Settled;
    /// See one's own account.
    OwnAccount: "account.own", Viewer, Anyone, Always;
    /// Change one's own password.
    ChangePassword: "account.password", Viewer, Person, PasswordDue;
    /// Enrol, see and disable one's own second factor.
    OwnFactor: "account.second_factor", Viewer, Person, FactorDue;
    /// See and end one's own sessions and API tokens, and make tokens.
    OwnAccess: "account.access", Viewer, Person, Settled;
}

impl Role {
    /// Whether this role holds what `needed` holds.
    #[must_use]
    pub fn covers(self, needed: Role) -> bool {
        self >= needed
    }
}
