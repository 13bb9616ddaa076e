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
    /// As it was typed at the last try.
    pub(super) email: Option<String>,
}

/// What somebody typed at a try that did not work: nothing but the password is typed again.
#[derive(Default)]
pub(in crate::api) struct Typed {
    pub(in crate::api) org: Option<String>,
    pub(in crate::api) email: Option<String>,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#f4f4f1;--card:#fff;--ink:#1c2024;--dim:#60646c;\
--line:#d5d6d2;--edge:#73777d;--act:#0b5c55;--on:#fff;--bad:#a4262c}\
@media(prefers-color-scheme:dark){:root{--back:#131516;--card:#1c1f21;--ink:#eceeee;--dim:#a0a6aa;\
--line:#3a3f42;--edge:#868d92;--act:#5fc9bd;--on:#08211f;--bad:#ff9a93}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;\
padding:1.5rem;background:var(--back);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:23rem;padding:2rem;background:var(--card);border:1px solid var(--line);\
border-radius:.75rem}\
.mark{margin:0 0 1.5rem;font-weight:650;letter-spacing:.02em;color:var(--act)}\
h1{margin:0 0 .25rem;font-size:1.35rem;line-height:1.25}p{margin:0 0 1.25rem;color:var(--dim)}\
main>p>a,main>a:not(.act),li>a{color:var(--act)}ul{margin:0 0 1.25rem;padding-left:1.2rem}\
form{display:grid;gap:1rem}label{display:grid;gap:.3rem;font-size:.9rem;font-weight:550}\
small{font-weight:400;color:var(--dim)}\
input{width:100%;padding:.6rem .7rem;font:inherit;color:inherit;background:var(--back);\
border:1px solid var(--edge);border-radius:.45rem}\
button,.act{display:block;width:100%;padding:.65rem 1rem;font:inherit;font-weight:600;\
text-align:center;text-decoration:none;color:var(--on);background:var(--act);\
border:1px solid transparent;\
border-radius:.45rem;cursor:pointer}\
.act{margin-bottom:.6rem}button:hover,.act:hover{filter:brightness(1.08)}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}\
.or{margin:1.25rem 0;text-align:center;font-size:.85rem}\
.bad{padding:.6rem .8rem;color:var(--bad);border:1px solid currentColor;border-radius:.45rem}";

const FOCUS: &str = " autofocus";

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// The sign-in page; `failure` is why the last try did not work.
pub(super) fn login(context: &Context, offer: &Offer, failure: Option<&Failure>) -> Response {
    let mut body = String::from("<h1>Sign in</h1>");
    match &offer.org {
        Some(org) => body.push_str(&format!("<p>to {}</p>", escaped(org))),
        None => body.push_str("<p>with your organization, or as an operator</p>"),
    }
    body.push_str(&complaint(failure));
    for (place, (name, url)) in offer.providers.iter().enumerate() {
        let (name, url) = (escaped(name), escaped(url));
        let first = if place == 0 && offer.email.is_none() { FOCUS } else { "" };
        body.push_str(&format!("<a class=\"act\"{first} href=\"{url}\">Continue with {name}</a>"));
    }
    if offer.local {
        if !offer.providers.is_empty() {
            body.push_str("<p class=\"or\">or with a password</p>");
        }
        body.push_str(&password_form(offer));
    }
    if offer.org.is_some() {
        body.push_str("<p class=\"or\"><a href=\"/login\">Another organization</a></p>");
    } else {
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
    let email = escaped(offer.email.as_deref().unwrap_or_default());
    // The first field that is still to be filled in.
    let [of_org, of_email, of_password] = match (&offer.email, &offer.org) {
        (Some(_), _) => ["", "", FOCUS],
        (None, Some(_)) if offer.providers.is_empty() => ["", FOCUS, ""],
        (None, Some(_)) => ["", "", ""],
        (None, None) => [FOCUS, "", ""],
    };
    let org = match &offer.org {
        Some(org) => {
            format!("<input type=\"hidden\" name=\"org\" value=\"{}\">", escaped(org))
        }
        None => format!(
            "<label>Organization <small>empty for operators of this installation</small>\
             <input name=\"org\"{of_org} autocomplete=\"organization\"></label>"
        ),
    };
    format!(
        "<form method=\"post\" action=\"/login/local\">\
         <input type=\"hidden\" name=\"return_to\" value=\"{back}\">{org}\
         <label>Email<input name=\"email\" type=\"email\" required{of_email} value=\"{email}\" \
         autocomplete=\"username\"></label>\
         <label>Password<input name=\"password\" type=\"password\" required{of_password} \
         autocomplete=\"current-password\"></label><button>Sign in</button></form>"
    )
}

/// The page of the one-time setup link.
pub(in crate::api) fn setup(
    context: &Context,
    token: &str,
    typed: &Typed,
    failure: Option<&Failure>,
) -> Response {
    let token = escaped(token);
    let of = |text: &Option<String>| escaped(text.as_deref().unwrap_or_default());
    let (email, org) = (of(&typed.email), of(&typed.org));
    let [of_email, of_password] = if email.is_empty() { [FOCUS, ""] } else { ["", FOCUS] };
    let complaint = complaint(failure);
    let body = format!(
        "<h1>Welcome to Penstock</h1><p>Make the account that runs this installation. This link \
         works once.</p>{complaint}<form method=\"post\" action=\"/setup\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <label>Email<input name=\"email\" type=\"email\" required{of_email} value=\"{email}\" \
         autocomplete=\"username\"></label>\
         <label>Password <small>at least {PASSWORD_CHARS_MIN} characters</small>\
         <input name=\"password\" type=\"password\" required{of_password} minlength=\"{PASSWORD_CHARS_MIN}\" \
         autocomplete=\"new-password\"></label>\
         <label>First organization <small>optional; you will own it</small>\
         <input name=\"org\" value=\"{org}\" autocomplete=\"organization\"></label>\
         <button>Set up</button></form>"
    );
    let status = failure.map_or(StatusCode::OK, Failure::status);
    page(context, status, "Set up", &body)
}

/// The page of a link by which `user` sets a password.
pub(in crate::api) fn first_password(
    context: &Context,
    token: &str,
    user: &str,
    failure: Option<&Failure>,
) -> Response {
    let (token, user, complaint) = (escaped(token), escaped(user), complaint(failure));
    let body = format!(
        "<h1>Set a password</h1><p>For {user}. This link works once.</p>{complaint}\
         <form method=\"post\" action=\"/setup\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <label>Password <small>at least {PASSWORD_CHARS_MIN} characters</small>\
         <input name=\"password\" type=\"password\" required{FOCUS} \
         minlength=\"{PASSWORD_CHARS_MIN}\" autocomplete=\"new-password\"></label>\
         <button>Set it</button></form>"
    );
    let status = failure.map_or(StatusCode::OK, Failure::status);
    page(context, status, "Set a password", &body)
}

/// The page of a setup link that opens nothing.
pub(in crate::api) fn void_link(context: &Context) -> Response {
    let body = format!(
        "<h1>This link does not work</h1>{}<a class=\"act\" href=\"/login\">Sign in</a>",
        complaint(Some(&crate::api::setup::VOID))
    );
    page(context, StatusCode::NOT_FOUND, "Set up", &body)
}

/// Where the admin listener begins, until there is more to see.
pub(in crate::api) fn landing(context: &Context, signed_in: bool) -> Response {
    let way = match signed_in {
        true => {
            "<a class=\"act\" href=\"/admin/v1/me\">Who you are, and what you may do</a>\
             <form method=\"post\" action=\"/logout\"><button>Sign out</button></form>"
        }
        false => "<a class=\"act\" autofocus href=\"/login\">Sign in</a>",
    };
    let body = format!(
        "<h1>Penstock</h1><p>This is where an installation is administered. Models are called at \
         its client listener.</p>{way}<p class=\"or\"><a href=\"/docs/\">Manual</a> · \
         <a href=\"/docs/openapi.json\">API description</a> · <a href=\"/readyz\">Readiness</a></p>"
    );
    page(context, StatusCode::OK, "Administration", &body)
}

/// The manual's table of contents: each page's address and title.
pub(in crate::api) fn contents(context: &Context, pages: &[(String, &str)]) -> Response {
    let line = |(path, title): &(String, &str)| {
        format!("<li><a href=\"{}\">{}</a></li>", escaped(path), escaped(title))
    };
    let lines: String = pages.iter().map(line).collect();
    let body = format!("<h1>Manual</h1><ul>{lines}</ul><a href=\"/\">Back</a>");
    page(context, StatusCode::OK, "Manual", &body)
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
            let seconds = if *retry_secs == 1 { "second" } else { "seconds" };
            format!("Too many tries. Wait {retry_secs} {seconds}, then try again.")
        }
        Some(Failure::Unavailable) => "Something does not answer. Try again.".to_owned(),
        Some(Failure::Invalid(mistakes)) => {
            let mistakes = mistakes.iter().map(|it| format!("{} {}", it.field, it.message));
            mistakes.collect::<Vec<_>>().join("; ")
        }
        Some(failure) if *failure == crate::api::setup::VOID => {
            "This setup link is wrong, older than 24 hours, or was used. As long as nobody runs \
             the installation, penstock serve prints a new one when it starts; for a user, \
             penstock setup-link makes a new one."
                .to_owned()
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
    use super::{STYLE, escaped};

    /// The colour of this name, in light and in dark.
    fn colours(name: &str) -> [f64; 2] {
        let mark = format!("--{name}:#");
        let found = STYLE.split(&mark).skip(1).map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
            let wide = if digits.len() == 3 { 1 } else { 2 };
            let part = |at: usize| {
                let text = &digits[at * wide..(at + 1) * wide];
                let text = if wide == 1 { text.repeat(2) } else { text.to_owned() };
                f64::from(u8::from_str_radix(&text, 16).unwrap()) / 255.0
            };
            // Relative luminance (WCAG 2.2).
            let linear = |part: f64| match part <= 0.04045 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            };
            0.2126 * linear(part(0)) + 0.7152 * linear(part(1)) + 0.0722 * linear(part(2))
        });
        found.collect::<Vec<_>>().try_into().unwrap()
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let pairs = colours(one).into_iter().zip(colours(other));
        let ratio = |(one, other): (f64, f64)| (one.max(other) + 0.05) / (one.min(other) + 0.05);
        pairs.map(ratio).fold(f64::INFINITY, f64::min)
    }

    /// WCAG 2.2, 1.4.11 and 1.4.3.
    #[test]
    fn fields_and_text_stand_out_in_light_and_in_dark() {
        for back in ["back", "card"] {
            assert!(3.0 <= contrast("edge", back), "edge on {back}: {}", contrast("edge", back));
            for ink in ["ink", "dim", "bad", "act"] {
                assert!(4.5 <= contrast(ink, back), "{ink} on {back}: {}", contrast(ink, back));
            }
        }
        assert!(4.5 <= contrast("on", "act"));
    }

    #[test]
    fn no_text_becomes_a_tag_or_ends_an_attribute() {
        assert_eq!(escaped("<a b='\"&\"'>"), "&lt;a b=&#39;&quot;&amp;&quot;&#39;&gt;");
    }
}
