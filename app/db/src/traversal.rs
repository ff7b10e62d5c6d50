//! The way of an attacker through deckies.

use std::collections::{BTreeMap, BTreeSet};

use decnet_model::{
    clock::micros,
    event::{EventKind, field},
    id::{AttackerId, LogId},
    query::{LogQuery, TraversalQuery},
    view::{HopView, MAX_HOPS, MAX_STATIONS, StationView, TraversalView},
};

use crate::{DbError, Store, backend::Sql};

const OPERATION: &str = "read an attacker's way";

impl Store {
    /// The way of an attacker in a time, as far as their newest `limit` rows of it tell: the order is that in which sessions begin, and a
    /// step from one decky to another is a hop. Rows that belong to no session are one of each decky and service.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attacker_traversal(
        &self,
        id: AttackerId,
        query: &TraversalQuery,
        limit: u32,
    ) -> Result<TraversalView, DbError> {
        let time = LogQuery {
            start_time: query.start_time,
            end_time: query.end_time,
            ..LogQuery::default()
        };
        let Some(span) = self.span(&time).await? else {
            return Ok(Way::default().told(limit));
        };
        let mut sql = Sql::new(
            OPERATION,
            "SELECT decky, service, came_from, COUNT(*), CAST(SUM(events) AS SIGNED), MIN(first_at), MAX(first_at), MAX(last_at), \
             MIN(log_id), MIN(took), MAX(took), CAST(SUM(commands) AS SIGNED), CAST(SUM(auths) AS SIGNED) \
             FROM (SELECT decky, service, first_at, last_at, log_id, events, commands, auths, \
             LAG(decky) OVER (ORDER BY first_at, log_id) AS came_from, \
             first_at - LAG(last_at) OVER (ORDER BY first_at, log_id) AS took \
             FROM (SELECT decky, service, MIN(at) AS first_at, MAX(at) AS last_at, MIN(id) AS log_id, COUNT(*) AS events, \
             COUNT(CASE WHEN event_type IN (?, ?) THEN 1 END) AS commands, COUNT(CASE WHEN event_type = ? THEN 1 END) AS auths \
             FROM (SELECT l.id, l.at, l.decky, l.service, l.event_type, ",
        );
        for kind in [EventKind::Command, EventKind::Query, EventKind::AuthAttempt] {
            sql.arg(kind.as_str());
        }
        sql.push(&self.backend.dialect().json_text("l.fields"))
            .arg(format!("$.\"{}\"", field::SESSION));
        sql.push(" AS visit FROM logs l WHERE l.attacker_id = ? AND l.id >= ? AND l.id <= ?");
        sql.arg(id.0).arg(span.low).arg(span.high);
        if let Some(service) = &query.service {
            sql.push(" AND l.service = ?").arg(service.as_str());
        }
        if let Some(start) = query.start_time {
            sql.push(" AND l.at >= ?").arg(micros(start));
        }
        if let Some(end) = query.end_time {
            sql.push(" AND l.at < ?").arg(micros(end));
        }
        sql.push(" ORDER BY l.id DESC LIMIT ?) t GROUP BY decky, service, visit) v) w GROUP BY decky, service, came_from")
            .arg(limit);
        let mut way = Way::default();
        for row in self.backend.fetch(sql).await? {
            let c = row.columns(OPERATION);
            let ms = |i| Ok::<_, DbError>(c.opt_int(i)?.map_or(0, |us| us.max(0).unsigned_abs() / 1_000));
            way.add(Part {
                came_from: c.opt_text(2)?,
                quickest_ms: ms(9)?,
                slowest_ms: ms(10)?,
                commands: c.count(11)?,
                auth_attempts: c.count(12)?,
                station: StationView {
                    decky: c.text(0)?,
                    services: vec![c.text(1)?],
                    sessions: c.count(3)?,
                    events: c.count(4)?,
                    first_at: c.time(5)?,
                    last_session_at: c.time(6)?,
                    last_at: c.time(7)?,
                    log_id: LogId(c.int(8)?),
                },
            });
        }
        Ok(way.told(limit))
    }
}

/// Sessions at a service of a decky that all began after one at `came_from`.
struct Part {
    station: StationView,
    came_from: Option<String>,
    /// How long it took them from the end of that, at least and at most.
    quickest_ms: u64,
    slowest_ms: u64,
    /// What they did in these sessions.
    commands: u64,
    auth_attempts: u64,
}

/// A way as it is put together.
#[derive(Default)]
struct Way {
    stations: BTreeMap<String, StationView>,
    hops: BTreeMap<(String, String), HopView>,
}

impl Way {
    fn add(&mut self, part: Part) {
        let Part {
            station: part,
            came_from,
            quickest_ms,
            slowest_ms,
            commands,
            auth_attempts,
        } = part;
        if let Some(from) = came_from.filter(|from| *from != part.decky) {
            let hop = HopView {
                from: from.clone(),
                to: part.decky.clone(),
                count: part.sessions,
                commands,
                auth_attempts,
                first_at: part.first_at,
                last_at: part.last_session_at,
                quickest_ms,
                slowest_ms,
                log_id: part.log_id,
            };
            self.hops
                .entry((from, part.decky.clone()))
                .and_modify(|known| {
                    // Of two parts the one that began earlier tells the row.
                    if (hop.first_at, hop.log_id) < (known.first_at, known.log_id) {
                        (known.first_at, known.log_id) = (hop.first_at, hop.log_id);
                    }
                    known.count += hop.count;
                    known.commands += hop.commands;
                    known.auth_attempts += hop.auth_attempts;
                    known.last_at = known.last_at.max(hop.last_at);
                    known.quickest_ms = known.quickest_ms.min(hop.quickest_ms);
                    known.slowest_ms = known.slowest_ms.max(hop.slowest_ms);
                })
                .or_insert(hop);
        }
        match self.stations.get_mut(&part.decky) {
            Some(known) => {
                if (part.first_at, part.log_id) < (known.first_at, known.log_id) {
                    (known.first_at, known.log_id) = (part.first_at, part.log_id);
                }
                known.services.extend(part.services);
                known.sessions += part.sessions;
                known.events += part.events;
                known.last_session_at = known.last_session_at.max(part.last_session_at);
                known.last_at = known.last_at.max(part.last_at);
            }
            None => {
                self.stations.insert(part.decky.clone(), part);
            }
        }
    }

    /// The way as it is told, of which at most `limit` rows were read.
    fn told(self, limit: u32) -> TraversalView {
        let mut stations: Vec<_> = self.stations.into_values().collect();
        let events: u64 = stations.iter().map(|station| station.events).sum();
        for station in &mut stations {
            station.services.sort_unstable();
            station.services.dedup();
        }
        stations.sort_by_key(|station| (station.first_at, station.log_id));
        let more_stations = stations.len().saturating_sub(MAX_STATIONS);
        stations.truncate(MAX_STATIONS);
        let there: BTreeSet<&str> = stations.iter().map(|station| &*station.decky).collect();
        let mut hops: Vec<_> = self.hops.into_values().collect();
        hops.retain(|hop| there.contains(&*hop.from) && there.contains(&*hop.to));
        hops.sort_by_key(|hop| std::cmp::Reverse(hop.weight()));
        let more_hops = hops.iter().skip(MAX_HOPS).map(|hop| hop.count).sum();
        hops.truncate(MAX_HOPS);
        hops.sort_by_key(|hop| (hop.first_at, hop.log_id));
        TraversalView {
            more_stations: u64::try_from(more_stations).unwrap_or(u64::MAX),
            stations,
            hops,
            more_hops,
            whole: events < u64::from(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::*;

    fn part(decky: usize, second: i64, came_from: Option<usize>) -> Part {
        let at = OffsetDateTime::UNIX_EPOCH + Duration::seconds(second);
        Part {
            station: StationView {
                decky: format!("web-{decky:03}"),
                services: vec!["ssh".into()],
                first_at: at,
                last_session_at: at,
                last_at: at,
                sessions: 1,
                events: 3,
                log_id: LogId(second),
            },
            came_from: came_from.map(|from| format!("web-{from:03}")),
            quickest_ms: 0,
            slowest_ms: 0,
            commands: 0,
            auth_attempts: 0,
        }
    }

    #[test]
    fn a_way_through_many_deckies_is_told_up_to_its_bounds_with_what_is_left_out() {
        let mut way = Way::default();
        let mut second = 0;
        let mut before: Option<usize> = None;
        // Each decky is left for each other, so there are more hops than are told between the first ones.
        let mut go = |way: &mut Way, to: usize| {
            way.add(part(to, second, before));
            (second, before) = (second + 1, Some(to));
        };
        for from in 0..MAX_STATIONS + 3 {
            go(&mut way, from);
        }
        for from in 0..MAX_STATIONS - 1 {
            for to in 0..MAX_STATIONS - 1 {
                go(&mut way, from);
                go(&mut way, to);
            }
        }
        // The last one was made once, where others were twice, and is the only one by which anything was done.
        let mut heavy = part(0, second, Some(MAX_STATIONS - 1));
        heavy.commands = 1;
        way.add(heavy);
        let told = way.told(1_000_000);
        assert_eq!((told.stations.len(), told.more_stations), (MAX_STATIONS, 3));
        assert_eq!(told.stations[0].decky, "web-000");
        assert_eq!(told.hops.len(), MAX_HOPS);
        assert!(told.more_hops > 0);
        for hop in &told.hops {
            assert!(hop.from != hop.to && hop.from.as_str() < "web-040", "{hop:?}");
        }
        assert!(told.hops.iter().any(|hop| hop.commands == 1));
        assert!(told.hops.windows(2).all(|w| w[0].first_at <= w[1].first_at));
        assert!(told.whole);
    }

    #[test]
    fn parts_of_one_hop_are_one_whatever_their_order() {
        let of = |second, service: &str, (quickest_ms, slowest_ms), commands| {
            let mut part = part(2, second, Some(1));
            part.station.services = vec![service.into()];
            Part {
                quickest_ms,
                slowest_ms,
                commands,
                auth_attempts: 1,
                ..part
            }
        };
        let told = [false, true].map(|is_reversed| {
            let mut way = Way::default();
            way.add(part(1, 0, None));
            let mut parts = [of(10, "ssh", (5, 7), 3), of(4, "http", (6, 9), 2)];
            if is_reversed {
                parts.reverse();
            }
            for part in parts {
                way.add(part);
            }
            way.told(7)
        });
        assert_eq!(told[0], told[1]);
        let [hop] = &told[0].hops[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            (hop.count, hop.log_id, hop.quickest_ms, hop.slowest_ms),
            (2, LogId(4), 5, 9)
        );
        assert_eq!((hop.commands, hop.auth_attempts), (5, 2));
        let there = &told[0].stations[1];
        assert_eq!((there.log_id, there.sessions, there.events), (LogId(4), 2, 6));
        assert_eq!(there.services, ["http", "ssh"]);
        assert!(!told[0].whole, "nine rows of seven");
    }
}
