//! [`Cells`] in Redis, or in what speaks its language, such as Valkey.
//!
//! One script for each call, by the server's time; all keys of an org under one hash tag, so that a
//! cluster has them in one place. Everything in it may be lost: replicas tell it again. Keys expire
//! by themselves.

mod address;

pub use self::address::Address;

use self::address::Connection;
use crate::{
    Fault,
    cells::{
        Attendance, Attended, Cells, Fit, Message, Reply, SEATS_SILENCE_MILLIS, Standing,
        WindowName,
    },
};
use ::redis::{ErrorKind, RedisError, Script, ScriptInvocation, Value, from_redis_value};
use async_trait::async_trait;
use policies::{
    ids::{BootId, OrgId},
    rate::claims::Meter,
    time::Timestamp,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const ATTENDANCE: &str = "penstock:attendance";

/// One Redis, a cluster of them, or a master that sentinels name.
pub struct Redis {
    address: Address,
    /// How long one answer may take.
    patience: Duration,
    connection: Mutex<Option<Connection>>,
    attend: Script,
    exchange: Script,
}

impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Redis({})", self.address)
    }
}

impl Redis {
    /// Connects at the first call, and again after each that came to no answer.
    pub fn new(address: Address, patience: Duration) -> Self {
        Self {
            address,
            patience,
            connection: Mutex::default(),
            attend: Script::new(include_str!("redis/attend.lua")),
            exchange: Script::new(include_str!("redis/exchange.lua")),
        }
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(&self, call: &ScriptInvocation<'_>) -> Result<Value, Fault> {
        let known = self.connection().clone();
        let mut connection = match known {
            Some(connection) => connection,
            None => self.address.connect(self.patience).await.map_err(|why| fault(&why))?,
        };
        let mut trial = Trial { of: self, held: None };
        let answer = connection.invoke(call).await.map_err(|why| fault(&why))?;
        trial.held = Some(connection);
        Ok(answer)
    }
}

/// One call over a connection. If it fails or is given up, no connection is left behind: whatever
/// is wrong with this one, a new one is not.
struct Trial<'r> {
    of: &'r Redis,
    held: Option<Connection>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        *self.of.connection() = self.held.take();
    }
}

#[async_trait]
impl Cells for Redis {
    async fn attend(&self, boot: &BootId) -> Result<Attendance, Fault> {
        let mut call = self.attend.key(ATTENDANCE);
        call.arg(hex::encode(boot.as_bytes())).arg(SEATS_SILENCE_MILLIS);
        let answer = self.invoke(&call).await?;
        let (known, others, now): (bool, Vec<(String, i64)>, i64) = read(answer)?;
        let others = others.iter().map(|(boot, unheard)| {
            let mut bytes = [0; 16];
            hex::decode_to_slice(boot, &mut bytes).map_err(|cause| odd(&cause))?;
            Ok(Attended { boot: BootId::from_bytes(bytes), unheard_millis: *unheard })
        });
        Ok(Attendance::of(*boot, known, others.collect::<Result<_, Fault>>()?, now))
    }

    async fn exchange(&self, org: &OrgId, boot: &BootId, message: Message) -> Result<Reply, Fault> {
        message.check()?;
        let names = message.names();
        let prefix = format!("penstock:{{{}}}", hex::encode(org.as_bytes()));
        let mut call = self.exchange.key(format!("{prefix}:heard"));
        for name in &names {
            call.key(format!("{prefix}:{}", name.key()));
        }
        call.arg(text(boot, &message, &names)).arg(SEATS_SILENCE_MILLIS);
        let answer = self.invoke(&call).await?;
        reply(answer, &names)
    }
}

/// The message as the script reads it: windows by their place among the keys.
fn text(boot: &BootId, message: &Message, names: &BTreeSet<WindowName>) -> String {
    let place = |window: &WindowName| {
        names.iter().position(|name| name == window).map_or(0, |place| place + 1)
    };
    let slot_millis = |name: &WindowName| match name.meter {
        Meter::Requests(stretch) | Meter::Tokens(stretch) => stretch.begins(1),
        Meter::Seats => 0,
    };
    let needs = message.needs.iter().map(|need| {
        let part = need
            .iter()
            .map(|(window, part)| json!([place(window), part.limit, part.least, part.most]));
        part.collect::<Vec<_>>()
    });
    let columns = message.columns.iter().map(|column| json!([place(&column.window), column.taken]));
    let silent = message.silent.iter().map(|boot| hex::encode(boot.as_bytes()));
    json!({
        "boot": hex::encode(boot.as_bytes()),
        "seq": message.seq,
        "answered": message.answered,
        "replicas": message.replicas,
        "silent": silent.collect::<BTreeSet<_>>(),
        "slots": names.iter().map(slot_millis).collect::<Vec<_>>(),
        "columns": columns.collect::<Vec<_>>(),
        "needs": needs.collect::<Vec<_>>(),
    })
    .to_string()
}

/// The window that lacks cells, or 0, and the wait.
type Fits = Vec<(usize, i64)>;
/// Window, cells granted, slot, cells used.
type Standings = Vec<(usize, i64, i64, i64)>;

fn reply(answer: Value, names: &BTreeSet<WindowName>) -> Result<Reply, Fault> {
    let (word, now, fits, windows): (String, i64, Fits, Standings) = read(answer)?;
    let name = |place: usize| {
        let name = place.checked_sub(1).and_then(|place| names.iter().nth(place));
        name.copied().ok_or_else(|| odd(&"no such window"))
    };
    match word.as_str() {
        "late" => Ok(Reply::Late),
        "forgotten" => Ok(Reply::Forgotten),
        _ => {
            let fits = fits.into_iter().map(|(place, wait_millis)| match place {
                0 => Ok(Fit::Granted),
                _ => Ok(Fit::Lacks { window: name(place)?, wait_millis }),
            });
            let windows = windows.into_iter().map(|(place, granted, slot, used)| {
                Ok(Standing { window: name(place)?, granted, slot, used })
            });
            let fits = fits.collect::<Result<_, Fault>>()?;
            let windows = windows.collect::<Result<_, Fault>>()?;
            Ok(Reply::Heard { fits, windows, now: Timestamp(now) })
        }
    }
}

fn read<T: ::redis::FromRedisValue>(answer: Value) -> Result<T, Fault> {
    from_redis_value(answer).map_err(|cause| odd(&cause))
}

fn odd(cause: &dyn fmt::Display) -> Fault {
    Fault::Unreadable { what: "answer of Redis", cause: cause.to_string() }
}

/// What the server refuses to whoever we are there is told from a server that is away.
fn fault(why: &RedisError) -> Fault {
    let refused = why.kind() == ErrorKind::AuthenticationFailed
        || why.code().is_some_and(|code| ["NOAUTH", "WRONGPASS", "NOPERM"].contains(&code));
    let cause = format!("redis: {why}");
    if refused { Fault::Refused(cause) } else { Fault::Away(cause) }
}
