//! The simulated models, and how a name is read: a model, then directives joined by `-`.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

/// A model the simulator offers.
pub struct Model {
    pub name: &'static str,
    pub about: &'static str,
    pub(super) base: Base,
    /// The length of an answer nobody bounds, in tokens.
    pub(super) output_tokens: u64,
    /// Hidden tokens before the first that is seen.
    pub(super) thinking_tokens: u64,
    /// Wait before the first byte.
    pub(super) delay_millis: u64,
    /// Wait between two tokens.
    pub(super) gap_millis: u64,
}

/// Every model there is; `GET /v1/models` lists these.
pub const MODELS: [Model; 8] = [
    model("sim-economy", "quick and short: 24 tokens", Base::Chat, [24, 0, 5, 1]),
    model("sim-standard", "the usual answer: 60 tokens", Base::Chat, [60, 0, 20, 2]),
    model("sim-frontier", "slower and longer: 120 tokens", Base::Chat, [120, 0, 60, 5]),
    model("sim-reasoner", "40 hidden tokens, then 60", Base::Chat, [60, 40, 20, 2]),
    model(
        "sim-lockstep",
        "sends a token when told: POST /oracle/step",
        Base::Lockstep,
        [60, 0, 0, 0],
    ),
    model("sim-embed", "vectors, not text", Base::Embed, [0, 0, 2, 0]),
    model("sim-fixed", "precomputed bytes, for benches", Base::Fixed, [100, 0, 0, 0]),
    model("sim-fixed-paced", "the same stream, a chunk each 10 ms", Base::Fixed, [100, 0, 0, 10]),
];

/// What may be appended to a name, and what it does. `N` is a number, `MS` milliseconds.
pub const DIRECTIVES: [(&str, &str); 38] = [
    ("outN", "the answer has N tokens"),
    ("thinkN", "N hidden reasoning tokens"),
    ("cachedN", "N prompt tokens are reported as cached"),
    ("toolsN", "N tool calls, where the request has tools"),
    ("delayMS", "wait before the first byte"),
    ("gapMS", "wait between two tokens"),
    ("cjk", "characters of many bytes in place of words"),
    ("bytewise", "each byte of a stream in its own write"),
    ("crlf", "a stream's lines end in CRLF"),
    ("comments", "a `: keep-alive` comment before each event"),
    ("statusN", "answer with this status, 400 to 599"),
    ("raN", "with `retry-after: N`"),
    ("radate", "with a retry-after date in the far future"),
    ("rabad", "with a retry-after that cannot be read"),
    ("flapN", "each Nth request succeeds, the others get 503"),
    ("reset", "close the connection, answering nothing"),
    ("hang", "accept the request and never answer"),
    ("truncN", "cut the connection after N tokens"),
    ("eofN", "end the body in good order after N tokens, without a finish"),
    ("errN", "an error event after N tokens, then the end"),
    ("garbageN", "an event that is not JSON after N tokens, then go on"),
    ("stallN", "send nothing after N tokens; 0 is headers only"),
    ("nodone", "finish, but never say [DONE]"),
    ("nousage", "never report usage"),
    ("uneg", "report negative usage"),
    ("unan", "report NaN as usage"),
    ("uhuge", "report 2^63 output tokens"),
    ("uzero", "report no tokens at all"),
    ("uzeros", "report no tokens at all, twice"),
    ("uodd", "report no tokens, and one in total"),
    ("uhalf", "report output tokens alone"),
    ("uvast", "report 2^39 tokens of each kind"),
    ("uover", "report ten times what was sent"),
    ("utwice", "report usage twice"),
    ("uearly", "report usage on the event that holds the finish"),
    ("ulate", "report usage after [DONE]"),
    ("ualways", "report usage on a stream even where not asked"),
    ("ustring", "report numbers as strings"),
];

/// The longest answer a name or a request can ask for, in tokens.
pub(super) const OUTPUT_TOKENS_MAX: u64 = 100_000;
/// The longest wait a name can ask for.
const WAIT_MILLIS_MAX: u64 = 600_000;
const NAME_BYTES_MAX: usize = 256;
const TOOL_CALLS_MAX: u64 = 16;

/// The table of models and directives, for the command line.
pub fn help() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = String::from("Models:\n");
        for model in &MODELS {
            let _ = writeln!(text, "  {:16} {}", model.name, model.about);
        }
        text.push_str("\nDirectives, appended to a model as in `sim-standard-out500-gap10`:\n");
        for (form, about) in DIRECTIVES {
            let _ = writeln!(text, "  -{form:15} {about}");
        }
        text
    });
    &TEXT
}

/// What kind of thing a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Chat,
    Lockstep,
    Embed,
    Fixed,
}

/// How a request begins to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Answer,
    Status(u16),
    Flap(u64),
    Reset,
    Hang,
}

/// How a retry is spoken of beside a failing status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Unsaid,
    Secs(u64),
    Date,
    Unreadable,
}

/// What goes wrong once an answer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    Truncate,
    End,
    Error,
    Garbage,
    Stall,
}

// === impl Mishap ===

impl Mishap {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Truncate => "trunc",
            Self::End => "eof",
            Self::Error => "err",
            Self::Garbage => "garbage",
            Self::Stall => "stall",
        }
    }
}

/// What is said of the tokens used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    True,
    Always,
    Never,
    Negative,
    NotANumber,
    Huge,
    Zero,
    Zeros,
    Odd,
    Half,
    Vast,
    Tenfold,
    Twice,
    Early,
    Late,
    Text,
}

/// How a stream's events are put on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) bytewise: bool,
    pub(super) crlf: bool,
    pub(super) comments: bool,
    pub(super) no_done: bool,
}

/// A model's name, read: everything the simulator will do with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) base: Base,
    pub(super) output_tokens: u64,
    pub(super) thinking_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) tool_calls: Option<u64>,
    pub(super) delay: Duration,
    pub(super) gap: Duration,
    pub(super) wide: bool,
    pub(super) framing: Framing,
    pub(super) opening: Opening,
    pub(super) retry_after: RetryAfter,
    /// What goes wrong, and after how many tokens.
    pub(super) mishap: Option<(Mishap, u64)>,
    pub(super) report: Report,
}

// === impl Report ===

impl Report {
    /// How often it is told; an early or a late one in its own place.
    pub(super) fn times(self) -> usize {
        match self {
            Self::Never => 0,
            Self::Twice | Self::Zeros => 2,
            Self::True
            | Self::Always
            | Self::Negative
            | Self::NotANumber
            | Self::Huge
            | Self::Zero
            | Self::Odd
            | Self::Half
            | Self::Vast
            | Self::Tenfold
            | Self::Early
            | Self::Late
            | Self::Text => 1,
        }
    }
}

// === impl Script ===

impl Script {
    /// Reads a name. Nothing if no model or directive is called so, or a number is out of range.
    pub(super) fn read(name: &str) -> Option<Self> {
        if NAME_BYTES_MAX < name.len() {
            return None;
        }
        if let Some(model) = MODELS.iter().find(|model| model.name == name) {
            return Some(Self::of(model));
        }
        let mut parts = name.split('-');
        let (sim, word) = (parts.next()?, parts.next()?);
        let named = |model: &&Model| {
            model.name.strip_prefix(sim).and_then(|rest| rest.strip_prefix('-')) == Some(word)
        };
        let model = MODELS.iter().find(named)?;
        // The fixed answers are made beforehand and know no directives.
        if sim != "sim" || model.base == Base::Fixed {
            return None;
        }
        parts.try_fold(Self::of(model), |script, part| script.directed(part))
    }

    fn of(model: &Model) -> Self {
        Self {
            base: model.base,
            output_tokens: model.output_tokens,
            thinking_tokens: model.thinking_tokens,
            cached_tokens: 0,
            tool_calls: None,
            delay: Duration::from_millis(model.delay_millis),
            gap: Duration::from_millis(model.gap_millis),
            wide: false,
            framing: Framing::default(),
            opening: Opening::Answer,
            retry_after: RetryAfter::Unsaid,
            mishap: None,
            report: Report::True,
        }
    }

    fn directed(mut self, part: &str) -> Option<Self> {
        let digits = part.find(|letter: char| letter.is_ascii_digit()).unwrap_or(part.len());
        let (word, number) = part.split_at(digits);
        if number.is_empty() {
            self.switched(word)?;
        } else {
            self.numbered(word, number.parse().ok()?)?;
        }
        Some(self)
    }

    fn numbered(&mut self, word: &str, number: u64) -> Option<()> {
        let within = |most: u64| (number <= most).then_some(number);
        match word {
            "out" => self.output_tokens = within(OUTPUT_TOKENS_MAX)?,
            "think" => self.thinking_tokens = within(OUTPUT_TOKENS_MAX)?,
            "cached" => self.cached_tokens = number,
            "tools" => self.tool_calls = Some(within(TOOL_CALLS_MAX)?),
            "delay" => self.delay = Duration::from_millis(within(WAIT_MILLIS_MAX)?),
            "gap" => self.gap = Duration::from_millis(within(WAIT_MILLIS_MAX)?),
            "status" => {
                let status = u16::try_from(number).ok()?;
                (400..600).contains(&status).then(|| self.opening = Opening::Status(status))?;
            }
            "ra" => self.retry_after = RetryAfter::Secs(number),
            "flap" => self.opening = Opening::Flap(number.max(1)),
            "trunc" => self.mishap = Some((Mishap::Truncate, number)),
            "eof" => self.mishap = Some((Mishap::End, number)),
            "err" => self.mishap = Some((Mishap::Error, number)),
            "garbage" => self.mishap = Some((Mishap::Garbage, number)),
            "stall" => self.mishap = Some((Mishap::Stall, number)),
            _ => return None,
        }
        Some(())
    }

    fn switched(&mut self, word: &str) -> Option<()> {
        match word {
            "cjk" => self.wide = true,
            "bytewise" => self.framing.bytewise = true,
            "crlf" => self.framing.crlf = true,
            "comments" => self.framing.comments = true,
            "nodone" => self.framing.no_done = true,
            "radate" => self.retry_after = RetryAfter::Date,
            "rabad" => self.retry_after = RetryAfter::Unreadable,
            "reset" => self.opening = Opening::Reset,
            "hang" => self.opening = Opening::Hang,
            "nousage" => self.report = Report::Never,
            "uneg" => self.report = Report::Negative,
            "unan" => self.report = Report::NotANumber,
            "uhuge" => self.report = Report::Huge,
            "uzero" => self.report = Report::Zero,
            "uzeros" => self.report = Report::Zeros,
            "uodd" => self.report = Report::Odd,
            "uhalf" => self.report = Report::Half,
            "uvast" => self.report = Report::Vast,
            "uover" => self.report = Report::Tenfold,
            "utwice" => self.report = Report::Twice,
            "uearly" => self.report = Report::Early,
            "ulate" => self.report = Report::Late,
            "ualways" => self.report = Report::Always,
            "ustring" => self.report = Report::Text,
            _ => return None,
        }
        Some(())
    }
}

const fn model(
    name: &'static str,
    about: &'static str,
    base: Base,
    [output_tokens, thinking_tokens, delay_millis, gap_millis]: [u64; 4],
) -> Model {
    Model { name, about, base, output_tokens, thinking_tokens, delay_millis, gap_millis }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_and_every_documented_directive_is_read() {
        for model in &MODELS {
            assert!(Script::read(model.name).is_some(), "{}", model.name);
        }
        for (form, _) in DIRECTIVES {
            let form = form.replace("statusN", "status500").replace("MS", "7").replace('N', "5");
            assert!(Script::read(&format!("sim-standard-{form}")).is_some(), "{form}");
        }
    }

    #[test]
    fn directives_combine() {
        let script = Script::read("sim-standard-out500-gap10-trunc5-crlf-uover").unwrap();

        assert_eq!(script.output_tokens, 500);
        assert_eq!(script.gap, Duration::from_millis(10));
        assert_eq!(script.mishap, Some((Mishap::Truncate, 5)));
        assert_eq!(script.report, Report::Tenfold);
        assert!(script.framing.crlf);
    }

    #[test]
    fn a_name_that_is_not_known_is_not_read() {
        for name in [
            "",
            "sim",
            "sim-",
            "gpt-5",
            "sim-standard-",
            "sim-standard-out",
            "sim-standard-out5x",
            "sim-standard-out100001",
            "sim-standard-status200",
            "sim-standard-nonsense",
            "sim-fixed-out5",
            "economy-economy",
        ] {
            assert_eq!(Script::read(name), None, "{name}");
        }
    }
}
