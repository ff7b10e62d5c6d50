//! What was recorded: counters, logs, attackers, bounties.

use axum::Json;
use decnet_model::{
    id::{AttackerId, LogId},
    permission::{ViewEvidence, ViewFleet, ViewQuarantine},
    query::{
        AttackerQuery, BountyQuery, CommandQuery, HashKind, HistogramQuery, LogQuery, QuarantineQuery,
        ReuseQuery, TraversalQuery, Wordlist,
    },
    view::{
        AlertView, AttackerView, BountyView, CommandView, HistogramBucket, LogView, Page, QuarantineView,
        ReuseDetail, ReuseView, Stats, Tops, TraversalView,
    },
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Answer, File,
    export::{self, Export, FormatQuery},
    extract::{Filter, Param},
};
use crate::session::May;

/// A page of a list without filters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows a page; 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// Cursor: `next` of the page before.
    #[param(pattern = "^i-?[0-9]{1,18}$")]
    pub before: Option<String>,
}

/// The dashboard's counters.
#[utoipa::path(
    get, path = "/stats", tag = "stats",
    responses((status = 200, body = Stats, description = "The counters"))
)]
pub async fn stats(May { domain, permit }: May<ViewEvidence>) -> Answer<Stats> {
    Ok(Json(domain.stats(&permit).await?))
}

/// The most active attackers, deckies, services and credentials.
#[utoipa::path(
    get, path = "/tops", tag = "tops",
    responses((status = 200, body = Tops, description = "The top lists"))
)]
pub async fn tops(May { domain, permit }: May<ViewEvidence>) -> Answer<Tops> {
    Ok(Json(domain.tops(&permit).await?))
}

/// Log rows, newest first.
#[utoipa::path(
    get, path = "/logs", tag = "logs", params(LogQuery),
    responses((status = 200, body = Page<LogView>, description = "A page"))
)]
pub async fn logs(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<LogQuery>,
) -> Answer<Page<LogView>> {
    Ok(Json(domain.log_page(&permit, query).await?))
}

/// Log rows counted in buckets of time. Of a text, a type or a source the newest 50,000 rows are read: what is before them has no buckets.
#[utoipa::path(
    get, path = "/logs/histogram", tag = "logs", params(HistogramQuery),
    responses((status = 200, body = Vec<HistogramBucket>, description = "The buckets, oldest first"))
)]
pub async fn histogram(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<HistogramQuery>,
) -> Answer<Vec<HistogramBucket>> {
    Ok(Json(domain.log_histogram(&permit, query).await?))
}

/// One log row.
#[utoipa::path(
    get, path = "/logs/{id}", tag = "logs", params(("id" = LogId, Path)),
    responses((status = 200, body = LogView, description = "The row"))
)]
pub async fn log(May { domain, permit }: May<ViewEvidence>, Param(id): Param<LogId>) -> Answer<LogView> {
    Ok(Json(domain.log_get(&permit, id).await?))
}

/// Source addresses and what they did in sum.
#[utoipa::path(
    get, path = "/attackers", tag = "attackers", params(AttackerQuery),
    responses((status = 200, body = Page<AttackerView>, description = "A page"))
)]
pub async fn attackers(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<AttackerQuery>,
) -> Answer<Page<AttackerView>> {
    Ok(Json(domain.attacker_page(&permit, query).await?))
}

/// One attacker.
#[utoipa::path(
    get, path = "/attackers/{id}", tag = "attackers", params(("id" = AttackerId, Path)),
    responses((status = 200, body = AttackerView, description = "The attacker"))
)]
pub async fn attacker(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
) -> Answer<AttackerView> {
    Ok(Json(domain.attacker_get(&permit, id).await?))
}

/// The command lines of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/commands", tag = "attackers", params(("id" = AttackerId, Path), CommandQuery),
    responses((status = 200, body = Page<CommandView>, description = "A page"))
)]
pub async fn attacker_commands(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(query): Filter<CommandQuery>,
) -> Answer<Page<CommandView>> {
    let between = (query.start_time, query.end_time);
    Ok(Json(
        domain
            .attacker_commands(&permit, id, between, query.limit, query.before)
            .await?,
    ))
}

/// The log rows of an attacker, newest first.
#[utoipa::path(
    get, path = "/attackers/{id}/logs", tag = "attackers", params(("id" = AttackerId, Path), PageQuery),
    responses((status = 200, body = Page<LogView>, description = "A page"))
)]
pub async fn attacker_logs(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(page): Filter<PageQuery>,
) -> Answer<Page<LogView>> {
    Ok(Json(
        domain.attacker_logs(&permit, id, page.limit, page.before).await?,
    ))
}

/// The way of an attacker through deckies: where they began sessions, in which order, and how they went from one to another, as far as their
/// newest 20,000 log rows of the time tell.
#[utoipa::path(
    get, path = "/attackers/{id}/traversal", tag = "attackers", params(("id" = AttackerId, Path), TraversalQuery),
    responses((status = 200, body = TraversalView, description = "The way; of one decky or none there are no hops"))
)]
pub async fn attacker_traversal(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Filter(query): Filter<TraversalQuery>,
) -> Answer<TraversalView> {
    Ok(Json(domain.attacker_traversal(&permit, id, query).await?))
}

/// Loot: credentials, files, payloads, fingerprints.
#[utoipa::path(
    get, path = "/bounty", tag = "bounty", params(BountyQuery),
    responses((status = 200, body = Page<BountyView>, description = "A page"))
)]
pub async fn bounty(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<BountyQuery>,
) -> Answer<Page<BountyView>> {
    Ok(Json(domain.bounty_page(&permit, query).await?))
}

/// One find.
#[utoipa::path(
    get, path = "/bounty/{id}", tag = "bounty", params(("id" = i64, Path)),
    responses((status = 200, body = BountyView, description = "The find"))
)]
pub async fn bounty_one(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<i64>,
) -> Answer<BountyView> {
    Ok(Json(domain.bounty_get(&permit, id).await?))
}

/// Lines of the spool that did not become evidence, those met last first. With a filter a page reads 50,000 lines at most: it may be short,
/// or empty, and still have a next one.
#[utoipa::path(
    get, path = "/quarantine", tag = "logs", params(QuarantineQuery),
    responses((status = 200, body = Page<QuarantineView>, description = "A page"))
)]
pub async fn quarantine(
    May { domain, permit }: May<ViewQuarantine>,
    Filter(query): Filter<QuarantineQuery>,
) -> Answer<Page<QuarantineView>> {
    Ok(Json(domain.quarantine_page(&permit, query).await?))
}

/// All lines that did not become evidence and agree with the filters, as a file.
#[utoipa::path(
    get, path = "/quarantine/export", tag = "logs", params(QuarantineQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<QuarantineView> = "application/json")), description = "The file"))
)]
pub async fn quarantine_export(
    May { domain, permit }: May<ViewQuarantine>,
    Export { format, query }: Export<QuarantineQuery>,
) -> File {
    export::file(
        "quarantine",
        format,
        (domain, permit),
        move |domain, permit, next| {
            let before = next.or_else(|| query.before.clone());
            let query = QuarantineQuery {
                limit: export::ROWS,
                before,
                ..query.clone()
            };
            async move { domain.quarantine_page(&permit, query).await }
        },
    )
    .await
}

/// All log rows that agree with the filters, as a file.
#[utoipa::path(
    get, path = "/logs/export", tag = "logs", params(LogQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<LogView> = "application/json")), description = "The file"))
)]
pub async fn logs_export(
    May { domain, permit }: May<ViewEvidence>,
    Export { format, query }: Export<LogQuery>,
) -> File {
    export::file("logs", format, (domain, permit), move |domain, permit, next| {
        let before = next.or_else(|| query.before.clone());
        let query = LogQuery {
            limit: export::ROWS,
            before,
            ..query.clone()
        };
        async move { domain.log_page(&permit, query).await }
    })
    .await
}

/// All attackers that agree with the filters, as a file.
#[utoipa::path(
    get, path = "/attackers/export", tag = "attackers", params(AttackerQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<AttackerView> = "application/json")), description = "The file"))
)]
pub async fn attackers_export(
    May { domain, permit }: May<ViewEvidence>,
    Export { format, query }: Export<AttackerQuery>,
) -> File {
    export::file(
        "attackers",
        format,
        (domain, permit),
        move |domain, permit, next| {
            let before = next.or_else(|| query.before.clone());
            let query = AttackerQuery {
                limit: export::ROWS,
                before,
                ..query.clone()
            };
            async move { domain.attacker_page(&permit, query).await }
        },
    )
    .await
}

/// The command lines of an attacker, all or those of a time, as a file.
#[utoipa::path(
    get, path = "/attackers/{id}/commands/export", tag = "attackers", params(("id" = AttackerId, Path), CommandQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<CommandView> = "application/json")), description = "The file"))
)]
pub async fn commands_export(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<AttackerId>,
    Export { query, format }: Export<CommandQuery>,
) -> File {
    let between = (query.start_time, query.end_time);
    export::file(
        "commands",
        format.of(id),
        (domain, permit),
        move |domain, permit, next| {
            let before = next.or_else(|| query.before.clone());
            async move {
                domain
                    .attacker_commands(&permit, id, between, export::ROWS, before)
                    .await
            }
        },
    )
    .await
}

/// All bounties that agree with the filters, as a file.
#[utoipa::path(
    get, path = "/bounty/export", tag = "bounty", params(BountyQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<BountyView> = "application/json")), description = "The file"))
)]
pub async fn bounty_export(
    May { domain, permit }: May<ViewEvidence>,
    Export { format, query }: Export<BountyQuery>,
) -> File {
    export::file("bounty", format, (domain, permit), move |domain, permit, next| {
        let before = next.or_else(|| query.before.clone());
        let query = BountyQuery {
            limit: export::ROWS,
            before,
            ..query.clone()
        };
        async move { domain.bounty_page(&permit, query).await }
    })
    .await
}

/// Which list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WordlistQuery {
    list: Wordlist,
}

/// Captured accounts and passwords as a list for a password cracker, each line once. Bytes that no line can hold stand as
/// `$HEX[…]`, which hashcat and john read.
#[utoipa::path(
    get, path = "/bounty/wordlist", tag = "bounty", params(WordlistQuery),
    responses((status = 200, body = String, content_type = "text/plain", description = "The list"))
)]
pub async fn wordlist(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<WordlistQuery>,
) -> File {
    let list = query.list;
    export::lines(
        "wordlist",
        &format!("{list}.txt"),
        (domain, permit),
        move |domain, permit, next| async move { domain.wordlist_page(&permit, list, next).await },
    )
    .await
}

/// Which hashes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HashQuery {
    kind: HashKind,
}

/// Captured hashes of a kind as hashcat takes them, each once.
#[utoipa::path(
    get, path = "/bounty/hashcat", tag = "bounty", params(HashQuery),
    responses((status = 200, body = String, content_type = "text/plain", description = "The hashes"))
)]
pub async fn hashcat(May { domain, permit }: May<ViewEvidence>, Filter(query): Filter<HashQuery>) -> File {
    let kind = query.kind;
    export::lines(
        "hashcat",
        &format!("{kind}.hash"),
        (domain, permit),
        move |domain, permit, next| async move { domain.hashcat_page(&permit, kind, next).await },
    )
    .await
}

/// Credentials that turned up at several deckies or with several attackers, spread widest first.
#[utoipa::path(
    get, path = "/credential-reuse", tag = "bounty", params(ReuseQuery),
    responses((status = 200, body = Page<ReuseView>, description = "A page"))
)]
pub async fn reuse(
    May { domain, permit }: May<ViewEvidence>,
    Filter(query): Filter<ReuseQuery>,
) -> Answer<Page<ReuseView>> {
    Ok(Json(domain.reuse_page(&permit, query).await?))
}

/// One of them, with each place where it was captured.
#[utoipa::path(
    get, path = "/credential-reuse/{id}", tag = "bounty", params(("id" = i64, Path)),
    responses((status = 200, body = ReuseDetail, description = "The credential and its places"))
)]
pub async fn reuse_one(
    May { domain, permit }: May<ViewEvidence>,
    Param(id): Param<i64>,
) -> Answer<ReuseDetail> {
    Ok(Json(domain.reuse_get(&permit, id).await?))
}

/// What is to be looked at, the worst first: who got in, and what of host and fleet fails. Nothing on a good day.
#[utoipa::path(
    get, path = "/alerts", tag = "host",
    responses((status = 200, body = Vec<AlertView>, description = "At most one of each kind"))
)]
pub async fn alerts(
    May { domain, permit }: May<ViewEvidence>,
    May { permit: fleet, .. }: May<ViewFleet>,
) -> Answer<Vec<AlertView>> {
    Ok(Json(domain.alert_list(&fleet, &permit).await?))
}

/// All credentials that turned up at several deckies or with several attackers, as a file.
#[utoipa::path(
    get, path = "/credential-reuse/export", tag = "bounty", params(ReuseQuery, FormatQuery),
    responses((status = 200, content((String = "text/csv"), (Vec<ReuseView> = "application/json")), description = "The file"))
)]
pub async fn reuse_export(
    May { domain, permit }: May<ViewEvidence>,
    Export { format, query }: Export<ReuseQuery>,
) -> File {
    export::file(
        "credential-reuse",
        format,
        (domain, permit),
        move |domain, permit, next| {
            let before = next.or_else(|| query.before.clone());
            let query = ReuseQuery {
                limit: export::ROWS,
                before,
                ..query.clone()
            };
            async move { domain.reuse_page(&permit, query).await }
        },
    )
    .await
}
