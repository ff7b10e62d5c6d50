//! Who asks, and the proof that they may.

use std::{marker::PhantomData, net::IpAddr};

use decnet_model::{
    id::{ApiTokenId, TokenId, UserId},
    name::TokenName,
    permission::{Bearer, Permission, When},
    state::Role,
};

use crate::{Domain, DomainError, Source};

/// Somebody who proved who they are. Made by [`Domain::authenticate`], or by [`Actor::operator`] for the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub(crate) id: Option<UserId>,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) from: Source,
    pub(crate) must_change_password: bool,
    pub(crate) second_factor: bool,
    pub(crate) must_enrol: bool,
    pub(crate) credential: Credential,
}

/// What somebody proved with who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// By being able to run the command line.
    Operator,
    /// By the token of a session.
    Session {
        token: TokenId,
        /// When the session ends by itself, in seconds since the epoch.
        expires_at: i64,
        /// See [`crate::token::Claims`].
        generation: i64,
    },
    /// By a token for programs.
    ApiToken { id: ApiTokenId, name: TokenName },
}

impl Actor {
    /// The machine's own operator at its command line: whoever can read the database's password is an administrator
    /// already. `login` is the name under which the audit log mentions them.
    #[must_use]
    pub fn operator(login: &str) -> Self {
        Self {
            id: None,
            name: format!("cli:{}", login.chars().take(64).collect::<String>()),
            role: Role::Admin,
            from: Source::default(),
            must_change_password: false,
            second_factor: false,
            must_enrol: false,
            credential: Credential::Operator,
        }
    }

    /// The user; absent for the command line.
    #[must_use]
    pub fn id(&self) -> Option<UserId> {
        self.id
    }

    /// The user's name, `cli:<login>` for the command line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who the audit log says that it was: the user, with the API token that acted in their name.
    pub(crate) fn audit_name(&self) -> String {
        match &self.credential {
            // At most 64 and 64 characters; the column has 128, and both so long is nobody's need.
            Credential::ApiToken { name, .. } => format!("{}/{name}", self.name).chars().take(128).collect(),
            _ => self.name.clone(),
        }
    }

    /// What they may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The address that they ask from.
    #[must_use]
    pub fn from(&self) -> Option<IpAddr> {
        self.from.ip
    }

    /// Whether only changing their password is open to them.
    #[must_use]
    pub fn must_change_password(&self) -> bool {
        self.must_change_password
    }

    /// Whether only enrolling a second factor is open to them.
    #[must_use]
    pub fn must_enrol(&self) -> bool {
        self.must_enrol && !self.must_change_password
    }

    /// Whether they hold `P`, for what shows more of itself to who does: nobody is refused anything, so nothing is noted.
    pub(crate) fn holds<P: Permission>(&self) -> bool {
        self.check::<P>().is_ok()
    }

    fn check<P: Permission>(&self) -> Result<(), DomainError> {
        if self.must_change_password && !matches!(P::WHEN, When::PasswordDue | When::Always) {
            return Err(DomainError::PasswordChangeRequired);
        }
        if self.must_enrol() && !matches!(P::WHEN, When::FactorDue | When::Always) {
            return Err(DomainError::EnrolmentRequired);
        }
        if !self.role.covers(P::ROLE) {
            return Err(DomainError::Forbidden { permission: P::NAME });
        }
        if P::BEARER == Bearer::Person && matches!(self.credential, Credential::ApiToken { .. }) {
            return Err(DomainError::SessionRequired);
        }
        Ok(())
    }
}

/// The proof that an actor holds `P`. Only [`Domain::permit`] makes one.
#[derive(Debug)]
pub struct Permit<P> {
    actor: Actor,
    permission: PhantomData<P>,
}

impl<P: Permission> Permit<P> {
    /// Who it was given to.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}

impl Domain {
    /// Whether what a permit was given for is still so: for work that goes on after its request was answered. The command line has no
    /// session that could end.
    pub async fn permit_holds<P: Permission>(&self, permit: &Permit<P>) -> bool {
        matches!(permit.actor.credential, Credential::Operator) || self.session_holds(&permit.actor).await
    }

    /// Check that `actor` holds `P`.
    ///
    /// # Errors
    /// [`DomainError::PasswordChangeRequired`] while the password must be changed, for all that is not open then;
    /// [`DomainError::EnrolmentRequired`] likewise while a second factor has to be enrolled;
    /// [`DomainError::Forbidden`] where the role does not hold `P`, and [`DomainError::SessionRequired`] where an API token
    /// asks for what only a person may do, which the audit log notes.
    pub fn permit<P: Permission>(&self, actor: &Actor) -> Result<Permit<P>, DomainError> {
        actor.check::<P>().inspect_err(|refused| {
            // What has to be done first is no attempt at what somebody may not.
            if matches!(
                refused,
                DomainError::Forbidden { .. } | DomainError::SessionRequired
            ) {
                self.audit_later(actor, "permission.check", P::NAME, "denied");
            }
        })?;
        Ok(Permit {
            actor: actor.clone(),
            permission: PhantomData,
        })
    }
}
