//! Which stretch of time a report or an export covers, by the calendar of its org.

use crate::service::orgs;
use jiff::{civil, tz::TimeZone, tz::TimeZoneDatabase};
use policies::time::{Period, Span, Timestamp};
use store::Settings;

/// A stretch of time as somebody names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// `YYYY-MM`; excludes the others.
    pub month: Option<String>,
    /// The first moment: a date (its midnight in the org's zone) or RFC 3339.
    pub from: Option<String>,
    /// The first moment after it, in the same forms.
    pub to: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStretch {
    #[error("`{0}` is not a month such as `2026-11`")]
    Month(String),
    #[error("`{0}` is neither a date such as `2026-11-25` nor an RFC 3339 time")]
    Moment(String),
    #[error("the stretch ends before it begins")]
    Backwards,
    #[error("name a month, or a beginning and an end, not both")]
    Both,
}

/// The zone in which the org's periods begin and end.
pub fn zone(settings: &Settings) -> TimeZone {
    let name = orgs::document(settings).map_or("UTC", |org| org.time_zone.as_str());
    // `apply` lets no unknown zone in.
    TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC)
}

/// The month around `now`.
pub fn this_month(zone: &TimeZone, now: Timestamp) -> Span {
    Period::Month.around(now, zone)
}

/// The stretch in `zone`; all time, if nothing is named.
pub fn span(stretch: &Stretch, zone: &TimeZone) -> Result<Span, NotAStretch> {
    let Stretch { month, from, to } = stretch;
    if let Some(text) = month {
        if from.is_some() || to.is_some() {
            return Err(NotAStretch::Both);
        }
        return month_of(text, zone).ok_or_else(|| NotAStretch::Month(text.clone()));
    }
    let moment =
        |text: &String| moment(text, zone).ok_or_else(|| NotAStretch::Moment(text.clone()));
    let starts = from.as_ref().map_or(Ok(Span::LIFETIME.starts), moment)?;
    let ends = to.as_ref().map_or(Ok(Span::LIFETIME.ends), moment)?;
    if ends < starts { Err(NotAStretch::Backwards) } else { Ok(Span { starts, ends }) }
}

fn month_of(text: &str, zone: &TimeZone) -> Option<Span> {
    let form = text.len() == "2026-11".len() && text.is_ascii();
    let date: civil::Date = form.then(|| format!("{text}-15"))?.parse().ok()?;
    let middle = date.to_zoned_datetime(zone.clone()).ok()?.timestamp();
    Some(Period::Month.around(Timestamp(middle.as_millisecond()), zone))
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(moment.as_millisecond()));
    }
    let date: civil::Date = text.parse().ok()?;
    let midnight = date.to_zoned_datetime(zone.clone()).ok()?.timestamp();
    Some(Timestamp(midnight.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_month_and_a_date_are_those_of_the_org() {
        let month = Stretch { month: Some("2026-11".to_owned()), ..Stretch::default() };
        let day = Stretch {
            from: Some("2026-11-01".to_owned()),
            to: Some("2026-11-02T00:00:00Z".to_owned()),
            ..Stretch::default()
        };

        let month = span(&month, &berlin()).unwrap();
        let day = span(&day, &berlin()).unwrap();

        assert_eq!(month.starts, at("2026-10-31T23:00:00Z"));
        assert_eq!(month.ends, at("2026-11-30T23:00:00Z"));
        assert_eq!(day, Span { starts: month.starts, ends: at("2026-11-02") });
    }

    #[test]
    fn what_is_no_stretch_is_refused() {
        let stretch = |month: Option<&str>, from: Option<&str>, to: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            span(&Stretch { month: own(month), from: own(from), to: own(to) }, &TimeZone::UTC)
        };

        for month in ["2026", "2026-13", "2026-1", "11-2026", "2026-11-01"] {
            assert_eq!(stretch(Some(month), None, None), Err(NotAStretch::Month(month.to_owned())));
        }
        assert_eq!(stretch(Some("2026-11"), Some("2026-11-01"), None), Err(NotAStretch::Both));
        assert_eq!(
            stretch(None, Some("2026-11-02"), Some("2026-11-01")),
            Err(NotAStretch::Backwards)
        );
        assert!(stretch(None, Some("yesterday"), None).is_err());
        assert_eq!(stretch(None, None, None), Ok(Span::LIFETIME));
    }
}
