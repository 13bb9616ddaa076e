//! The table of built-in rules; a new kind of data is a new row.

use super::{assignment, block, card, secret};
use std::ops::Range;

/// One kind of data: how it begins to look, and what proves it.
///
/// Patterns are ASCII only.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// What every value of the kind begins with, or has at its end where `check` looks back.
    ///
    /// All marks are one automaton that is built whole, so it must stay small for any text: no
    /// long repetition of a class that holds the beginning of a mark.
    pub(super) mark: &'static str,
    /// The mark and what must follow. No part without a bound may hold a mark, else text made of
    /// marks is read again and again; what is longer is for `check`.
    pub(super) pattern: &'static str,
    pub(super) check: fn(&str, Range<usize>, &mut Seen) -> Verdict,
    pub(super) weight: Weight,
}

/// Which rule names a finding when several overlap: later is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Secret because of what stands near.
    Nearby,
    /// Has the mark or the check digit of its kind.
    Exact,
}

/// What a check says of a match, and where reading goes on: never before the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Found { span: Range<usize>, resume: usize },
    Passed { resume: usize },
}

/// What checks of one text have read already, so that none reads it once more for each mark in it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Names that begin before here are part of one that was judged.
    pub(super) name: usize,
    /// The end of the word that holds the last value of a name, and the names judged in it.
    pub(super) word: usize,
    pub(super) word_names: usize,
    /// No web token begins before here.
    pub(super) jwt: usize,
}

impl Verdict {
    pub(super) fn whole(found: Range<usize>) -> Self {
        Self::Found { resume: found.end, span: found }
    }

    pub(super) fn resume(&self) -> usize {
        match self {
            Self::Found { resume, .. } | Self::Passed { resume } => *resume,
        }
    }
}

/// `id label weight check, mark => rest;`, where the pattern is the mark with the rest behind it.
macro_rules! rules {
    ($($id:literal $label:literal $weight:ident $check:path,
        $mark:literal $(=> $($rest:literal),+)?;)*) => {
        &[$(Rule {
            id: $id,
            label: $label,
            mark: $mark,
            pattern: concat!($mark $($(, $rest)+)?),
            check: $check,
            weight: Weight::$weight,
        },)*]
    };
}

/// Where two rules match at the same place, the earlier one is asked.
pub(super) const RULES: &[Rule] = rules! {
    // Keys of this gateway.
    "penstock_key" "secret.penstock" Exact secret::varied, r"\bpsk_" => r"[0-9A-Za-z_]{20,80}\b";

    // Clouds.
    "aws_access_key_id" "secret.aws" Exact secret::aws_id,
        r"\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])" => r"[A-Z2-7]{16}\b";
    "aws_secret_key" "secret.aws" Nearby assignment::value,
        r"(?i:aws_?(?:secret|session|access)|secret_?access_?key)";
    "aws_bedrock_key" "secret.aws" Exact secret::marked,
        r"\bABSK" => r"[A-Za-z0-9+/]{109,}={0,2}";
    "aws_bedrock_key" "secret.aws" Exact secret::marked,
        r"\bbedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t" => r"[A-Za-z0-9+/=]*";
    "google_api_key" "secret.google" Exact secret::varied, r"\bAIza" => r"[0-9A-Za-z_-]{35}";
    "google_oauth_secret" "secret.google" Exact secret::varied,
        r"\bGOCSPX-" => r"[0-9A-Za-z_-]{28}";
    "google_oauth_token" "secret.google" Exact secret::varied,
        r"\bya29\." => r"[0-9A-Za-z_-]{30,}";
    "google_refresh_token" "secret.google" Exact secret::varied,
        r"\b1//0" => r"[0-9A-Za-z_-]{40,}";
    "azure_storage_key" "secret.azure" Exact secret::varied,
        r"(?i:AccountKey|SharedAccessKey)=" => r"[A-Za-z0-9+/]{43,86}={1,2}";
    "azure_sas" "secret.azure" Exact secret::varied,
        r"[?&]sig=" => r"[A-Za-z0-9%+/]{40,80}(?:=|%3[dD])";
    "azure_ad_secret" "secret.azure" Exact secret::azure_ad,
        r"[0-9]Q~" => r"[A-Za-z0-9_~.-]{31,34}";
    "azure_devops_token" "secret.azure" Exact secret::azure_devops,
        r"AZDO" => r"[A-Za-z0-9]{4}\b";
    "digitalocean_token" "secret.digitalocean" Exact secret::varied,
        r"\bdo[opr]_v1_" => r"[a-f0-9]{64}\b";
    "heroku_key" "secret.heroku" Exact secret::varied, r"\bHRKU-" => r"[0-9A-Za-z_-]{36,64}";
    "alibaba_key_id" "secret.alibaba" Exact secret::varied, r"\bLTAI" => r"[A-Za-z0-9]{12,24}\b";
    "tencent_key_id" "secret.tencent" Exact secret::mixed, r"\bAKID" => r"[A-Za-z0-9]{32}\b";
    "yandex_key" "secret.yandex" Exact secret::varied, r"\bAQVN" => r"[A-Za-z0-9_-]{35,38}";
    "yandex_key" "secret.yandex" Exact secret::varied, r"\bYC" => r"[a-zA-Z0-9_-]{38}\b";
    "yandex_token" "secret.yandex" Exact secret::varied,
        r"\bt1\." => r"[A-Z0-9a-z_-]+={0,2}\.[A-Z0-9a-z_-]{86}={0,2}";
    "cloudflare_origin_key" "secret.cloudflare" Exact secret::varied,
        r"\bv1\.0-" => r"[a-f0-9]{24}-[a-f0-9]{146}\b";
    "flyio_token" "secret.flyio" Exact secret::varied, r"\bfo1_" => r"[A-Za-z0-9_-]{43}";
    "flyio_token" "secret.flyio" Exact secret::varied,
        r"\bfm[12][ar]?_" => r"[A-Za-z0-9+/]{100,}={0,3}";
    "openshift_token" "secret.openshift" Exact secret::varied, r"\bsha256~" => r"[A-Za-z0-9_-]{43}";
    "scaleway_key" "secret.scaleway" Exact secret::varied, r"\bSCW" => r"[A-Z0-9]{17}\b";

    // Source code and packages.
    "github_token" "secret.github" Exact secret::varied,
        r"\bgh[pousr]_" => r"[0-9A-Za-z]{36,}\b";
    "github_fine_grained" "secret.github" Exact secret::varied,
        r"\bgithub_pat_" => r"[0-9A-Za-z_]{50,}\b";
    "gitlab_token" "secret.gitlab" Exact secret::varied,
        r"\bgl(?:pat|dt|ptt|rt|cbt|ft|soat|agent|imt|ffct|oas|rtr)-" => r"[0-9A-Za-z_=.-]{20,}";
    "gitlab_token" "secret.gitlab" Exact secret::varied,
        r"\bGR1348941" => r"[0-9A-Za-z_-]{20}";
    "gitlab_session" "secret.gitlab" Exact secret::varied,
        r"\b_gitlab_session=" => r"[0-9a-z]{32}";
    "npm_token" "secret.npm" Exact secret::varied, r"\bnpm_" => r"[0-9A-Za-z]{36}\b";
    "pypi_token" "secret.pypi" Exact secret::varied, r"\bpypi-AgE" => r"[0-9A-Za-z_-]{50,}";
    "rubygems_key" "secret.rubygems" Exact secret::varied, r"\brubygems_" => r"[a-f0-9]{48}\b";
    "crates_token" "secret.crates" Exact secret::varied, r"\bcio" => r"[0-9A-Za-z]{32}\b";
    "nuget_key" "secret.nuget" Exact secret::varied, r"\boy2" => r"[a-z0-9]{43}\b";
    "clojars_token" "secret.clojars" Exact secret::varied, r"\bCLOJARS_" => r"[a-z0-9]{60}\b";
    "docker_token" "secret.docker" Exact secret::varied,
        r"\bdckr_(?:pat|oat)_" => r"[0-9A-Za-z_-]{27,36}";
    "artifactory_key" "secret.artifactory" Exact secret::varied,
        r"\bAKCp" => r"[A-Za-z0-9]{69}\b";
    "artifactory_key" "secret.artifactory" Exact secret::varied,
        r"\bcmVmd" => r"[A-Za-z0-9]{59}\b";
    "sourcegraph_token" "secret.sourcegraph" Exact secret::varied,
        r"\bsgp_" => r"(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40}\b";
    "sonar_token" "secret.sonar" Exact secret::varied, r"\bsq[upa]_" => r"[A-Za-z0-9=_-]{40}";
    "buildkite_token" "secret.buildkite" Exact secret::varied,
        r"\bbk(?:ua|agent)_" => r"[a-f0-9]{40}\b";
    "infracost_key" "secret.infracost" Exact secret::mixed, r"\bico-" => r"[A-Za-z0-9]{32}\b";
    "octopus_key" "secret.octopus" Exact secret::mixed, r"\bAPI-" => r"[A-Z0-9]{26}\b";

    // Models.
    "anthropic_key" "secret.anthropic" Exact secret::varied,
        r"\bsk-ant-" => r"(?:(?:api|admin)[0-9]{2}-[0-9A-Za-z_-]{93}AA\b",
        r"|o[ar]t[0-9]{2}-[0-9A-Za-z_-]{80,120})";
    "openai_key" "secret.openai" Exact secret::varied,
        r"\bsk-" => r"(?:(?:proj|svcacct|admin|None)-[0-9A-Za-z_-]{40,}",
        r"|[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20}\b|[0-9A-Za-z]{48}\b)";
    "openrouter_key" "secret.openrouter" Exact secret::varied, r"\bsk-or-v1-" => r"[a-f0-9]{64}\b";
    "deepseek_key" "secret.model" Exact secret::mixed, r"\bsk-" => r"[a-f0-9]{32}\b";
    "huggingface_token" "secret.huggingface" Exact secret::varied,
        r"\b(?:hf_|api_org_)" => r"[A-Za-z]{34}\b";
    "groq_key" "secret.groq" Exact secret::varied, r"\bgsk_" => r"[0-9A-Za-z]{52}\b";
    "xai_key" "secret.xai" Exact secret::varied, r"\bxai-" => r"[0-9A-Za-z]{70,90}\b";
    "replicate_token" "secret.replicate" Exact secret::varied, r"\br8_" => r"[0-9A-Za-z]{37}\b";
    "perplexity_key" "secret.perplexity" Exact secret::varied, r"\bpplx-" => r"[0-9A-Za-z]{48}\b";
    "langsmith_key" "secret.langsmith" Exact secret::varied,
        r"\blsv2_(?:pt|sk)_" => r"[a-f0-9]{32}_[a-f0-9]{10}\b";
    "nvidia_key" "secret.nvidia" Exact secret::varied, r"\bnvapi-" => r"[0-9A-Za-z_-]{60,70}";
    "databricks_token" "secret.databricks" Exact secret::varied,
        r"\bdapi" => r"[a-f0-9]{32}(?:-[0-9])?\b";

    // Chat, mail, telephony.
    "slack_token" "secret.slack" Exact secret::mixed,
        r"\bxox(?:[abposr]|e\.xox[bp]|e)-" => r"[0-9A-Za-z-]{10,}";
    "slack_app_token" "secret.slack" Exact secret::varied,
        r"\b(?i:xapp-)" => r"(?i:[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,80})";
    "slack_webhook" "secret.slack" Exact secret::varied,
        r"(?:\bhttps?://)?\bhooks\.slack\.com/(?:services|workflows|triggers)/"
        => r"[A-Za-z0-9+/]{40,60}";
    "discord_webhook" "secret.discord" Exact secret::varied,
        r"\bdiscord(?:app)?\.com/api/webhooks/" => r"[0-9]{17,20}/[0-9A-Za-z_-]{60,70}";
    // The first part is a number in base64: its first three digits can give no other letters.
    "discord_bot" "secret.discord" Exact secret::varied,
        r"\b[MNO][DTjz][AEIMQUYcgk][w-z0-5]"
        => r"[0-9A-Za-z]{19,24}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,40}";
    "teams_webhook" "secret.teams" Exact secret::varied,
        r"\bwebhook\.office\.com/webhookb2/"
        => r"[0-9a-f@/-]{72,80}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36}";
    "telegram_bot" "secret.telegram" Exact secret::varied,
        r"\b[0-9]{5,16}:AA" => r"[0-9A-Za-z_-]{32,34}";
    "sendgrid_key" "secret.sendgrid" Exact secret::varied,
        r"\bSG\." => r"[0-9A-Za-z_-]{20,24}\.[0-9A-Za-z_-]{39,50}";
    "sendinblue_key" "secret.brevo" Exact secret::varied,
        r"\bxkeysib-" => r"[a-f0-9]{64}-[0-9A-Za-z]{16}\b";
    "twilio_key" "secret.twilio" Exact secret::mixed, r"\bSK" => r"[0-9a-f]{32}\b";
    "mailgun_key" "secret.mailgun" Exact secret::mixed, r"\b(?:pub)?key-" => r"[0-9a-f]{32}\b";
    "mailgun_key" "secret.mailgun" Exact secret::mailgun, r"-[0-9a-f]{8}-" => r"[0-9a-f]{8}\b";
    "mailchimp_key" "secret.mailchimp" Exact secret::mailchimp, r"-us[0-9]{1,2}\b";

    // Money and shops.
    "stripe_key" "secret.stripe" Exact secret::varied,
        r"\b[sr]k_(?:live|test|prod)_" => r"[0-9A-Za-z]{10,}";
    "stripe_webhook" "secret.stripe" Exact secret::varied,
        r"\bwhsec_" => r"[0-9A-Za-z+/]{32,64}";
    "square_token" "secret.square" Exact secret::varied,
        r"\bsq0" => r"[a-z]{3}-[0-9A-Za-z_-]{22,43}";
    "square_token" "secret.square" Exact secret::varied, r"\bEAAA" => r"[A-Za-z0-9_+=/-]{56,60}";
    "shopify_token" "secret.shopify" Exact secret::varied,
        r"\bshp(?:at|ca|pa|ss|tka|ua)_" => r"[0-9a-fA-F]{32}\b";
    "paypal_token" "secret.paypal" Exact secret::varied,
        r"\baccess_token\$(?:production|sandbox)\$" => r"[0-9a-z]{16}\$[0-9a-f]{32}\b";
    "flutterwave_key" "secret.flutterwave" Exact secret::varied,
        r"\bFLW(?:SEC|PUB)K(?:_TEST)?-" => r"[0-9A-Za-z]{12,34}(?:-X)?\b";
    "lob_key" "secret.lob" Exact secret::varied,
        r"\b(?:live|test)_(?:pub_)?[a-f0-9]{4}" => r"[a-f0-9]{27,31}\b";
    "duffel_key" "secret.duffel" Exact secret::varied,
        r"\bduffel_(?:test|live)_" => r"[0-9A-Za-z_=-]{43}";
    "easypost_key" "secret.easypost" Exact secret::varied, r"\bEZ[AT]K" => r"[0-9A-Za-z]{54}\b";
    "plaid_token" "secret.plaid" Exact secret::varied,
        r"\baccess-(?:sandbox|development|production)-" => r"[0-9a-f-]{36}\b";

    // Operation and observability.
    "grafana_token" "secret.grafana" Exact secret::varied,
        r"\bglsa_" => r"[0-9A-Za-z]{32}_[0-9a-fA-F]{8}\b";
    "grafana_token" "secret.grafana" Exact secret::varied,
        r"\bglc_" => r"[0-9A-Za-z+/]{32,}={0,3}";
    "grafana_key" "secret.grafana" Exact secret::varied,
        r"\beyJrIjoi" => r"[0-9A-Za-z_-]{60,}={0,3}";
    "new_relic_key" "secret.newrelic" Exact secret::varied,
        r"\b(?i:NR(?:AK|II|AA|BR)-)" => r"(?i:[0-9A-Z_-]{19,42})";
    "new_relic_key" "secret.newrelic" Exact secret::varied,
        r"\b(?i:NRJS-)" => r"(?i:[a-f0-9]{19}\b)";
    "sentry_token" "secret.sentry" Exact secret::varied,
        r"\bsntry[su]_" => r"[0-9A-Za-z+/=_]{40,}";
    "dynatrace_token" "secret.dynatrace" Exact secret::varied,
        r"\bdt0c01\." => r"[A-Z0-9]{24}\.[A-Z0-9]{64}\b";
    "vault_token" "secret.vault" Exact secret::varied, r"\bhv[sbr]\." => r"[0-9A-Za-z_-]{24,}";
    "terraform_token" "secret.terraform" Exact secret::terraform,
        r"(?i:\.atlasv1\.)" => r"(?i:[0-9a-z_=-]{60,70})";
    "pulumi_token" "secret.pulumi" Exact secret::varied, r"\bpul-" => r"[a-f0-9]{40}\b";
    "doppler_token" "secret.doppler" Exact secret::varied,
        r"\bdp\.(?:pt|st|sa|ct|scim|audit)\." => r"[0-9A-Za-z_.-]{40,64}";
    "planetscale_token" "secret.planetscale" Exact secret::varied,
        r"\bpscale_(?:tkn|oauth|pw)_" => r"[0-9A-Za-z_=.-]{32,64}";
    "netlify_token" "secret.netlify" Exact secret::varied, r"\bnfp_" => r"[0-9A-Za-z]{36}\b";
    "vercel_token" "secret.vercel" Exact secret::varied,
        r"\bvc[pikarc]_" => r"[0-9A-Za-z]{50,64}\b";
    "supabase_token" "secret.supabase" Exact secret::varied, r"\bsb[ps]_" => r"[a-f0-9]{40}\b";
    "onepassword_token" "secret.onepassword" Exact secret::varied,
        r"\bops_eyJ" => r"[0-9A-Za-z+/]{200,}={0,3}";
    "onepassword_key" "secret.onepassword" Exact secret::varied,
        r"\bA3-" => r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}\b";
    "tailscale_key" "secret.tailscale" Exact secret::varied,
        r"\btskey-" => r"[a-z]+-[0-9A-Za-z-]{20,80}";
    "settlemint_token" "secret.settlemint" Exact secret::varied,
        r"\bsm_(?:pat|sat|aat)_" => r"[0-9A-Za-z]{16}\b";

    // Work and design.
    "atlassian_token" "secret.atlassian" Exact secret::varied,
        r"\bATATT3" => r"[0-9A-Za-z_=-]{100,}";
    "bitbucket_token" "secret.bitbucket" Exact secret::varied, r"\bATBB" => r"[0-9A-Za-z]{28,36}\b";
    "linear_key" "secret.linear" Exact secret::varied,
        r"\b(?i:lin_(?:api|oauth)_)" => r"(?i:[0-9a-z]{40,64})\b";
    "notion_token" "secret.notion" Exact secret::varied, r"\bntn_" => r"[0-9A-Za-z]{43,50}";
    "notion_token" "secret.notion" Exact secret::varied, r"\bsecret_" => r"[0-9A-Za-z]{43}\b";
    "figma_token" "secret.figma" Exact secret::varied, r"\bfig[du]r?_" => r"[0-9A-Za-z_-]{40,64}";
    "airtable_token" "secret.airtable" Exact secret::varied,
        r"\bpat" => r"[0-9A-Za-z]{14}\.[a-f0-9]{64}\b";
    "asana_token" "secret.asana" Exact secret::varied,
        r"\b[0-9]/" => r"[0-9]{16}(?:/[0-9]{16})?:[0-9a-f]{32}\b";
    "postman_key" "secret.postman" Exact secret::varied,
        r"\bPMAK-" => r"[a-f0-9]{24}-[a-f0-9]{34}\b";
    "readme_key" "secret.readme" Exact secret::varied, r"\brdme_" => r"[a-z0-9]{70}\b";
    "typeform_token" "secret.typeform" Exact secret::varied, r"\btfp_" => r"[0-9A-Za-z_=.-]{59}";
    "hubspot_token" "secret.hubspot" Exact secret::varied,
        r"\bpat-(?:na|eu)[0-9]-" => r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b";
    "facebook_token" "secret.facebook" Exact secret::mixed,
        r"\bEAA[MC]" => r"[0-9A-Za-z]{100,}\b";
    "facebook_token" "secret.facebook" Exact secret::mixed,
        r"\b[0-9]{15,16}(?:\||%7[cC])" => r"[0-9A-Za-z_-]{27,40}";
    "twitter_token" "secret.twitter" Exact secret::varied, r"\bA{22}" => r"[0-9A-Za-z%]{80,100}\b";

    // Of no single issuer.
    "age_key" "secret.private_key" Exact secret::marked,
        r"\bAGE-SECRET-KEY-1" => r"[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b";
    "private_key" "secret.private_key" Exact block::check,
        r"-----BEGIN" => r"(?: [A-Z0-9]+){0,3} PRIVATE KEY(?: BLOCK)?-----";
    "jwt" "secret.jwt" Exact secret::jwt, r"\bey" => r"[A-Za-z0-9_-]{15}";
    "jwt_base64" "secret.jwt" Exact secret::varied, r"\bZXlK" => r"[A-Za-z0-9+/_\r\n-]{40,}={0,2}";
    "address_password" "secret.password" Exact secret::in_address,
        r"://" => r#"[^\x00-\x20/@:"'<>`\\]*:[^\x00-\x20/@"'<>`]+@"#;
    "curl_user" "secret.password" Exact assignment::curl_user, r"[ \t](?:-u|--user)" => r"[ \t=]+";
    "authorization" "secret.token" Nearby assignment::header,
        r"\b(?i:(?:bearer|basic))" => r"[ \t]+";
    "password_told" "secret.password" Nearby assignment::told,
        r"\b(?i:(?:password|passphrase|passcode|pwd))" => r"[ \t]+(?i:is|was|to)[ \t:]+";
    "password" "secret.password" Nearby assignment::value,
        r"(?i:passwo?r?[dt]|passphrase|passcode|pwd|_pass|\bpass\b)";
    "token" "secret.token" Nearby assignment::value,
        "(?i:secret|token|api[_. -]?key|(?:access|auth|private|encryption|signing|master|account\
         |client|admin|deploy|license|service|storage|shared|global)[_. -]?key|credential|bearer\
         |webhook)";
    "named_key" "secret.token" Nearby assignment::value,
        "(?i:key|auth|cloudflare|datadog|dropbox|heroku|mailchimp|twilio|algolia|fastly|jfrog\
         |artifactory|sonar|atlassian|confluence|jira|dynatrace|snyk|bitbucket|rapidapi|sendbird\
         |intercom|zendesk|shodan)";

    "card" "pci.card" Exact card::check, r"[0-9](?:[ \t.\r\n>-]{0,6}[0-9]){11}";
};
