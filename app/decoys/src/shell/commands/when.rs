//! Times as `date -d` and `touch -d` take them: what people and scripts write, not all that GNU's parser knows.

use time::{Date, Month, OffsetDateTime};

/// The time that `text` means at `now`, both in Unix seconds and UTC.
pub(super) fn parse(text: &str, now: i64) -> Option<i64> {
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        let whole = seconds.split('.').next().unwrap_or_default();
        return whole.parse().ok().filter(|at| in_range(*at));
    }
    let lower = text.to_lowercase().replace(',', " ");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let mut at = now;
    let mut timed = false;
    let mut i = 0;
    while let Some(word) = words.get(i) {
        i += 1;
        // `2024-01-02T03:04:05` is two words.
        let parts = match word.split_once('t') {
            Some((day, time)) if is_date(day) => vec![day, time],
            _ => vec![*word],
        };
        for part in parts {
            let clean = part.trim_end_matches('z').trim_end_matches("+00:00");
            if let Some(day) = date(part) {
                // A day alone begins at midnight.
                at = OffsetDateTime::new_utc(day, time::Time::MIDNIGHT).unix_timestamp()
                    + if timed { at.rem_euclid(86_400) } else { 0 };
            } else if let Some(seconds) = clock(clean) {
                at = at - at.rem_euclid(86_400) + seconds;
                timed = true;
            } else {
                match part {
                    "now" | "today" | "utc" | "gmt" | "z" | "ago" => {}
                    "yesterday" => at = at.checked_sub(86_400)?,
                    "tomorrow" => at = at.checked_add(86_400)?,
                    "midnight" => {
                        at -= at.rem_euclid(86_400);
                        timed = true;
                    }
                    "noon" => {
                        at = at - at.rem_euclid(86_400) + 43_200;
                        timed = true;
                    }
                    part => {
                        let (count, unit) = amount(part, words.get(i).copied())?;
                        if count.1 {
                            i += 1;
                        }
                        let back = words.get(i).is_some_and(|w| *w == "ago");
                        at = moved(at, if back { -count.0 } else { count.0 }, unit)?;
                    }
                }
            }
        }
    }
    Some(at).filter(|at| in_range(*at))
}

fn in_range(at: i64) -> bool {
    OffsetDateTime::from_unix_timestamp(at).is_ok()
}

fn is_date(text: &str) -> bool {
    date(text).is_some()
}

/// `2024-01-02`, `01/02/2024` or `20240102`.
fn date(text: &str) -> Option<Date> {
    let number = |text: &str| {
        text.parse::<i32>()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
    };
    let fields: Vec<&str> = text.split(['-', '/']).collect();
    let (year, month, day) = match fields.as_slice() {
        [year, month, day] if text.contains('-') => (number(year)?, number(month)?, number(day)?),
        [month, day, year] => (number(year)?, number(month)?, number(day)?),
        [whole] if whole.len() == 8 => (
            number(whole.get(..4)?)?,
            number(whole.get(4..6)?)?,
            number(whole.get(6..)?)?,
        ),
        _ => return None,
    };
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

/// Seconds of the day of `03:04` or `03:04:05`.
fn clock(text: &str) -> Option<i64> {
    let fields: Vec<i64> = text
        .split('.')
        .next()?
        .split(':')
        .map(|field| {
            field
                .parse()
                .ok()
                .filter(|_| field.bytes().all(|b| b.is_ascii_digit()))
        })
        .collect::<Option<_>>()?;
    match fields.as_slice() {
        [h @ 0..24, m @ 0..60] => Some(h * 3_600 + m * 60),
        [h @ 0..24, m @ 0..60, s @ 0..=60] => Some(h * 3_600 + m * 60 + s),
        _ => None,
    }
}

/// How many of which unit: `2 days`, `+3hours`, `next week`; and whether the unit was a word of its own.
fn amount<'a>(word: &'a str, next: Option<&'a str>) -> Option<((i64, bool), &'a str)> {
    let cut = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
    let (digits, rest) = word.split_at(cut);
    let number = digits.trim_start_matches('+');
    match (number, rest) {
        ("", "next") => Some(((1, true), next?)),
        ("", "last") => Some(((-1, true), next?)),
        ("", unit) => Some(((1, false), unit)),
        (number, "") => Some(((number.parse().ok()?, true), next?)),
        (number, unit) => Some(((number.parse().ok()?, false), unit)),
    }
}

fn moved(at: i64, count: i64, unit: &str) -> Option<i64> {
    let seconds = match unit.trim_end_matches('s') {
        "sec" | "second" => 1,
        "min" | "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "fortnight" => 14 * 86_400,
        unit @ ("month" | "year") => {
            let moment = OffsetDateTime::from_unix_timestamp(at).ok()?;
            let months = i64::from(moment.year()) * 12 + i64::from(u8::from(moment.month())) - 1;
            let months = months.checked_add(count.checked_mul(if unit == "year" { 12 } else { 1 })?)?;
            let year = i32::try_from(months.div_euclid(12)).ok()?;
            let month = Month::try_from(u8::try_from(months.rem_euclid(12) + 1).ok()?).ok()?;
            let first = Date::from_calendar_date(year, month, 1).ok()?;
            let day = OffsetDateTime::new_utc(first, moment.time()).unix_timestamp();
            // A 31st where there is none is that many days behind the first.
            return day.checked_add((i64::from(moment.day()) - 1) * 86_400);
        }
        _ => return None,
    };
    at.checked_add(count.checked_mul(seconds)?)
}
