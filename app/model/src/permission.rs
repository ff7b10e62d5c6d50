//! Permissions: marker types that a `Permit<P>` (in `decnet-domain`) carries, and the role that each one needs.

use crate::state::Role;

/// Something that an actor must be allowed to do before a use-case runs.
pub trait Permission: Send + Sync + 'static {
    /// The name under which the audit log and errors mention it.
    const NAME: &'static str;
    /// The least role that holds it.
    const ROLE: Role;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: $text:literal, $role:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLE: Role = Role::$role;
            }
        )*
        /// Every permission with the role that it needs, for documentation and for tests.
        pub const ALL: &[(&str, Role)] = &[$(($text, Role::$role)),*];
    };
}

permissions! {
    /// Read logs, attackers, credentials, counters and the event stream.
    ViewEvidence: "evidence.view", Viewer;
    /// Read the state of the fleet and of the workers.
    ViewFleet: "fleet.view", Viewer;
    /// Deploy, tear down, redeploy and mutate.
    ManageFleet: "fleet.manage", Admin;
    /// Start and stop workers.
    ManageWorkers: "workers.manage", Admin;
    /// Create, change and delete users.
    ManageUsers: "users.manage", Admin;
    /// Read the lines that did not become evidence.
    ViewQuarantine: "quarantine.view", Admin;
    /// Read the audit log.
    ViewAudit: "audit.view", Admin;
    /// Change one's own password, see one's own account.
    OwnAccount: "account.own", Viewer;
}

impl Role {
    /// Whether this role holds what `needed` holds.
    #[must_use]
    pub fn covers(self, needed: Role) -> bool {
        self >= needed
    }
}
