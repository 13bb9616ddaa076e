//! How people sign in to the console: what every way of it shares.

pub mod begun;
pub mod failures;
pub mod password;
pub mod public_url;
pub mod session;
pub mod throttle;

use self::{
    begun::Begun, failures::Failures, password::Passwords, public_url::PublicUrl,
    throttle::Throttle,
};
use crate::{context::Context, failure::Failure};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use policies::ids::OrgId;
use std::{net::SocketAddr, sync::Arc};
use store::{
    audit::{Act, Actor, ActorKind, Outcome},
    entropy,
    seal::Keeper,
};

/// Hours after which a session is over, whether it is used or not.
pub const SESSION_HOURS_DEFAULT: u32 = 12;
/// The same, at most.
pub const SESSION_HOURS_MAX: u32 = 24;

/// Bytes of chance in tokens and codes.
const SECRET_BYTES: usize = 32;
/// Characters of what somebody who failed called themselves, in the audit log.
const ATTEMPT_CHARS_MAX: usize = 128;

/// What signing in needs to know and to remember.
pub struct SignIn {
    /// Where browsers find the console.
    pub public_url: PublicUrl,
    pub session_hours: u32,
    /// Reads a variable of the environment, for client secrets that are kept there.
    pub environment: fn(&str) -> Option<String>,
    /// Opens client secrets that are sealed in the store; none: those cannot be used.
    pub keeper: Option<Arc<Keeper>>,
    pub passwords: Passwords,
    pub throttle: Throttle,
    /// Sign-ins that wait for an identity provider.
    pub begun: Begun,
    /// Keys and tokens that were none.
    pub failures: Failures,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            public_url: PublicUrl::of_listener(SocketAddr::from(([127, 0, 0, 1], 8081))),
            session_hours: SESSION_HOURS_DEFAULT,
            environment: |_| None,
            keeper: None,
            passwords: Passwords::default(),
            throttle: Throttle::default(),
            begun: Begun::default(),
            failures: Failures::default(),
        }
    }
}

/// A new secret for a token, a code or a cookie: 43 characters that carry 32 random bytes.
pub fn secret() -> Result<String, entropy::Dry> {
    let mut random = [0; SECRET_BYTES];
    entropy::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Something that follows from secrets and does not tell them: its base64url SHA-256.
pub(crate) fn derived(parts: &[&str]) -> String {
    let hash = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// A row of the audit log about somebody who is not signed in yet.
pub(crate) fn act(context: &Context, action: &str, actor: Actor) -> Act {
    Act { actor, via: "login".to_owned(), ..context.act(action) }
}

/// Writes down that somebody could not sign in, and why. They are told nothing but that.
pub(crate) async fn failed(
    context: &Context,
    org: &OrgId,
    attempt: &str,
    reason: &str,
) -> Result<Failure, Failure> {
    // Who types a password in the wrong field does not want to find it in a log.
    let is_address = attempt.contains('@') && !attempt.chars().any(char::is_whitespace);
    let name = if is_address { attempt } else { "" };
    let name = name.chars().filter(|it| !it.is_control()).take(ATTEMPT_CHARS_MAX).collect();
    let actor = Actor { kind: ActorKind::Anonymous, id: String::new(), name };
    let mut row = act(context, "login.failed", actor);
    row.outcome = Outcome::Refused;
    row.reason = Some(reason.to_owned());
    context.services.store.append(org, vec![row]).await?;
    Ok(not_let_in())
}

/// What everybody is told who cannot sign in.
pub(crate) fn not_let_in() -> Failure {
    Failure::NotLetIn {
        detail: "the organization, the address or the password is wrong, or this way in is closed \
                 to you; the audit log tells administrators which",
    }
}
