//! What somebody asks of usage: a stretch of time in buckets, some columns, some values.

use crate::{
    context::{Administrator, Context},
    failure::Failure,
};
use policies::{
    ids::ProjectId,
    permission::Permission,
    rights::Reach,
    time::{Span, Timestamp},
    usage::UsageRecord,
};
use store::clock;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// Values of one filter, at most.
const WANTED_MAX: usize = 100;
/// Unix seconds that a time may be: the year 9999.
const TIME_MAX: i64 = 253_402_300_799;
/// What a cursor begins with; the start of the next bucket follows.
const PAGE_PREFIX: &str = "page_";

/// Something to group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Project,
    User,
    Key,
    Model,
    Batch,
    Tier,
    Source,
    LineItem,
}

impl Column {
    /// The word in `group_by`, which is the field of a result too.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Project => "project_id",
            Self::User => "user_id",
            Self::Key => "api_key_id",
            Self::Model => "model",
            Self::Batch => "batch",
            Self::Tier => "service_tier",
            Self::Source => "api_source",
            Self::LineItem => "line_item",
        }
    }
}

/// What a record has in a column. Lines of a bill are not a column of the whole record.
pub(super) fn value(record: &UsageRecord, column: Column) -> Option<String> {
    let stamp = &record.stamp;
    match column {
        Column::Project => Some(stamp.project.to_string()),
        Column::User => Some(stamp.principal.to_string()),
        Column::Key => Some(stamp.key.to_string()),
        Column::Model => Some(stamp.model.clone()),
        Column::Batch => Some("false".to_owned()),
        Column::Tier => stamp.tier.clone(),
        Column::Source => Some("unlabeled".to_owned()),
        Column::LineItem => None,
    }
}

pub(super) struct Ask {
    who: Administrator,
    from: i64,
    /// Not included.
    to: i64,
    /// Seconds of a bucket.
    pub(super) width: i64,
    /// Start of the first bucket of this page.
    first: i64,
    /// Buckets of this page.
    count: i64,
    pub(super) by: Vec<Column>,
    projects: Vec<String>,
    users: Vec<String>,
    keys: Vec<String>,
    models: Vec<String>,
    /// Only batches are wanted, of which there are none.
    only_batches: bool,
}

impl Ask {
    pub(super) fn read(context: &Context, columns: &[Column]) -> Result<Self, Failure> {
        let costs = columns.contains(&Column::LineItem);
        let (width, default, most) = match context.query("bucket_width") {
            None | Some("1d") if costs => (DAY, 7, 180),
            None | Some("1d") => (DAY, 7, 31),
            Some("1h") if !costs => (HOUR, 24, 168),
            Some("1m") if !costs => (MINUTE, 60, 1440),
            Some(_) => {
                let known = if costs { "`1d`" } else { "`1m`, `1h` or `1d`" };
                return Err(Failure::invalid("bucket_width", format!("must be {known}")));
            }
        };
        let from = moment(context, "start_time")?;
        let from = from.ok_or_else(|| Failure::invalid("start_time", "is missing"))?;
        let now = clock::now().seconds().saturating_add(1);
        let to = moment(context, "end_time")?.unwrap_or(now);
        if to <= from {
            return Err(Failure::invalid("end_time", "must be after `start_time`"));
        }
        let start = from - from.rem_euclid(width);
        let first = match context.query("page") {
            None | Some("") => start,
            Some(page) => {
                let next = page.strip_prefix(PAGE_PREFIX).and_then(|it| it.parse::<i64>().ok());
                let fits = |it: &i64| it.rem_euclid(width) == 0 && start <= *it && *it < to;
                let next = next.filter(fits);
                next.ok_or_else(|| Failure::invalid("page", "must be a `next_page` of this query"))?
            }
        };
        let limit = i64::from(context.number("limit", default, most)?);
        let only_batches = match context.query("batch") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Failure::invalid("batch", "must be `true` or `false`")),
        };
        let left = (to - first).saturating_add(width - 1) / width;
        Ok(Self {
            who: context.who()?.clone(),
            from,
            to,
            width,
            first,
            count: limit.min(left),
            by: group_by(context, columns)?,
            projects: list(context, "project_ids")?,
            users: list(context, "user_ids")?,
            keys: list(context, "api_key_ids")?,
            models: list(context, "models")?,
            only_batches,
        })
    }

    /// What this page covers.
    pub(super) fn span(&self) -> Span {
        let moment = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
        let starts = moment(self.first.max(self.from));
        Span { starts, ends: moment(self.end().min(self.to)) }
    }

    fn end(&self) -> i64 {
        self.first.saturating_add(self.count.saturating_mul(self.width))
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = i64> {
        let (first, width) = (self.first, self.width);
        (0..self.count).map(move |at| first.saturating_add(at.saturating_mul(width)))
    }

    pub(super) fn bucket_of(&self, at: Timestamp) -> i64 {
        at.seconds() - at.seconds().rem_euclid(self.width)
    }

    /// Takes half of the buckets from the page; false if there is but one.
    pub(super) fn halve(&mut self) -> bool {
        let half = self.count / 2;
        if 0 < half {
            self.count = half;
        }
        0 < half
    }

    /// The cursor of the next page, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        (self.end() < self.to).then(|| format!("{PAGE_PREFIX}{}", self.end()))
    }

    pub(super) fn wants(&self, record: &UsageRecord) -> bool {
        let stamp = &record.stamp;
        let asked = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|wanted| wanted == value)
        };
        self.wants_of(stamp.project, &stamp.principal.to_string(), &stamp.key.to_string())
            && asked(&self.models, &stamp.model)
            && !self.only_batches
    }

    /// Whether somebody's use of a project is asked for, and the asker's to see.
    pub(super) fn wants_of(&self, project: ProjectId, user: &str, key: &str) -> bool {
        let asked = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|wanted| wanted == value)
        };
        asked(&self.projects, &project.to_string())
            && asked(&self.users, user)
            && asked(&self.keys, key)
            && self.who.rights.allow(Permission::ReadUsage, Reach::Project(project))
    }
}

fn moment(context: &Context, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = context.query(name) else { return Ok(None) };
    let seconds = text.parse::<i64>().ok().filter(|seconds| (0..=TIME_MAX).contains(seconds));
    seconds.map(Some).ok_or_else(|| Failure::invalid(name, "must be Unix seconds"))
}

fn group_by(context: &Context, columns: &[Column]) -> Result<Vec<Column>, Failure> {
    let mut by = Vec::new();
    for word in context.queries("group_by") {
        let column = columns.iter().find(|column| column.word() == word);
        let column = column.ok_or_else(|| {
            let known: Vec<&str> = columns.iter().map(|column| column.word()).collect();
            Failure::invalid("group_by", format!("must be of: {}", known.join(", ")))
        })?;
        if !by.contains(column) {
            by.push(*column);
        }
    }
    Ok(by)
}

pub(super) fn list(context: &Context, name: &str) -> Result<Vec<String>, Failure> {
    let wanted: Vec<String> = context.queries(name).into_iter().map(str::to_owned).collect();
    match wanted.len() {
        ..=WANTED_MAX => Ok(wanted),
        _ => Err(Failure::invalid(name, format!("at most {WANTED_MAX} values"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Proof;
    use policies::{
        ids::{OrgId, UserId},
        rights::Rights,
    };

    /// All of `from..to` in buckets of a minute, `count` of them on a page.
    fn ask(from: i64, to: i64, first: i64, count: i64) -> Ask {
        let org = OrgId::from_bytes([1; 16]);
        let proof = Proof::Session(UserId::from_bytes([2; 16]), [0; 32]);
        let rights = Rights::default();
        Ask {
            who: Administrator {
                org,
                home: org,
                org_is_open: false,
                proof,
                name: "lin".to_owned(),
                rights,
            },
            from,
            to,
            width: MINUTE,
            first,
            count,
            by: Vec::new(),
            projects: Vec::new(),
            users: Vec::new(),
            keys: Vec::new(),
            models: Vec::new(),
            only_batches: false,
        }
    }

    #[test]
    fn a_page_that_is_cut_goes_on_where_it_ended() {
        let mut page = ask(90, 1000, 60, 16);
        assert_eq!(page.next(), None);

        while page.halve() {}

        assert_eq!(page.buckets().collect::<Vec<_>>(), [60]);
        assert_eq!(page.span(), Span { starts: Timestamp(90_000), ends: Timestamp(120_000) });
        assert_eq!(page.next().as_deref(), Some("page_120"));
    }

    #[test]
    fn pages_cover_every_moment_once() {
        let (from, to) = (90, 1000);
        let (mut first, mut covered) = (60, from * 1000);
        loop {
            let page = ask(from, to, first, 3);
            assert_eq!(page.span().starts, Timestamp(covered));
            covered = page.span().ends.0;
            let Some(next) = page.next() else { break };
            first = next.strip_prefix(PAGE_PREFIX).unwrap().parse().unwrap();
        }
        assert_eq!(covered, to * 1000);
    }
}
