//! What a reader asks for: filters and pages of lists, as they stand in a URL.
//!
//! Lists are keyset-paged: `before` is the opaque cursor that the previous page gave as `next`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    clock::micros,
    id::AttackerId,
    state::{BountyKind, text_enum},
    view::{AttackerView, BountyView},
};

/// Which log rows. Every condition that is present has to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct LogQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor: rows older than it.
    #[cfg_attr(feature = "openapi", param(pattern = "^i-?[0-9]{1,18}$"))]
    pub before: Option<String>,
    /// Text in the line, the decky, the service or the address; `key:value` tokens match a field. 512 characters.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub search: Option<String>,
    /// Only this decky.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub decky: Option<String>,
    /// Only this service.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub service: Option<String>,
    /// Only this type of event.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub event_type: Option<String>,
    /// Only this source address.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = "ip"))]
    pub attacker_ip: Option<IpAddr>,
    /// Not before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

/// Which rows to count, in buckets of how many minutes. Those of a decky and a service are counted as they come in; for anything
/// else the newest ones are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct HistogramQuery {
    /// Only this decky.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub decky: Option<String>,
    /// Only this service.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub service: Option<String>,
    /// Only with this text, as in the list of rows. 512 characters.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub search: Option<String>,
    /// Only this type of event.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub event_type: Option<String>,
    /// Only this source address.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = "ip"))]
    pub attacker_ip: Option<IpAddr>,
    /// Not before; 24 hours ago where absent.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Before; now where absent.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
    /// Width of a bucket, 1 to 1440; 15 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1440))]
    pub interval_minutes: Option<u32>,
}

text_enum! {
    /// Order of the attackers list.
    AttackerSort {
        /// Last seen first.
        Recent = "recent",
        /// Most events first.
        Active = "active",
        /// Most attempts to sign in first.
        AuthCount = "auth_count",
        /// Most command lines first.
        CommandCount = "command_count",
        /// Most loot first.
        BountyCount = "bounty_count",
    }
}

impl AttackerSort {
    /// What an attacker is sorted by: the highest first, unless the order is turned round.
    #[must_use]
    pub fn rank(self, attacker: &AttackerView) -> i64 {
        let count = match self {
            Self::Recent => return micros(attacker.last_seen),
            Self::Active => attacker.event_count,
            Self::AuthCount => attacker.auth_count,
            Self::CommandCount => attacker.command_count,
            Self::BountyCount => attacker.bounty_count,
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}

text_enum! {
    /// Which end of an order comes first.
    SortOrder {
        /// The highest, or last.
        Desc = "desc",
        /// The lowest, or first.
        Asc = "asc",
    }
}

/// Which attackers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AttackerQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor.
    #[cfg_attr(feature = "openapi", param(pattern = "^r-?[0-9]{1,18}\\.[0-9a-f]{32}$"))]
    pub before: Option<String>,
    /// Start of the address, or text in its deckies or services.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub search: Option<String>,
    /// Only those who touched this service.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub service: Option<String>,
    /// Only those who touched this decky.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub decky: Option<String>,
    /// Order; `recent` where absent.
    pub sort_by: Option<AttackerSort>,
    /// Which end of the order comes first; `desc` where absent.
    pub sort_order: Option<SortOrder>,
    /// Only those that were seen since: whose last time is not before it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Only those that were seen before it: whose first time is.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

impl AttackerQuery {
    /// Whether an attacker stands among those up to `next`, the cursor of a page in this order: it names the rank and the id of the last
    /// row that was looked at. Nobody does where `next` is no such cursor.
    #[must_use]
    pub fn has_come_to(&self, next: &str, attacker: &AttackerView) -> bool {
        let end = || {
            let (rank, id) = next.strip_prefix('r')?.split_once('.')?;
            Some((rank.parse().ok()?, id.parse().ok()?))
        };
        let is = (
            self.sort_by.unwrap_or(AttackerSort::Recent).rank(attacker),
            attacker.id,
        );
        end().is_some_and(|end: (i64, AttackerId)| match self.sort_order {
            Some(SortOrder::Asc) => is <= end,
            _ => is >= end,
        })
    }
}

text_enum! {
    /// Order of the list of bounties.
    BountySort {
        /// Found last first.
        Found = "found",
        /// Last seen first.
        Recent = "recent",
        /// Seen most often first.
        Count = "count",
    }
}

impl BountySort {
    /// What a bounty is sorted by: the highest first, unless the order is turned round.
    #[must_use]
    pub fn rank(self, bounty: &BountyView) -> i64 {
        match self {
            Self::Found => bounty.id,
            Self::Recent => micros(bounty.last_seen),
            Self::Count => i64::try_from(bounty.count).unwrap_or(i64::MAX),
        }
    }
}

/// Which bounties.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct BountyQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor.
    #[cfg_attr(
        feature = "openapi",
        param(pattern = "^(i-?[0-9]{1,18}|p-?[0-9]{1,18}\\.-?[0-9]{1,18})$")
    )]
    pub before: Option<String>,
    /// Only this kind.
    pub bounty_type: Option<BountyKind>,
    /// Only credentials with which a decoy let somebody in (`true`), or only those with which none did.
    pub accepted: Option<bool>,
    /// Text in account, value, decky, service or address; `root:toor` is also in a credential whose account has the one and whose secret
    /// has the other.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub search: Option<String>,
    /// Only of this service.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub service: Option<String>,
    /// Only of this source address.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = "ip"))]
    pub attacker_ip: Option<IpAddr>,
    /// Order; `found` where absent.
    pub sort_by: Option<BountySort>,
    /// Which end of the order comes first; `desc` where absent.
    pub sort_order: Option<SortOrder>,
    /// Only those that were seen since: whose last time is not before it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Only those that were seen before it: whose first time is.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

/// Which command lines of an attacker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct CommandQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next` of the page before.
    #[cfg_attr(feature = "openapi", param(pattern = "^i-?[0-9]{1,18}$"))]
    pub before: Option<String>,
    /// Not before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

/// Which part of an attacker's way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct TraversalQuery {
    /// Only connections to this service.
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub service: Option<String>,
    /// Not before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

/// Which lines that did not become evidence. Every condition that is present has to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct QuarantineQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor: lines that were stored before it.
    #[cfg_attr(feature = "openapi", param(pattern = "^i-?[0-9]{1,18}$"))]
    pub before: Option<String>,
    /// Text in the line as it is told, or in what is wrong with it, whatever its case. 512 characters.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub search: Option<String>,
    /// Only of this segment of the spool.
    #[cfg_attr(feature = "openapi", param(minimum = 0))]
    pub segment: Option<u64>,
    /// Met not before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Met before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

impl QuarantineQuery {
    /// Whether it leaves anything out, but for what other pages have.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        let all = Self {
            limit: self.limit,
            before: self.before.clone(),
            ..Self::default()
        };
        *self != all
    }
}

/// Which entries of the audit log. Every condition that is present has to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AuditQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor: entries older than it.
    #[cfg_attr(feature = "openapi", param(pattern = "^i-?[0-9]{1,18}$"))]
    pub before: Option<String>,
    /// Only what this account did, itself or by one of its tokens (`root`, and `root/backup` with it).
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub actor: Option<String>,
    /// Only this action, or all that begin with it and a point (`user`: `user.create` and so on).
    #[cfg_attr(feature = "openapi", param(max_length = 128))]
    pub action: Option<String>,
    /// Text in what it was done to. 512 characters.
    #[cfg_attr(feature = "openapi", param(max_length = 512))]
    pub target: Option<String>,
    /// Not before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_time: Option<OffsetDateTime>,
    /// Before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_time: Option<OffsetDateTime>,
}

text_enum! {
    /// What is the same in several places: see [`ReuseQuery`].
    ReuseScope {
        /// A secret, whatever the account.
        Secret = "secret",
        /// An account together with its secret.
        Pair = "pair",
    }
}

/// Which credentials that turn up at several deckies or with several attackers; those that are spread widest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ReuseQuery {
    /// Rows a page, 1 to 500; 50 where absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Cursor.
    #[cfg_attr(feature = "openapi", param(pattern = "^p-?[0-9]{1,18}\\.-?[0-9]{1,18}$"))]
    pub before: Option<String>,
    /// What is the same; `secret` where absent.
    pub scope: Option<ReuseScope>,
    /// Only this kind of secret, such as `plaintext`.
    #[cfg_attr(feature = "openapi", param(max_length = 64))]
    pub secret_kind: Option<String>,
}

text_enum! {
    /// What a list for a password cracker holds, each line once.
    Wordlist {
        /// Account names.
        Users = "users",
        /// Passwords that came in clear.
        Passwords = "passwords",
        /// Both, as `user:password`.
        Pairs = "pairs",
    }
}

text_enum! {
    /// A kind of secret whose text hashcat takes as it stands. Not among them: `caching_sha2_password` and `http_digest_md5`,
    /// for which it has no mode, and `http_bearer` and `public_key`, which are no hashes.
    HashKind {
        /// Mode 11200.
        MysqlNative = "mysql_native_password",
        /// Mode 16400.
        CramMd5 = "cram_md5",
    }
}

text_enum! {
    /// The form of an export.
    ExportFormat {
        /// Comma-separated values (RFC 4180), with a head. A cell that a spreadsheet would run begins with an apostrophe.
        Csv = "csv",
        /// An array of the list's views.
        Json = "json",
    }
}
