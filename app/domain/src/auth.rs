//! Signing in and out, sessions, one's own password, and the first admin.

use std::time::{Duration, Instant};

use decnet_db::{DbError, NewUser, Reckoning, TokenDigest, UserRow};
use decnet_model::{
    clock::micros,
    id::{ApiTokenId, TokenId, UserId},
    name::UserName,
    password::MAX_PASSWORD,
    permission::{ChangePassword, OwnAccount},
    state::Role,
    topic::{Pattern, Topic},
    view::Me,
};
use decnet_runtime::exit::chain;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    Actor, Domain, DomainError, Permit, Source,
    api_tokens::{digest, is_api_token},
    password,
    permit::Credential,
    second_factor::Challenge,
    session::Change,
    token::{Claims, Tokens},
};

/// How often ended sessions are cleared away.
const SWEEP: Duration = Duration::from_secs(3600);
/// How long an answer that is given whatever fails asks who is behind a token.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A session that just began.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The token: for the session cookie, or for `Authorization: Bearer`.
    pub token: SecretString,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// How long that is from now.
    pub lifetime: Duration,
    /// Who it is.
    pub me: Me,
}

/// What a right password gives.
#[derive(Debug, Clone)]
pub enum Login {
    /// A session.
    In(SignedIn),
    /// The account has a second factor: a code has to follow, see [`Domain::login_second`].
    SecondFactor(Challenge),
}

/// A token that was read, once for each request: see [`Domain::bearer`].
#[derive(Clone)]
pub struct Bearer(Carried);

#[derive(Clone)]
enum Carried {
    Session(Claims),
    ApiToken(TokenDigest),
}

/// The account that a fresh installation begins with; later, one that administers.
#[derive(Debug, Clone)]
pub struct FirstAdmin {
    /// Its name.
    pub username: UserName,
    /// The configured name, where it is another: it only names the account that a fresh installation begins with.
    pub passed_over: Option<UserName>,
    /// The password that was drawn just now: shown once and stored nowhere. Absent where the environment has it.
    pub generated_password: Option<SecretString>,
}

impl Domain {
    /// Sign in with a name and a password.
    ///
    /// A wrong name and a wrong password are alike in answer and in time.
    ///
    /// # Errors
    /// [`DomainError::BadCredentials`], [`DomainError::TooMany`] after ten failures in five minutes of the address or
    /// of the name, [`DomainError::Busy`] in a login storm.
    pub async fn login(
        &self,
        username: &str,
        password: &SecretString,
        from: Source,
    ) -> Result<Login, DomainError> {
        let ip = from.ip;
        let outcome = self.login_unaudited(username, password, from).await;
        let result = match &outcome {
            Ok(Login::In(_)) => "ok",
            Ok(Login::SecondFactor(_)) => "a code has to follow",
            Err(error) => error.result(),
        };
        // What was typed as a name may be a password typed into the wrong field: only a name that exists is written.
        let known = match &outcome {
            Ok(Login::In(signed_in)) => signed_in.me.username.to_string(),
            Ok(Login::SecondFactor(_)) | Err(_) => self.known_name(username).await,
        };
        self.audit_as(&known, ip, "auth.login", &known, result).await;
        outcome
    }

    async fn known_name(&self, typed: &str) -> String {
        const UNKNOWN: &str = "(unknown)";
        let Ok(name) = typed.to_lowercase().parse::<UserName>() else {
            return UNKNOWN.into();
        };
        match self.inner.store.user_by_name(&name).await {
            Ok(Some(user)) => user.username.to_string(),
            _ => UNKNOWN.into(),
        }
    }

    async fn login_unaudited(
        &self,
        username: &str,
        password: &SecretString,
        from: Source,
    ) -> Result<Login, DomainError> {
        let tokens = self.tokens()?;
        let too_many = |retry_after| DomainError::TooMany {
            what: "attempts to sign in",
            retry_after,
        };
        let attempt = self
            .inner
            .attempts
            .begin(from.ip, username, Instant::now())
            .map_err(too_many)?;
        let user = match username.to_lowercase().parse::<UserName>() {
            Ok(name) => self.inner.store.user_by_name(&name).await?,
            Err(_) => None,
        };
        let too_long = password.expose_secret().chars().count() > MAX_PASSWORD;
        let stored = user
            .as_ref()
            .filter(|u| !u.disabled && !too_long)
            .map(|u| u.password_hash.as_str());
        // What is too long cannot be right; hashing something short instead keeps the time alike.
        let tried = if too_long {
            &SecretString::from(String::new())
        } else {
            password
        };
        let right = match self.inner.hasher.verify(tried, stored).await {
            Ok(right) => right,
            Err(busy @ DomainError::Busy { .. }) => {
                // Nothing was learnt about the password, so it was no attempt.
                self.inner.attempts.succeeded(&attempt);
                return Err(busy);
            }
            Err(other) => return Err(other),
        };
        let Some(user) = user.filter(|_| right) else {
            return Err(attempt.user_limited.map_or(DomainError::BadCredentials, too_many));
        };
        self.inner.attempts.succeeded(&attempt);
        let now = self.inner.clock.now();
        if let Err(error) = self.rehash(&user, password).await {
            tracing::error!(error = &error as &dyn std::error::Error, user = %user.username, "a hash could not be renewed");
        }
        if user.second_factor {
            let (text, claims) = tokens.issue_challenge(user.id, micros(user.tokens_valid_from), now)?;
            return Ok(Login::SecondFactor(Challenge {
                text: text.into(),
                expires_at: OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(now),
            }));
        }
        Ok(Login::In(self.session_begin(&user, &from, now).await?))
    }

    /// Begin a session of somebody who has shown everything that signing in takes.
    pub(crate) async fn session_begin(
        &self,
        user: &UserRow,
        from: &Source,
        now: OffsetDateTime,
    ) -> Result<SignedIn, DomainError> {
        if let Err(error) = self.inner.store.user_logged_in(user.id, now).await {
            // Whoever can mend a full disk has to get in first.
            tracing::error!(error = &error as &dyn std::error::Error, user = %user.username, "a login could not be noted");
        }
        self.session_issue(user, from, now).await
    }

    async fn session_issue(
        &self,
        user: &UserRow,
        from: &Source,
        now: OffsetDateTime,
    ) -> Result<SignedIn, DomainError> {
        let lifetime = self.session_lifetime().await;
        let (token, claims) = self
            .tokens()?
            .issue(lifetime, user.id, micros(user.tokens_valid_from), now)?;
        self.session_note_use(&claims, from, now).await;
        Ok(SignedIn {
            token: token.into(),
            expires_at: OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(now),
            lifetime,
            me: self.me_of(user),
        })
    }

    /// Keep the password's hash as it is made today.
    async fn rehash(&self, user: &UserRow, password: &SecretString) -> Result<(), DomainError> {
        if self.inner.hasher.is_outdated(&user.password_hash) {
            let hash = self.inner.hasher.hash(password).await?;
            self.inner
                .store
                .user_rehash(user.id, &user.password_hash, &hash)
                .await?;
        }
        Ok(())
    }

    /// Read a token that a request carries: one of a session that we signed and that has not expired, or one that looks like an API
    /// token. Nothing is looked up, so this says nothing of whether it still holds.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<Bearer> {
        if is_api_token(token) {
            return digest(token).map(|digest| Bearer(Carried::ApiToken(digest)));
        }
        let claims = self.inner.tokens.as_ref()?.check(token, self.inner.clock.now())?;
        Some(Bearer(Carried::Session(claims)))
    }

    /// What the rate limit of a bearer is counted by: the id of its session, or of an API token that was good within the last seconds.
    #[must_use]
    pub fn bearer_id(&self, Bearer(carried): &Bearer) -> Option<Uuid> {
        match carried {
            Carried::Session(claims) => Some(claims.jti.0),
            Carried::ApiToken(digest) => self.api_token_id(digest).map(|ApiTokenId(id)| id),
        }
    }

    /// What who is behind a token may do, for answers that are given whatever fails: where the database does not say so within half a
    /// second, as it was when the session was last looked up. Absent where that is long ago.
    pub(crate) async fn bearer_role(&self, Bearer(carried): &Bearer) -> Option<Role> {
        let (user, role) = match carried {
            Carried::Session(claims) => {
                let user = self.session_user(claims.sub, claims.jti, claims.r#gen);
                let user = match timeout(AT_ONCE, user).await {
                    Ok(Ok(user)) => user?,
                    // Why it does not answer is what the health itself tells.
                    Ok(Err(_)) | Err(_) => {
                        let user = self.inner.sessions.remembered(claims.jti)?;
                        holds(&user, claims.sub, claims.r#gen).then_some(user)?
                    }
                };
                let role = user.role;
                (user, role)
            }
            Carried::ApiToken(digest) => self.api_token_role(digest)?,
        };
        (!user.must_change_password && !self.must_enrol(&user)).then_some(role)
    }

    /// Who is behind a token.
    ///
    /// # Errors
    /// [`DomainError::Unauthenticated`] where the token is signed out, revoked, unknown, or (of a session) older than the last change of
    /// its user.
    pub async fn authenticate(&self, Bearer(carried): &Bearer, from: Source) -> Result<Actor, DomainError> {
        let claims = match carried {
            Carried::Session(claims) => claims,
            Carried::ApiToken(digest) => return self.authenticate_api_token(digest, from).await,
        };
        let user = self
            .session_user(claims.sub, claims.jti, claims.r#gen)
            .await?
            .ok_or(DomainError::Unauthenticated)?;
        self.session_note_use(claims, &from, self.inner.clock.now()).await;
        Ok(Actor {
            id: Some(user.id),
            name: user.username.to_string(),
            role: user.role,
            from,
            must_change_password: user.must_change_password,
            second_factor: user.second_factor,
            must_enrol: self.must_enrol(&user),
            credential: Credential::Session {
                token: claims.jti,
                expires_at: claims.exp,
                generation: claims.r#gen,
            },
        })
    }

    /// The user of a session that still holds.
    async fn session_user(
        &self,
        sub: UserId,
        jti: TokenId,
        generation: i64,
    ) -> Result<Option<UserRow>, DomainError> {
        let user = match self.inner.sessions.get(jti) {
            Some(user) => user,
            None => {
                let epoch = self.inner.sessions.epoch();
                if self.inner.store.token_is_revoked(jti).await? {
                    return Ok(None);
                }
                let Some(user) = self.inner.store.user_get(sub).await? else {
                    return Ok(None);
                };
                self.inner.sessions.put(jti, user.clone(), epoch);
                user
            }
        };
        Ok(holds(&user, sub, generation).then_some(user))
    }

    /// Whether the session or the API token that `actor` came with still holds, as far as the database says.
    pub(crate) async fn session_holds(&self, actor: &Actor) -> bool {
        let Some(sub) = actor.id else {
            return false;
        };
        let holds = match &actor.credential {
            Credential::Operator => Ok(false),
            Credential::ApiToken { id, .. } => self.api_token_holds(*id, actor).await,
            Credential::Session { expires_at, .. }
                if *expires_at <= self.inner.clock.now().unix_timestamp() =>
            {
                Ok(false)
            }
            Credential::Session {
                token, generation, ..
            } => {
                let user = self.session_user(sub, *token, *generation).await;
                user.map(|user| {
                    user.is_some_and(|u| {
                        u.role == actor.role && !u.must_change_password && !self.must_enrol(&u)
                    })
                })
            }
        };
        match holds {
            Ok(holds) => holds,
            Err(error) => {
                tracing::warn!(error = chain(&error), "a stream's session could not be looked up");
                false
            }
        }
    }

    /// End the session that `actor` came with.
    ///
    /// # Errors
    /// [`DomainError::SessionRequired`] for an API token, which is revoked and not signed out.
    pub async fn logout(&self, actor: &Actor) -> Result<(), DomainError> {
        let user = actor.id.ok_or(DomainError::Unauthenticated)?;
        let Credential::Session {
            token, expires_at, ..
        } = actor.credential
        else {
            return Err(DomainError::SessionRequired);
        };
        let expires = OffsetDateTime::from_unix_timestamp(expires_at);
        let expires = expires.unwrap_or_else(|_| self.inner.clock.now());
        let outcome = self
            .inner
            .store
            .token_revoke(token, user, expires)
            .await
            .map_err(DomainError::from);
        self.inner.sessions.changed(Change::Token(token));
        self.tell_user_changed(user);
        self.audited(actor, "auth.logout", &actor.name, outcome).await
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// [`DomainError::Unauthenticated`] for the command line, which has no account.
    pub fn me(&self, permit: &Permit<OwnAccount>) -> Result<Me, DomainError> {
        let actor = permit.actor();
        let (Some(id), Ok(username)) = (actor.id, actor.name.parse()) else {
            return Err(DomainError::Unauthenticated);
        };
        Ok(Me {
            id,
            username,
            role: actor.role,
            must_change_password: actor.must_change_password,
            second_factor: actor.second_factor,
            must_enrol: actor.must_enrol,
        })
    }

    /// Change one's own password. Every session of the user ends, this one too; the answer is a new one.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming `new_password` or `old_password`, [`DomainError::TooMany`] after ten wrong old
    /// passwords.
    pub async fn password_change(
        &self,
        permit: &Permit<ChangePassword>,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<SignedIn, DomainError> {
        let actor = permit.actor();
        let outcome = self.password_change_unaudited(actor, old, new).await;
        self.audited(actor, "auth.password_change", &actor.name, outcome)
            .await
    }

    async fn password_change_unaudited(
        &self,
        actor: &Actor,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<SignedIn, DomainError> {
        let id = actor.id.ok_or(DomainError::Unauthenticated)?;
        let user = self
            .inner
            .store
            .user_get(id)
            .await?
            .ok_or(DomainError::Unauthenticated)?;
        password::check(new, user.username.as_str())
            .map_err(|fault| DomainError::field("new_password", fault.to_string()))?;
        let attempt = self
            .inner
            .attempts
            .begin(actor.from.ip, &actor.name, Instant::now())
            .map_err(|retry_after| DomainError::TooMany {
                what: "attempts",
                retry_after,
            })?;
        if !self.inner.hasher.verify(old, Some(&user.password_hash)).await? {
            return Err(DomainError::field(
                "old_password",
                "this is not the present password",
            ));
        }
        self.inner.attempts.succeeded(&attempt);
        if old.expose_secret() == new.expose_secret() {
            return Err(DomainError::field("new_password", "this is the present password"));
        }
        let hash = self.inner.hasher.hash(new).await?;
        let now = self.inner.clock.now();
        let valid_from = later(now, user.tokens_valid_from);
        self.inner
            .store
            .user_set_password(id, &hash, false, valid_from)
            .await?;
        self.user_changed(id);
        let user = UserRow {
            must_change_password: false,
            tokens_valid_from: valid_from,
            ..user
        };
        self.session_issue(&user, &actor.from, now).await
    }

    /// Make sure that there is somebody who can sign in: called by the server at each start.
    ///
    /// Without any admin, one is made. While nobody has changed or reset the password of the first admin, it follows the
    /// environment; afterwards it is never touched again.
    ///
    /// # Errors
    /// [`DomainError::Invalid`] where the configured password is not allowed.
    pub async fn ensure_admin(&self) -> Result<FirstAdmin, DomainError> {
        let options = &self.inner.options;
        let username = match &options.admin_user {
            Some(name) => name.clone(),
            None => "admin"
                .parse()
                .map_err(|e| DomainError::internal("naming the first admin", e))?,
        };
        let store = &self.inner.store;
        let mut user = store.user_by_name(&username).await?;
        if user.is_none() && store.user_admin_count().await? == 0 {
            if let Some(made) = self.first_admin_make(&username).await? {
                return Ok(made);
            }
            // Another server that started at the same time was first.
            user = store.user_by_name(&username).await?;
        }
        if let Some(user) = &user {
            self.first_password_follow(user).await?;
        }
        let administers = |user: &UserRow| user.role == Role::Admin && !user.disabled;
        let named = user.as_ref().is_some_and(administers);
        // Of several, whoever signed in last is there.
        let other = match named {
            true => None,
            false => {
                let users = store.user_list().await?.into_iter();
                users.filter(administers).max_by_key(|user| user.last_login_at)
            }
        };
        let (username, passed_over) = match other {
            Some(other) => (other.username, Some(username)),
            None => (username, None),
        };
        Ok(FirstAdmin {
            username,
            passed_over,
            generated_password: None,
        })
    }

    /// Make the first admin; none where the name is taken meanwhile.
    async fn first_admin_make(&self, username: &UserName) -> Result<Option<FirstAdmin>, DomainError> {
        let configured = self.inner.options.admin_password.as_ref();
        if let Some(password) = configured {
            first_password_check(password, username)?;
        }
        let password = configured.cloned().unwrap_or_else(password::generate);
        let new = NewUser {
            id: UserId(Uuid::new_v4()),
            username: username.clone(),
            role: Role::Admin,
            password_hash: self.inner.hasher.hash(&password).await?,
            must_change_password: true,
            created_at: self.inner.clock.now(),
        };
        match self.inner.store.user_create_first(&new).await {
            Err(DbError::Taken { .. }) => return Ok(None),
            made => made?,
        }
        self.audit_as("system", None, "auth.admin_created", username.as_str(), "ok")
            .await;
        Ok(Some(FirstAdmin {
            username: username.clone(),
            passed_over: None,
            generated_password: configured.is_none().then_some(password),
        }))
    }

    /// Give `user` the password of the environment where it still has the first one.
    async fn first_password_follow(&self, user: &UserRow) -> Result<(), DomainError> {
        let store = &self.inner.store;
        let Some(password) = &self.inner.options.admin_password else {
            return Ok(());
        };
        if !store.user_has_first_password(user.id).await? {
            return Ok(());
        }
        first_password_check(password, &user.username)?;
        if self
            .inner
            .hasher
            .verify(password, Some(&user.password_hash))
            .await?
        {
            return Ok(());
        }
        let hash = self.inner.hasher.hash(password).await?;
        let valid_from = later(self.inner.clock.now(), user.tokens_valid_from);
        if store.user_set_first_password(user.id, &hash, valid_from).await? {
            self.user_changed(user.id);
            self.audit_as(
                "system",
                None,
                "auth.admin_synchronised",
                user.username.as_str(),
                "ok",
            )
            .await;
        }
        Ok(())
    }

    /// A user changed: end its sessions and streams, here and in other processes.
    pub(crate) fn user_changed(&self, id: UserId) {
        self.inner.sessions.changed(Change::User(id));
        self.tell_user_changed(id);
    }

    /// Tell other processes that something of a user changed.
    pub(crate) fn tell_user_changed(&self, id: UserId) {
        self.inner
            .bus
            .publish(Topic::user_changed(), serde_json::json!({ "user": id }));
    }

    /// Hear of users that another process changed.
    pub(crate) async fn user_watch(&self) {
        let mut changes = self.inner.bus.subscribe(Pattern::exactly(&Topic::user_changed()));
        while changes.recv().await.is_some() {
            self.inner.sessions.changed(Change::Anybody);
        }
        // Without a bus, a session is looked up again after ten seconds.
        std::future::pending::<()>().await;
    }

    /// Forget ended sessions that have expired by themselves since.
    pub(crate) async fn token_sweeper(&self) {
        let mut tick = tokio::time::interval(SWEEP);
        let mut reckoning = Reckoning::default();
        loop {
            tick.tick().await;
            if let Err(error) = self.token_sweep(&mut reckoning, Instant::now()).await {
                tracing::warn!(error = chain(&error), "ended sessions could not be cleared away");
            }
        }
    }

    /// By a time that no leap of the clock makes: it may be put back, and what was ended would be good again.
    async fn token_sweep(&self, reckoning: &mut Reckoning, at: Instant) -> Result<u64, DbError> {
        let store = &self.inner.store;
        let now = reckoning.look(store, self.inner.clock.now(), at).await?;
        store.token_prune(now).await
    }

    pub(crate) fn tokens(&self) -> Result<&Tokens, DomainError> {
        self.inner
            .tokens
            .as_ref()
            .ok_or_else(|| DomainError::internal("signing in", "this process has no token secret"))
    }
}

impl Domain {
    /// Whether a user may do nothing but enrol a second factor.
    pub(crate) fn must_enrol(&self, user: &UserRow) -> bool {
        self.inner.options.require_second_factor && !user.second_factor
    }

    fn me_of(&self, user: &UserRow) -> Me {
        Me {
            id: user.id,
            username: user.username.clone(),
            role: user.role,
            must_change_password: user.must_change_password,
            second_factor: user.second_factor,
            must_enrol: self.must_enrol(user),
        }
    }
}

fn first_password_check(password: &SecretString, username: &UserName) -> Result<(), DomainError> {
    password::check(password, username.as_str())
        .map_err(|fault| DomainError::field("DECNET_ADMIN_PASSWORD", fault.to_string()))
}

/// Whether a session of `sub`, whose token is of that `generation`, is one of `user` still.
fn holds(user: &UserRow, sub: UserId, generation: i64) -> bool {
    user.id == sub && !user.disabled && micros(user.tokens_valid_from) == generation
}

/// A generation of tokens that differs from the one before, whatever the clock does.
pub(crate) fn later(now: OffsetDateTime, before: OffsetDateTime) -> OffsetDateTime {
    if micros(now) > micros(before) {
        now
    } else {
        before + time::Duration::microseconds(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    use decnet_bus::Bus;
    use decnet_db::Store;
    use decnet_model::clock::{Clock as _, ManualClock};

    use super::*;
    use crate::Options;

    const PASSWORD: &str = "blue-otter-41-canoe";
    /// After so long the database is asked again who is behind a session.
    const GOOD_NO_MORE: Duration = Duration::from_secs(20);

    /// An installation in which alice and bob sign in with [`PASSWORD`], whose hashes were made with less of everything; bob is
    /// disabled.
    async fn installation(folder: &tempfile::TempDir) -> Domain {
        clocked(folder).await.0
    }

    /// The same with its clock.
    async fn clocked(folder: &tempfile::TempDir) -> (Domain, Arc<ManualClock>) {
        let url = format!("sqlite://{}", folder.path().join("decnet.db").display());
        let store = Store::connect(&decnet_db::Options::new(url)).await.unwrap();
        store.migrate().await.unwrap();
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let old = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(1024, 1, 1, None).unwrap(),
        );
        for (n, name) in [(1, "alice"), (2, "bob")] {
            let user = NewUser {
                id: UserId(Uuid::from_u128(n)),
                username: name.parse().unwrap(),
                role: Role::Admin,
                password_hash: old.hash_password(PASSWORD.as_bytes()).unwrap().to_string(),
                must_change_password: false,
                created_at: clock.now(),
            };
            store.user_create(&user).await.unwrap();
        }
        store
            .user_set_disabled(UserId(Uuid::from_u128(2)), true, clock.now())
            .await
            .unwrap();
        let options = Options {
            jwt_secret: Some("0123456789abcdefghijklmnopqrstuvwxyz".to_owned().into()),
            ..Options::default()
        };
        let domain = Domain::new(store, Bus::none(), clock.clone(), options).unwrap();
        (domain, clock)
    }

    async fn hash_of(domain: &Domain, name: &str) -> String {
        let user = domain.inner.store.user_by_name(&name.parse().unwrap()).await;
        user.unwrap().unwrap().password_hash
    }

    async fn login(domain: &Domain, name: &str, password: &str) -> Result<Login, DomainError> {
        domain
            .login(name, &password.to_owned().into(), Source::default())
            .await
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_replaced_by_the_login_that_shows_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let domain = installation(&folder).await;
        let old = hash_of(&domain, "alice").await;
        assert!(old.contains("m=1024,t=1,p=1"), "{old}");
        assert!(login(&domain, "alice", "wrong-password-1").await.is_err());
        assert_eq!(hash_of(&domain, "alice").await, old, "nobody showed the password");

        assert!(matches!(
            login(&domain, "alice", PASSWORD).await,
            Ok(Login::In(_))
        ));
        let new = hash_of(&domain, "alice").await;
        assert!(
            !domain.inner.hasher.is_outdated(&new) && new != old,
            "{old} is now {new}"
        );

        assert!(matches!(
            login(&domain, "alice", PASSWORD).await,
            Ok(Login::In(_))
        ));
        assert!(login(&domain, "alice", "wrong-password-1").await.is_err());
        assert_eq!(
            hash_of(&domain, "alice").await,
            new,
            "it is as it is made today, and stays"
        );
    }

    #[tokio::test]
    async fn whatever_is_wrong_with_a_login_one_password_is_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let domain = installation(&folder).await;
        let long = "x".repeat(MAX_PASSWORD + 1);
        for (name, password) in [
            ("alice", "wrong-password-1"),
            ("alice", ""),
            ("alice", &long),
            ("nobody", PASSWORD),
            ("nobody", &long),
            ("no such name!", PASSWORD),
            ("bob", PASSWORD),
            ("bob", "wrong-password-1"),
        ] {
            let before = domain.inner.hasher.computed();
            let refused = login(&domain, name, password).await;
            assert!(
                matches!(refused, Err(DomainError::BadCredentials)),
                "{name}: {refused:?}"
            );
            assert_eq!(domain.inner.hasher.computed() - before, 1, "{name}");
        }
    }

    #[tokio::test]
    async fn without_a_database_the_role_of_a_session_is_the_one_it_had_until_a_change_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let domain = installation(&folder).await;
        let Ok(Login::In(signed_in)) = login(&domain, "alice", PASSWORD).await else {
            panic!("no login");
        };
        let bearer = domain.bearer(signed_in.token.expose_secret()).unwrap();
        domain.authenticate(&bearer, Source::default()).await.unwrap();
        domain.inner.store.close().await;
        domain.inner.sessions.age(GOOD_NO_MORE);
        let asked = domain.authenticate(&bearer, Source::default()).await;
        assert!(asked.is_err(), "it is good for nothing else: {asked:?}");
        assert_eq!(domain.bearer_role(&bearer).await, Some(Role::Admin));

        let alice = UserId(Uuid::from_u128(1));
        domain.inner.sessions.changed(Change::Access(alice));
        assert_eq!(domain.bearer_role(&bearer).await, None);
    }

    #[tokio::test]
    async fn a_session_that_was_ended_stays_so_when_the_clock_leaps_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (domain, clock) = clocked(&folder).await;
        let store = &domain.inner.store;
        let (token, alice) = (TokenId(Uuid::from_u128(7)), UserId(Uuid::from_u128(1)));
        let expires = clock.now() + time::Duration::hours(12);
        store.token_revoke(token, alice, expires).await.unwrap();
        let (mut reckoning, begin) = (Reckoning::default(), Instant::now());
        let hour = |n: u32| begin + SWEEP * n;
        assert_eq!(domain.token_sweep(&mut reckoning, begin).await.unwrap(), 0);

        let leap = time::Duration::days(400);
        clock.advance(leap);
        assert_eq!(domain.token_sweep(&mut reckoning, hour(1)).await.unwrap(), 0);
        // Another process, or this one started anew, finds the clock so.
        let mut anew = Reckoning::default();
        assert_eq!(domain.token_sweep(&mut anew, hour(2)).await.unwrap(), 0);
        clock.advance(-leap);
        assert!(store.token_is_revoked(token).await.unwrap());

        // Time that passes ends what it is kept for.
        clock.advance(time::Duration::days(3));
        assert_eq!(domain.token_sweep(&mut anew, hour(2 + 72)).await.unwrap(), 1);
    }
}
