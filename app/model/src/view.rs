//! What a reader gets: the shapes of the API's answers and of the dashboard's server functions.
//!
//! A view has only fields that its reader may see, so that a secret cannot leak through it. Times are UTC, RFC 3339.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    fleet::KnobKind,
    id::{ApiTokenId, AttackerId, LogId, TaskId, TokenId, UserId},
    ignore::IgnoreRule,
    name::{DeckyName, ServiceSlug, TokenName, UserName, WorkerName},
    state::{AlertKind, BountyKind, DeckyState, KeptBy, Role, WorkerState},
};

/// The most rows that one page may have.
pub const MAX_LIMIT: u32 = 500;
/// The rows of a page where nothing is said.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most characters of a search.
pub const MAX_SEARCH: usize = 512;
/// The most deckies of an attacker's way, and the most hops between them.
pub const MAX_STATIONS: usize = 40;
/// See [`MAX_STATIONS`].
pub const MAX_HOPS: usize = 400;

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
    )*};
}

/// A page of a list. `next` is the cursor of the following page; absent on the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Cursor of the following page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Rows in all, where a counter knows it; absent for a filtered list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// The same page with each row changed.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(f).collect(),
            next: self.next,
            total: self.total,
        }
    }
}

views! {
    /// Who is signed in.
    Me {
        /// The account.
        id: UserId,
        /// The name that was signed in with.
        username: UserName,
        /// What the account may do.
        role: Role,
        /// Only changing the password is allowed until it is done.
        must_change_password: bool,
        /// Whether signing in takes a second factor.
        second_factor: bool,
        /// Only enrolling a second factor is allowed until it is done.
        must_enrol: bool,
    }

    /// How one's own second factor stands.
    SecondFactorView {
        /// Signing in takes a code.
        enabled: bool,
        /// The configuration asks for it of everybody.
        required: bool,
        /// Since when it is enabled.
        #[serde(with = "time::serde::rfc3339::option")]
        since: Option<OffsetDateTime>,
        /// Recovery codes that are left.
        recovery_codes: u64,
    }

    /// An account, as an administrator sees it.
    UserView {
        /// The account.
        id: UserId,
        /// The name to sign in with.
        username: UserName,
        /// What it may do.
        role: Role,
        /// Whether it may not sign in.
        disabled: bool,
        /// Whether nothing else is open to it until its password is changed.
        must_change_password: bool,
        /// Whether signing in takes a second factor.
        second_factor: bool,
        /// When it was made.
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// When somebody last signed in with it; absent where nobody has.
        #[serde(with = "time::serde::rfc3339::option")]
        last_login_at: Option<OffsetDateTime>,
    }

    /// An open session of one's own.
    SessionView {
        /// The session.
        id: TokenId,
        /// When somebody signed in.
        #[serde(with = "time::serde::rfc3339")]
        started_at: OffsetDateTime,
        /// To the minute.
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        /// When it ends by itself.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
        /// Where it was last used from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "ip"))]
        address: Option<IpAddr>,
        /// What the program that used it last calls itself: anybody's text, without control characters.
        user_agent: String,
        /// Whether it is the session that asks.
        current: bool,
    }

    /// An API token, without its text: that is shown once, when it is made.
    ApiTokenView {
        /// The token.
        id: ApiTokenId,
        /// Its owner's name for it.
        name: TokenName,
        /// Whose it is.
        owner: UserName,
        /// What it may do at most: never more than its owner at that time.
        role: Role,
        /// When it was made.
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// When it is good no more; absent where that never comes.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
        /// To the minute.
        #[serde(with = "time::serde::rfc3339::option")]
        last_used_at: Option<OffsetDateTime>,
    }

    /// What operators change while DECNET runs.
    ConfigView {
        /// Most deckies.
        deployment_limit: u32,
        /// Minutes between two mutations of a decky that has no interval of its own; 0 is never.
        mutation_interval_minutes: u32,
        /// Days after which log rows are deleted; absent where they are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retention_days: Option<u32>,
        /// How long a session lasts.
        session_lifetime_minutes: u32,
        /// Which of these were set here; the configuration of the host says the others.
        changed: Vec<String>,
        /// Lines that are not looked at, in the order in which the rules were made.
        ignore_rules: Vec<IgnoreRule>,
        /// Lines that these and earlier rules kept out.
        ignored_lines: u64,
    }

    /// The dashboard's counters.
    Stats {
        /// Log rows ever stored.
        total_logs: u64,
        /// Source addresses ever seen.
        unique_attackers: u64,
        /// Attempts to sign in.
        auth_attempts: u64,
        /// Different credentials captured.
        credentials: u64,
        /// Bounties in all.
        bounties: u64,
        /// Lines that could not be read or stored, kept in quarantine.
        quarantined: u64,
        /// Lines that an ignore rule kept out.
        ignored: u64,
        /// Deckies that are wanted.
        deployed_deckies: u64,
        /// Deckies that are running.
        active_deckies: u64,
        /// Log rows of the last 60 minutes.
        last_hour: u64,
    }

    /// One stored line of evidence.
    LogView {
        /// Rises in the order in which rows were stored.
        id: LogId,
        /// When it happened, as the decoy says.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// When the ingester stored it.
        #[serde(with = "time::serde::rfc3339")]
        received_at: OffsetDateTime,
        /// The decky that reported it.
        decky: String,
        /// The service that reported it, by its slug.
        service: String,
        /// An event kind, or what a foreign program wrote as MSGID.
        event_type: String,
        /// The source address; absent where the line has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "ip"))]
        attacker_ip: Option<IpAddr>,
        /// Who that is; absent where the line has no address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attacker_id: Option<AttackerId>,
        /// What seeds the attacker's glyph, as in its own view.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attacker_glyph: Option<String>,
        /// The structured data of the line.
        fields: BTreeMap<String, String>,
        /// Free text of the line.
        message: String,
        /// The line as it stands in the spool.
        raw: String,
    }

    /// A line of the spool that did not become evidence: no parser or no database takes it. It is kept as it came.
    QuarantineView {
        /// Rises in the order in which lines were stored.
        id: i64,
        /// When the ingester met it.
        #[serde(with = "time::serde::rfc3339")]
        received_at: OffsetDateTime,
        /// Segment of the spool that it stands in.
        segment: u64,
        /// Byte of the segment at which it ends.
        offset: u64,
        /// What is wrong with it.
        why: String,
        /// The line; bytes that are no text stand as `\xHH`, so that none is lost.
        line: String,
    }

    /// Log rows in a span of time.
    HistogramBucket {
        /// When the bucket begins.
        #[serde(with = "time::serde::rfc3339")]
        start: OffsetDateTime,
        /// Rows in it.
        count: u64,
    }

    /// How often something was seen: a top list's row.
    Count {
        /// What was counted.
        name: String,
        /// How often it was there.
        count: u64,
    }

    /// What stands in the overview beside the counters.
    Tops {
        /// Those with the most events.
        attackers: Vec<AttackerView>,
        /// Those with the most events.
        deckies: Vec<Count>,
        /// Those with the most events.
        services: Vec<Count>,
        /// Those that were tried most, as `account:secret`.
        credentials: Vec<Count>,
        /// Those that were typed most.
        commands: Vec<Count>,
    }

    /// A source address and what it did in sum.
    AttackerView {
        /// Follows from the address.
        id: AttackerId,
        /// The source address.
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = "ip"))]
        ip: IpAddr,
        /// When the first of it happened.
        #[serde(with = "time::serde::rfc3339")]
        first_seen: OffsetDateTime,
        /// When the latest of it happened.
        #[serde(with = "time::serde::rfc3339")]
        last_seen: OffsetDateTime,
        /// Log rows.
        event_count: u64,
        /// Attempts to sign in.
        auth_count: u64,
        /// Commands that were typed.
        command_count: u64,
        /// Credentials that were captured.
        credential_count: u64,
        /// Finds of any kind.
        bounty_count: u64,
        /// Stays, divided by pauses of 15 minutes: what the dashboard calls visits. A stay may hold many sessions at decoys.
        session_count: u64,
        /// The deckies that were touched.
        deckies: Vec<String>,
        /// The services that were touched, by their slugs.
        services: Vec<String>,
        /// What seeds its glyph: what is known of its client's software, else the address.
        glyph: String,
    }

    /// A command line that an attacker sent.
    CommandView {
        /// The log row.
        log_id: LogId,
        /// When it was typed.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Where it was typed.
        decky: String,
        /// By which service, by its slug.
        service: String,
        /// What was typed, in printable form.
        command: String,
    }

    /// What an attacker did of one kind at one place within a short time, as one.
    ActivityView {
        /// The decky that it was at.
        decky: String,
        /// The service that it was at, by its slug.
        service: String,
        /// The kind of event, as in log rows.
        event_type: String,
        /// When the first of it was.
        #[serde(with = "time::serde::rfc3339")]
        first_at: OffsetDateTime,
        /// When the last of it was.
        #[serde(with = "time::serde::rfc3339")]
        last_at: OffsetDateTime,
        /// The first log row of it.
        log_id: LogId,
        /// Log rows.
        count: u64,
        /// Whether a decoy let them in by it.
        accepted: bool,
    }

    /// A session of an attacker at a decky, which is one connection; or several that began about the same time and ended about the same
    /// time, as one.
    VisitView {
        /// The decky that it was at.
        decky: String,
        /// The service that it was at, by its slug.
        service: String,
        /// When the first row of it was.
        #[serde(with = "time::serde::rfc3339")]
        first_at: OffsetDateTime,
        /// When the last row of it was: the end, where that is known.
        #[serde(with = "time::serde::rfc3339")]
        last_at: OffsetDateTime,
        /// The first log row of it.
        log_id: LogId,
        /// The id that its rows carry; of several, one of theirs.
        session: String,
        /// Sessions.
        sessions: u64,
        /// Commands and queries.
        commands: u64,
        /// Whether the end of each is known.
        ended: bool,
    }

    /// The way of an attacker through deckies: where they began sessions, in which order, and how they went from one to another. Somebody who
    /// was at two deckies at least has gone a way.
    TraversalView {
        /// The deckies in the order in which they were first touched: the first 40.
        stations: Vec<StationView>,
        /// Deckies that were first touched after these.
        more_stations: u64,
        /// How they went between these, the hop that was made first first: the 400 that weigh most. What weighs is that they ran commands
        /// by it, then that they tried to sign in, then how often they made it.
        hops: Vec<HopView>,
        /// Hops between these deckies that are not told, because they weigh less.
        more_hops: u64,
        /// Whether all log rows of the time were looked at, and not only the newest 20,000.
        whole: bool,
    }

    /// A decky of an attacker's way.
    StationView {
        /// The decky.
        decky: String,
        /// Services that were touched there, by name.
        services: Vec<String>,
        /// When the first row there was.
        #[serde(with = "time::serde::rfc3339")]
        first_at: OffsetDateTime,
        /// When the last session at it began.
        #[serde(with = "time::serde::rfc3339")]
        last_session_at: OffsetDateTime,
        /// When the last row there was.
        #[serde(with = "time::serde::rfc3339")]
        last_at: OffsetDateTime,
        /// Sessions, which are connections to a decoy; rows that belong to none are one of each service.
        sessions: u64,
        /// Log rows.
        events: u64,
        /// The first of them.
        log_id: LogId,
    }

    /// A step of an attacker from one decky to another: the session that they began next was there.
    HopView {
        /// The decky that was left.
        from: String,
        /// The decky that was gone to.
        to: String,
        /// How often.
        count: u64,
        /// Commands and queries in the sessions that they began by it.
        commands: u64,
        /// Attempts to sign in in these sessions.
        auth_attempts: u64,
        /// When they first arrived by it.
        #[serde(with = "time::serde::rfc3339")]
        first_at: OffsetDateTime,
        /// When they last arrived by it.
        #[serde(with = "time::serde::rfc3339")]
        last_at: OffsetDateTime,
        /// The shortest time in milliseconds from the last row of the session before to the beginning of this one; 0 where that
        /// session was still open.
        quickest_ms: u64,
        /// The longest such time in milliseconds.
        slowest_ms: u64,
        /// The log row with which they first arrived.
        log_id: LogId,
    }

    /// Loot: see [`BountyKind`].
    BountyView {
        /// Its id.
        id: i64,
        /// What kind it is.
        kind: BountyKind,
        /// When the first of it happened.
        #[serde(with = "time::serde::rfc3339")]
        first_seen: OffsetDateTime,
        /// When the latest of it happened.
        #[serde(with = "time::serde::rfc3339")]
        last_seen: OffsetDateTime,
        /// How often it was seen.
        count: u64,
        /// How often of these a decoy let them in with it; 0 for what is no credential.
        accepted: u64,
        /// The source address.
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = "ip"))]
        attacker_ip: IpAddr,
        /// Who that is.
        attacker_id: AttackerId,
        /// What seeds the attacker's glyph, as in its own view.
        attacker_glyph: String,
        /// The decky where it was found first.
        decky: String,
        /// The service where it was found first, by its slug.
        service: String,
        /// The account, for a credential.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        /// `plaintext` or a kind of hash, for a credential.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret_kind: Option<String>,
        /// The secret, the hash, the file name, the fingerprint.
        value: String,
        /// The line that it was first seen in.
        log_id: LogId,
    }

    /// A credential that turned up at several deckies or with several attackers.
    ReuseView {
        /// The credential.
        id: i64,
        /// The account, where that is the same, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        /// `plaintext`, `public_key`, or a kind of hash.
        secret_kind: String,
        /// The secret or the hash.
        value: String,
        /// Deckies that it was tried at.
        deckies: u64,
        /// Source addresses that tried it.
        attackers: u64,
        /// When it first turned up.
        #[serde(with = "time::serde::rfc3339")]
        first_seen: OffsetDateTime,
        /// When it last turned up somewhere new, or with somebody new.
        #[serde(with = "time::serde::rfc3339")]
        last_spread: OffsetDateTime,
    }

    /// A credential that turned up in several places, and each of them.
    ReuseDetail {
        /// The credential.
        reuse: ReuseView,
        /// Where it was captured: the 500 that were seen last, those first.
        finds: Vec<BountyView>,
    }

    /// What whoever is on watch should look at: one alert of a kind, however much there is of it.
    AlertView {
        /// What kind it is.
        kind: AlertKind,
        /// How many parts, deckies or attackers.
        count: u64,
        /// What they are called, at most five.
        names: Vec<String>,
        /// What seeds the glyph of each that is named, where they are attackers; else none.
        glyphs: Vec<String>,
        /// What the first of them has.
        detail: String,
        /// When it last happened, where that is known.
        #[serde(with = "time::serde::rfc3339::option")]
        since: Option<OffsetDateTime>,
    }

    /// A service of a decky.
    DeckyService {
        /// Its name in descriptions and in the API.
        slug: ServiceSlug,
        /// `address:port` that it listens on, where it runs.
        listen: Vec<String>,
        /// The operator's own image that answers there; absent where that is a built-in service.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>
    }

    /// A decky: what is wanted of it and how it does.
    DeckyView {
        /// Its name in the fleet.
        name: DeckyName,
        /// How it is.
        state: DeckyState,
        /// Whether it is wanted at all: a decky that is being taken down is not.
        desired: bool,
        /// Whether it is to stand still until it is started again; `state` says whether it does.
        stopped: bool,
        /// Whether it, or an image of it, ended so often that it is left alone until somebody has it tried again.
        #[serde(default)]
        quarantined: bool,
        /// What kind of machine it passes for, by its slug.
        archetype: String,
        /// The distribution that it passes for, by its slug.
        distro: String,
        /// The family of operating systems that it passes for.
        os: String,
        /// The host name that it gives.
        hostname: String,
        /// The address that it answers at.
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = "ip"))]
        ip: IpAddr,
        /// Its hardware address.
        mac: String,
        /// What it serves.
        services: Vec<DeckyService>,
        /// What runs it, by its name.
        engine: String,
        /// Why it does not run as it should; absent where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_error: Option<String>,
        /// Since when it is in that state.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Minutes between two mutations, 0 for never; absent where it has no interval of its own, and mutates as the setting for the
        /// whole fleet says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mutate_interval_minutes: Option<u32>,
        /// When its services last changed by themselves; absent where they never did.
        #[serde(with = "time::serde::rfc3339::option")]
        last_mutation: Option<OffsetDateTime>,
        /// Log rows of this decky ever stored.
        event_count: u64,
    }

    /// A kind of decky that can be deployed.
    ArchetypeView {
        /// Its name in descriptions and in the API.
        slug: String,
        /// Its name for people.
        label: String,
        /// What it is, in a sentence.
        summary: String,
        /// The family of its operating system.
        os: String,
        /// The distributions that it can be of, by their slugs.
        distros: Vec<String>,
        /// Those that fit it.
        services: Vec<ServiceSlug>,
        /// Those of them that a new decky has where none are named.
        usual: Vec<ServiceSlug>,
    }

    /// A service that a decky can have.
    ServiceView {
        /// Its name in descriptions and in the API.
        slug: ServiceSlug,
        /// Its name for people.
        label: String,
        /// What services it stands beside.
        category: String,
        /// Where it listens, such as `22/tcp`.
        ports: Vec<String>,
        /// What can be set on it.
        knobs: Vec<KnobView>,
    }

    /// What can be set on a service.
    KnobView {
        /// The key in descriptions.
        name: String,
        /// What its value is.
        kind: KnobKind,
        /// The words that it takes; of a text, those that are worth a try.
        words: Vec<String>,
        /// What it is where it is not set, as text; absent where it is a text and there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preset: Option<String>,
        /// What it does.
        summary: String,
    }

    /// Where new deckies will stand.
    FleetNetworkView {
        /// What runs them.
        engine: String,
        /// Whether the engine keeps a decky from what its `egress` does not allow.
        contains: bool,
        /// The network, such as `192.168.1.0/24`; absent where it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<String>,
        /// Addresses of the network that deckies have or that are on their way out.
        taken: u64,
        /// Addresses of it that other machines have.
        reserved: u64,
        /// Addresses of it that a new decky can have.
        free: u64,
        /// Why nothing can be deployed at the moment, with the way out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    }

    /// An accepted piece of long work: its progress comes over the stream and from the tasks resource.
    TaskAccepted {
        /// What its progress is asked for by.
        task: TaskId,
        /// Deckies that it is about.
        deckies: Vec<DeckyName>,
    }

    /// How a piece of long work stands.
    TaskView {
        /// Its id.
        id: TaskId,
        /// `deploy`, `teardown`, `redeploy`, `mutate` or `reap`.
        operation: String,
        /// `running`, `succeeded` or `failed`.
        status: String,
        /// Steps that are done.
        done: u32,
        /// Steps in all, as far as known.
        total: u32,
        /// The last step, in words.
        step: String,
        /// Why it failed; absent where it did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// When it began.
        #[serde(with = "time::serde::rfc3339")]
        started_at: OffsetDateTime,
        /// When it ended; absent while it goes on.
        #[serde(with = "time::serde::rfc3339::option")]
        ended_at: Option<OffsetDateTime>,
    }

    /// A piece of long work and what it was about.
    TaskReport {
        /// How it ended.
        #[serde(flatten)]
        task: TaskView,
        /// Deckies that it was ordered for.
        deckies: Vec<DeckyName>,
        /// Orphans that it took away: deckies that ran and that nobody wanted.
        reaped: Vec<DeckyName>,
    }

    /// A worker as its heartbeats show it.
    WorkerView {
        /// Its name.
        name: WorkerName,
        /// How it is.
        state: WorkerState,
        /// When it last said that it lives; absent where it never has.
        #[serde(with = "time::serde::rfc3339::option")]
        last_heard: Option<OffsetDateTime>,
        /// Its process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// The version of its program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// For how many seconds it has run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uptime_s: Option<u64>,
        /// What it is doing, by task.
        tasks: BTreeMap<String, String>,
        /// Whether it is installed on the host that was asked, and who starts it again there. No heartbeat says that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept_by: Option<KeptBy>,
    }

    /// One entry of the audit log.
    AuditView {
        /// Rises in the order in which it was noted.
        id: i64,
        /// When it was done.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Who did it.
        actor: String,
        /// What was done.
        action: String,
        /// On what.
        target: String,
        /// From which address; absent for the command line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "ip"))]
        from: Option<IpAddr>,
        /// `ok`, or why not.
        result: String,
    }

    /// What came of having every worker started that is down.
    StartAll {
        /// Those that run now and did not.
        started: Vec<WorkerName>,
        /// Those that ran.
        already_running: Vec<WorkerName>,
        /// Those that do not come up.
        failed: Vec<StartFailure>,
    }

    /// A worker that does not come up, and why.
    StartFailure {
        /// The worker.
        name: WorkerName,
        /// Why it does not come up.
        reason: String,
    }

    /// One part of the host and how it does.
    HealthComponent {
        /// The part of the host.
        name: String,
        /// `ok`, `degraded` or `failing`.
        status: String,
        /// What is so, in words.
        detail: String,
        /// Whether the whole is unhealthy without it.
        critical: bool,
    }

    /// How the host does.
    Health {
        /// `healthy`, `degraded` or `unhealthy`.
        status: String,
        /// Its parts; none for whoever is not signed in.
        components: Vec<HealthComponent>,
    }

    /// An error, as `application/problem+json` (RFC 9457).
    Problem {
        /// A stable word for the kind of error, as a relative URI.
        #[serde(rename = "type")]
        kind: String,
        /// What is wrong, in general.
        title: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong in this case.
        detail: String,
        /// What the log has the full story under.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_id: Option<String>,
        /// Faults by field, for a 422.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        errors: Vec<FieldError>,
    }

    /// What is wrong with one field of a request.
    FieldError {
        /// The field, by its path in the request.
        field: String,
        /// What is wrong with it, and what is allowed.
        message: String,
    }

    /// The first event of a stream.
    StreamSnapshot {
        /// The counters.
        stats: Stats,
        /// The newest log rows, newest first; none where a stream goes on after rows that it has told.
        logs: Vec<LogView>,
        /// Whom they are about.
        attackers: Vec<AttackerView>,
        /// The fleet.
        deckies: Vec<DeckyView>,
        /// The workers of this host.
        workers: Vec<WorkerView>,
        /// The latest pieces of long work.
        tasks: Vec<TaskView>,
        /// When all evidence was deleted last, as an id among those of log rows: every row that is there has a larger one. 0 where it
        /// never was.
        forgotten: LogId,
    }
}

/// One event of the live stream. The envelope is `{v, type, ts, payload}`; [`StreamEvent::from_json`] reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamEvent {
    /// Version of the envelope: 1.
    pub v: u8,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339")]
    pub ts: OffsetDateTime,
    /// What it says.
    #[serde(flatten)]
    pub body: StreamBody,
}

/// What a stream event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum StreamBody {
    /// Everything that a page needs to begin with.
    Snapshot(Box<StreamSnapshot>),
    /// New log rows, oldest first.
    Logs(Vec<LogView>),
    /// New counters.
    Stats(Stats),
    /// Attackers that are new or changed. Who did something is told at once, and again when the profiler has read it.
    Attackers(Vec<AttackerView>),
    /// The profiler has read on: what it makes of log rows and of finds is there now.
    Profiled {
        /// The newest log row whose visit and fingerprints are known.
        up_to: LogId,
        /// The newest find of which it is known where else it was used.
        compared: i64,
    },
    /// A decky that is new, changed or gone.
    Decky(Box<DeckyView>),
    /// A decky that is no more.
    DeckyRemoved(DeckyName),
    /// Progress of a task.
    Task(TaskView),
    /// A worker's state.
    Worker(WorkerView),
    /// How the host does, once that is otherwise than it was.
    Health(Health),
    /// All evidence was deleted: nothing that was told before holds any more.
    Forgotten {
        /// An id of its own among those of log rows: every row up to it is gone.
        up_to: LogId,
    },
}

impl HopView {
    /// What tells which of two hops is the heavier one: whether they ran commands by it, whether they tried to sign in, how often it was
    /// made.
    #[must_use]
    pub fn weight(&self) -> (bool, bool, u64) {
        (self.commands > 0, self.auth_attempts > 0, self.count)
    }
}

impl WorkerView {
    /// One that nobody has heard of.
    #[must_use]
    pub fn unheard(name: WorkerName) -> Self {
        Self {
            name,
            state: WorkerState::Unknown,
            last_heard: None,
            pid: None,
            version: None,
            uptime_s: None,
            tasks: BTreeMap::new(),
            kept_by: None,
        }
    }
}

impl StreamEvent {
    /// Read an event.
    ///
    /// By hand and in two goes, because a derived reader keeps what it has read until it knows the type, and brings a second
    /// way to read each view for that: a tenth of what a browser loads.
    ///
    /// # Errors
    /// Where `text` is no event, or of a type that is not known here.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            v: u8,
            #[serde(with = "time::serde::rfc3339")]
            ts: OffsetDateTime,
            r#type: StreamKind,
        }

        #[derive(Deserialize)]
        struct Of<T> {
            payload: T,
        }

        #[derive(Deserialize)]
        struct UpTo {
            up_to: LogId,
            #[serde(default)]
            compared: i64,
        }

        fn payload<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
            serde_json::from_str::<Of<T>>(text).map(|of| of.payload)
        }

        let Envelope { v, ts, r#type } = serde_json::from_str(text)?;
        let body = match r#type {
            StreamKind::Snapshot => StreamBody::Snapshot(payload(text)?),
            StreamKind::Logs => StreamBody::Logs(payload(text)?),
            StreamKind::Stats => StreamBody::Stats(payload(text)?),
            StreamKind::Attackers => StreamBody::Attackers(payload(text)?),
            StreamKind::Decky => StreamBody::Decky(payload(text)?),
            StreamKind::DeckyRemoved => StreamBody::DeckyRemoved(payload(text)?),
            StreamKind::Task => StreamBody::Task(payload(text)?),
            StreamKind::Worker => StreamBody::Worker(payload(text)?),
            StreamKind::Health => StreamBody::Health(payload(text)?),
            StreamKind::Profiled => {
                let UpTo { up_to, compared } = payload(text)?;
                StreamBody::Profiled { up_to, compared }
            }
            StreamKind::Forgotten => {
                let UpTo { up_to, .. } = payload(text)?;
                StreamBody::Forgotten { up_to }
            }
        };
        Ok(Self { v, ts, body })
    }
}

/// The types of [`StreamBody`], as they stand in the envelope.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StreamKind {
    Snapshot,
    Logs,
    Stats,
    Attackers,
    Profiled,
    Decky,
    DeckyRemoved,
    Task,
    Worker,
    Health,
    Forgotten,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written_whatever_it_says() {
        let stats = Stats {
            total_logs: 7,
            unique_attackers: 1,
            auth_attempts: 2,
            credentials: 1,
            bounties: 0,
            quarantined: 0,
            ignored: 0,
            deployed_deckies: 4,
            active_deckies: 3,
            last_hour: 7,
        };
        let bodies = [
            StreamBody::Snapshot(Box::new(StreamSnapshot {
                stats: stats.clone(),
                logs: Vec::new(),
                attackers: Vec::new(),
                deckies: Vec::new(),
                workers: Vec::new(),
                tasks: Vec::new(),
                forgotten: LogId(4),
            })),
            StreamBody::Logs(Vec::new()),
            StreamBody::Stats(stats),
            StreamBody::Attackers(Vec::new()),
            StreamBody::Profiled {
                up_to: LogId(9),
                compared: 3,
            },
            StreamBody::DeckyRemoved("web-1".parse().unwrap()),
            StreamBody::Forgotten { up_to: LogId(9) },
        ];
        for body in bodies {
            let event = StreamEvent {
                v: 1,
                ts: datetime!(2026-11-20 11:58:00 UTC),
                body,
            };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(StreamEvent::from_json(&text).unwrap(), event, "{text}");
        }
        assert!(
            StreamEvent::from_json(r#"{"v":1,"type":"rumour","ts":"2026-11-20T11:58:00Z","payload":1}"#)
                .is_err()
        );
        assert!(
            StreamEvent::from_json(r#"{"v":1,"type":"stats","ts":"2026-11-20T11:58:00Z","payload":[]}"#)
                .is_err()
        );
    }
}
