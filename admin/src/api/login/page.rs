//! The few pages that are needed before the console: plain, without scripts, from here alone.

use crate::{context::Context, failure::Failure, service::sign_in::password::PASSWORD_CHARS_MIN};
use aws_lc_rs::digest;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What a sign-in page offers.
pub(super) struct Offer {
    pub(super) org: Option<String>,
    /// Names of identity providers, and where their sign-in begins.
    pub(super) providers: Vec<(String, String)>,
    /// Whether passwords of ours are taken.
    pub(super) local: bool,
    pub(super) return_to: String,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#f4f4f1;--card:#fff;--ink:#1c2024;--dim:#60646c;\
--line:#d5d6d2;--act:#0b5c55;--on:#fff;--bad:#a4262c}\
@media(prefers-color-scheme:dark){:root{--back:#131516;--card:#1c1f21;--ink:#eceeee;--dim:#a0a6aa;\
--line:#3a3f42;--act:#5fc9bd;--on:#08211f;--bad:#ff9a93}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;\
padding:1.5rem;background:var(--back);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:23rem;padding:2rem;background:var(--card);border:1px solid var(--line);\
border-radius:.75rem}\
.mark{margin:0 0 1.5rem;font-weight:650;letter-spacing:.02em;color:var(--act)}\
h1{margin:0 0 .25rem;font-size:1.35rem;line-height:1.25}p{margin:0 0 1.25rem;color:var(--dim)}\
form{display:grid;gap:1rem}label{display:grid;gap:.3rem;font-size:.9rem;font-weight:550}\
small{font-weight:400;color:var(--dim)}\
input{width:100%;padding:.6rem .7rem;font:inherit;color:inherit;background:var(--back);\
border:1px solid var(--line);border-radius:.45rem}\
button,.act{display:block;width:100%;padding:.65rem 1rem;font:inherit;font-weight:600;\
text-align:center;text-decoration:none;color:var(--on);background:var(--act);\
border:1px solid transparent;\
border-radius:.45rem;cursor:pointer}\
.act{margin-bottom:.6rem}button:hover,.act:hover{filter:brightness(1.08)}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}\
.or{margin:1.25rem 0;text-align:center;font-size:.85rem}\
.bad{padding:.6rem .8rem;color:var(--bad);border:1px solid currentColor;border-radius:.45rem}";

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// The sign-in page; `failure` is why the last try did not work.
pub(super) fn login(context: &Context, offer: &Offer, failure: Option<&Failure>) -> Response {
    let mut body = String::from("<h1>Sign in</h1>");
    match &offer.org {
        Some(org) => body.push_str(&format!("<p>to {}</p>", escaped(org))),
        None => body.push_str("<p>with your organization, or as an operator</p>"),
    }
    body.push_str(&complaint(failure));
    for (name, url) in &offer.providers {
        let (name, url) = (escaped(name), escaped(url));
        body.push_str(&format!("<a class=\"act\" href=\"{url}\">Continue with {name}</a>"));
    }
    if offer.local {
        if !offer.providers.is_empty() {
            body.push_str("<p class=\"or\">or with a password</p>");
        }
        body.push_str(&password_form(offer));
    }
    if offer.org.is_none() {
        body.push_str(
            "<p class=\"or\">Single sign-on? Name your organization:</p>\
             <form method=\"get\" action=\"/login\"><label>Organization\
             <input name=\"org\" required autocomplete=\"organization\"></label>\
             <button>Continue</button></form>",
        );
    }
    let status = failure.map_or(StatusCode::OK, Failure::status);
    page(context, status, "Sign in", &body)
}

fn password_form(offer: &Offer) -> String {
    let back = escaped(&offer.return_to);
    let org = match &offer.org {
        Some(org) => {
            format!("<input type=\"hidden\" name=\"org\" value=\"{}\">", escaped(org))
        }
        None => "<label>Organization <small>empty for operators of this installation</small>\
                 <input name=\"org\" autocomplete=\"organization\"></label>"
            .to_owned(),
    };
    format!(
        "<form method=\"post\" action=\"/login/local\">\
         <input type=\"hidden\" name=\"return_to\" value=\"{back}\">{org}\
         <label>Email<input name=\"email\" type=\"email\" required autocomplete=\"username\">\
         </label><label>Password<input name=\"password\" type=\"password\" required \
         autocomplete=\"current-password\"></label><button>Sign in</button></form>"
    )
}

/// The page of the one-time setup link.
pub(in crate::api) fn setup(context: &Context, token: &str, failure: Option<&Failure>) -> Response {
    let token = escaped(token);
    let complaint = complaint(failure);
    let body = format!(
        "<h1>Welcome to Penstock</h1><p>Make the account that runs this installation. This link \
         works once.</p>{complaint}<form method=\"post\" action=\"/setup\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <label>Email<input name=\"email\" type=\"email\" required autofocus \
         autocomplete=\"username\"></label>\
         <label>Password <small>at least {PASSWORD_CHARS_MIN} characters</small>\
         <input name=\"password\" type=\"password\" required minlength=\"{PASSWORD_CHARS_MIN}\" \
         autocomplete=\"new-password\"></label>\
         <label>First organization <small>optional; you will own it</small>\
         <input name=\"org\" autocomplete=\"organization\"></label>\
         <button>Set up</button></form>"
    );
    let status = failure.map_or(StatusCode::OK, Failure::status);
    page(context, status, "Set up", &body)
}

/// A page that only tells that it did not work.
pub(super) fn failed(context: &Context, failure: &Failure) -> Response {
    let body = format!(
        "<h1>Not signed in</h1>{}<a class=\"act\" href=\"/login\">Try again</a>",
        complaint(Some(failure))
    );
    page(context, failure.status(), "Not signed in", &body)
}

/// Sends a browser on with a GET (RFC 9110, section 15.4.4).
pub(in crate::api) fn redirect(to: &str) -> Response {
    let mut answer = Response::new(axum::body::Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, to);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// All who cannot sign in read the same.
fn complaint(failure: Option<&Failure>) -> String {
    let said = match failure {
        None => return String::new(),
        Some(Failure::TooMany { retry_secs }) => {
            format!("Too many tries. Wait {retry_secs} seconds, then try again.")
        }
        Some(Failure::Unavailable) => "Something does not answer. Try again.".to_owned(),
        Some(Failure::Invalid(mistakes)) => {
            let mistakes = mistakes.iter().map(|it| format!("{} {}", it.field, it.message));
            mistakes.collect::<Vec<_>>().join("; ")
        }
        Some(Failure::Taken { what }) => format!("{what} is taken."),
        Some(_) => "That did not work. Try again, or ask an administrator.".to_owned(),
    };
    format!("<p class=\"bad\" role=\"alert\">{}</p>", escaped(&said))
}

fn page(_: &Context, status: StatusCode, title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} - Penstock</title><style>{STYLE}</style></head>\
         <body><main><p class=\"mark\">Penstock</p>{body}</main></body></html>\n"
    );
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The address of the setup page holds its code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

/// Text as it may stand between tags and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_text_becomes_a_tag_or_ends_an_attribute() {
        assert_eq!(escaped("<a b='\"&\"'>"), "&lt;a b=&#39;&quot;&amp;&quot;&#39;&gt;");
    }
}
