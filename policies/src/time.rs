//! Moments and budget periods as values. The present time always comes in as an argument.

use jiff::{ToSpan, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Later than every period's end.
    pub const NEVER: Self = Self(i64::MAX);

    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// RFC 3339 in UTC with milliseconds; what no calendar can show is shown as a number.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => format!("{moment:.3}"),
            Err(_) => self.0.to_string(),
        }
    }

    /// Reads RFC 3339, or a bare date, which is its midnight in UTC.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Some(Self(moment.as_millisecond()));
        }
        let date: civil::Date = text.parse().ok()?;
        let midnight = date.to_zoned_datetime(TimeZone::UTC).ok()?;
        Some(Self(midnight.timestamp().as_millisecond()))
    }
}

/// How long a budget lasts before it starts anew.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    /// ISO weeks: from Monday (ISO 8601).
    Week,
    Month,
    Quarter,
    /// Never starts anew.
    Lifetime,
}

/// One stretch of a [`Period`]: from `starts`, up to but without `ends`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub starts: Timestamp,
    pub ends: Timestamp,
}

impl Span {
    pub const LIFETIME: Self = Self { starts: Timestamp(0), ends: Timestamp::NEVER };

    pub fn holds(self, moment: Timestamp) -> bool {
        self.starts <= moment && moment < self.ends
    }
}

impl Period {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Lifetime => "lifetime",
        }
    }

    /// The calendar stretch around `now` in `zone`. A moment that no calendar can place falls
    /// into the lifetime, so that a broken clock can never open a fresh budget.
    pub fn around(self, now: Timestamp, zone: &TimeZone) -> Span {
        self.calendar(now, zone).unwrap_or(Span::LIFETIME)
    }

    fn calendar(self, now: Timestamp, zone: &TimeZone) -> Option<Span> {
        let today =
            jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned_datetime(zone.clone()).date();
        let (first, next) = match self {
            Self::Day => (today, today.checked_add(1.day()).ok()?),
            Self::Week => {
                let past = today.weekday().to_monday_zero_offset();
                let monday = today.checked_sub(i64::from(past).days()).ok()?;
                (monday, monday.checked_add(1.week()).ok()?)
            }
            Self::Month => {
                let first = today.first_of_month();
                (first, first.checked_add(1.month()).ok()?)
            }
            Self::Quarter => {
                let month = (today.month() - 1) / 3 * 3 + 1;
                let first = civil::Date::new(today.year(), month, 1).ok()?;
                (first, first.checked_add(3.months()).ok()?)
            }
            Self::Lifetime => return Some(Span::LIFETIME),
        };
        let at = |date: civil::Date| {
            let midnight = date.to_zoned_datetime(zone.clone()).ok()?;
            Some(Timestamp(midnight.timestamp().as_millisecond()))
        };
        Some(Span { starts: at(first)?, ends: at(next)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn berlin() -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_month_follows_the_zone_of_the_org() {
        let span = Period::Month.around(at("2026-10-31T23:30:00Z"), &berlin());

        assert_eq!(span.starts, at("2026-10-31T23:00:00Z"), "already November in Berlin");
        assert_eq!(span.ends, at("2026-11-30T23:00:00Z"));
    }

    #[test]
    fn a_day_with_a_clock_change_has_25_hours() {
        let span = Period::Day.around(at("2026-10-25T12:00:00Z"), &berlin());

        assert_eq!(span.ends.0 - span.starts.0, 25 * 3_600_000);
    }

    #[test]
    fn weeks_begin_on_monday_and_quarters_in_january() {
        let now = at("2026-11-25T12:00:00Z");

        assert_eq!(Period::Week.around(now, &TimeZone::UTC).starts, at("2026-11-23"));
        assert_eq!(Period::Quarter.around(now, &TimeZone::UTC).starts, at("2026-10-01"));
        assert_eq!(Period::Lifetime.around(now, &TimeZone::UTC), Span::LIFETIME);
    }

    #[test]
    fn periods_leave_no_gap() {
        for period in [Period::Day, Period::Week, Period::Month, Period::Quarter] {
            let mut now = at("2025-12-01");
            for _ in 0..60 {
                let span = period.around(now, &berlin());
                let next = period.around(span.ends, &berlin());
                assert!(span.holds(now));
                assert_eq!(span.ends, next.starts);
                now = span.ends;
            }
        }
    }
}
