//! The table of built-in rules; a new kind of data is a new row.

use super::{assignment, block, card, secret};
use std::ops::Range;

/// One kind of data: how it begins to look, and what proves it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// ASCII only and of bounded cost: every class excludes what ends its value.
    pub(super) pattern: &'static str,
    pub(super) check: fn(&str, Range<usize>) -> Verdict,
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

macro_rules! rules {
    ($($id:literal $label:literal $weight:ident $check:path, $($pattern:expr),+;)*) => {
        &[$(Rule {
            id: $id,
            label: $label,
            pattern: concat!($($pattern),+),
            check: $check,
            weight: Weight::$weight,
        },)*]
    };
}

/// Between a name and its value: quotes, a type, an operator.
macro_rules! assigns {
    () => {
        concat!(
            r#"[A-Za-z0-9_.-]*["'`\])\\]{0,3}(?:[ \t]+(?:string|String))?[ \t]*"#,
            r#"(?:[:?.|<]{0,3}=>?|\|{0,2}:|,|>|[ \t]value[ \t]*=)"#
        )
    };
}

/// Where two rules match at the same place, the earlier one is asked.
pub(super) const RULES: &[Rule] = rules! {
    // Keys of this gateway.
    "penstock_key" "secret.penstock" Exact secret::varied, r"\bpsk_[0-9A-Za-z_]{20,80}\b";

    // Clouds.
    "aws_access_key_id" "secret.aws" Exact secret::aws_id,
        r"\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7]{16}\b";
    "aws_secret_key" "secret.aws" Nearby assignment::value,
        r"(?i:aws_?(?:secret|session|access)|secret_?access_?key)", assigns!();
    "aws_bedrock_key" "secret.aws" Exact secret::marked,
        r"\b(?:ABSK[A-Za-z0-9+/]{109,269}={0,2}",
        r"|bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/=]*)";
    "google_api_key" "secret.google" Exact secret::varied, r"\bAIza[0-9A-Za-z_-]{35}";
    "google_oauth_secret" "secret.google" Exact secret::varied, r"\bGOCSPX-[0-9A-Za-z_-]{28}";
    "google_oauth_token" "secret.google" Exact secret::varied, r"\bya29\.[0-9A-Za-z_-]{30,400}";
    "google_refresh_token" "secret.google" Exact secret::varied, r"\b1//0[0-9A-Za-z_-]{40,120}";
    "azure_storage_key" "secret.azure" Exact secret::varied,
        r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,86}={1,2}";
    "azure_sas" "secret.azure" Exact secret::varied, r"[?&]sig=[A-Za-z0-9%+/]{40,80}(?:=|%3[dD])";
    "azure_ad_secret" "secret.azure" Exact secret::varied,
        r"\b[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}";
    "azure_devops_token" "secret.azure" Exact secret::varied,
        r"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b";
    "digitalocean_token" "secret.digitalocean" Exact secret::varied, r"\bdo[opr]_v1_[a-f0-9]{64}\b";
    "heroku_key" "secret.heroku" Exact secret::varied, r"\bHRKU-[0-9A-Za-z_-]{36,64}";
    "alibaba_key_id" "secret.alibaba" Exact secret::varied, r"\bLTAI[A-Za-z0-9]{12,24}\b";
    "tencent_key_id" "secret.tencent" Exact secret::mixed, r"\bAKID[A-Za-z0-9]{32}\b";
    "yandex_key" "secret.yandex" Exact secret::varied,
        r"\b(?:AQVN[A-Za-z0-9_-]{35,38}|t1\.[A-Z0-9a-z_-]+={0,2}\.[A-Z0-9a-z_-]{86}={0,2}",
        r"|YC[a-zA-Z0-9_-]{38}\b)";
    "cloudflare_origin_key" "secret.cloudflare" Exact secret::varied,
        r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b";
    "flyio_token" "secret.flyio" Exact secret::varied,
        r"\b(?:fo1_[A-Za-z0-9_-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,1000}={0,3})";
    "openshift_token" "secret.openshift" Exact secret::varied, r"\bsha256~[A-Za-z0-9_-]{43}";
    "scaleway_key" "secret.scaleway" Exact secret::varied, r"\bSCW[A-Z0-9]{17}\b";

    // Source code and packages.
    "github_token" "secret.github" Exact secret::varied, r"\bgh[pousr]_[0-9A-Za-z]{36,251}\b";
    "github_fine_grained" "secret.github" Exact secret::varied,
        r"\bgithub_pat_[0-9A-Za-z_]{50,244}\b";
    "gitlab_token" "secret.gitlab" Exact secret::varied,
        r"\b(?:gl(?:pat|dt|ptt|rt|cbt|ft|soat|agent|imt|ffct|oas|rtr)-[0-9A-Za-z_=.-]{20,300}",
        r"|GR1348941[0-9A-Za-z_-]{20}|_gitlab_session=[0-9a-z]{32})";
    "npm_token" "secret.npm" Exact secret::varied, r"\bnpm_[0-9A-Za-z]{36}\b";
    "pypi_token" "secret.pypi" Exact secret::varied, r"\bpypi-AgE[0-9A-Za-z_-]{50,1000}";
    "rubygems_key" "secret.rubygems" Exact secret::varied, r"\brubygems_[a-f0-9]{48}\b";
    "crates_token" "secret.crates" Exact secret::varied, r"\bcio[0-9A-Za-z]{32}\b";
    "nuget_key" "secret.nuget" Exact secret::varied, r"\boy2[a-z0-9]{43}\b";
    "clojars_token" "secret.clojars" Exact secret::varied, r"\bCLOJARS_[a-z0-9]{60}\b";
    "docker_token" "secret.docker" Exact secret::varied, r"\bdckr_(?:pat|oat)_[0-9A-Za-z_-]{27,36}";
    "artifactory_key" "secret.artifactory" Exact secret::varied,
        r"\b(?:AKCp[A-Za-z0-9]{69}\b|cmVmd[A-Za-z0-9]{59}\b)";
    "sourcegraph_token" "secret.sourcegraph" Exact secret::varied,
        r"\bsgp_(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40}\b";
    "sonar_token" "secret.sonar" Exact secret::varied, r"\bsq[upa]_[A-Za-z0-9=_-]{40}";
    "buildkite_token" "secret.buildkite" Exact secret::varied, r"\bbk(?:ua|agent)_[a-f0-9]{40}\b";
    "infracost_key" "secret.infracost" Exact secret::mixed, r"\bico-[A-Za-z0-9]{32}\b";
    "octopus_key" "secret.octopus" Exact secret::mixed, r"\bAPI-[A-Z0-9]{26}\b";

    // Models.
    "anthropic_key" "secret.anthropic" Exact secret::varied,
        r"\bsk-ant-(?:(?:api|admin)[0-9]{2}-[0-9A-Za-z_-]{93}AA\b",
        r"|o[ar]t[0-9]{2}-[0-9A-Za-z_-]{80,120})";
    "openai_key" "secret.openai" Exact secret::varied,
        r"\bsk-(?:(?:proj|svcacct|admin|None)-[0-9A-Za-z_-]{40,200}",
        r"|[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20}\b|[0-9A-Za-z]{48}\b)";
    "openrouter_key" "secret.openrouter" Exact secret::varied, r"\bsk-or-v1-[a-f0-9]{64}\b";
    "deepseek_key" "secret.model" Exact secret::mixed, r"\bsk-[a-f0-9]{32}\b";
    "huggingface_token" "secret.huggingface" Exact secret::varied,
        r"\b(?:hf_|api_org_)[A-Za-z]{34}\b";
    "groq_key" "secret.groq" Exact secret::varied, r"\bgsk_[0-9A-Za-z]{52}\b";
    "xai_key" "secret.xai" Exact secret::varied, r"\bxai-[0-9A-Za-z]{70,90}\b";
    "replicate_token" "secret.replicate" Exact secret::varied, r"\br8_[0-9A-Za-z]{37}\b";
    "perplexity_key" "secret.perplexity" Exact secret::varied, r"\bpplx-[0-9A-Za-z]{48}\b";
    "langsmith_key" "secret.langsmith" Exact secret::varied,
        r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b";
    "nvidia_key" "secret.nvidia" Exact secret::varied, r"\bnvapi-[0-9A-Za-z_-]{60,70}";
    "databricks_token" "secret.databricks" Exact secret::varied, r"\bdapi[a-f0-9]{32}(?:-[0-9])?\b";

    // Chat, mail, telephony.
    "slack_token" "secret.slack" Exact secret::mixed,
        r"\bxox(?:[abposr]|e\.xox[bp]|e)-[0-9A-Za-z-]{10,300}";
    "slack_app_token" "secret.slack" Exact secret::varied,
        r"(?i:\bxapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,80})";
    "slack_webhook" "secret.slack" Exact secret::varied,
        r"(?:\bhttps?://)?\bhooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}";
    "discord_webhook" "secret.discord" Exact secret::varied,
        r"\bdiscord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[0-9A-Za-z_-]{60,70}";
    "discord_bot" "secret.discord" Exact secret::varied,
        r"\b[MNO][0-9A-Za-z_-]{23,27}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,40}";
    "teams_webhook" "secret.teams" Exact secret::varied,
        r"\bwebhook\.office\.com/webhookb2/[0-9a-f@/-]{72,80}/IncomingWebhook/[0-9a-f]{32}/",
        r"[0-9a-f-]{36}";
    "telegram_bot" "secret.telegram" Exact secret::varied, r"\b[0-9]{5,16}:AA[0-9A-Za-z_-]{32,34}";
    "sendgrid_key" "secret.sendgrid" Exact secret::varied,
        r"\bSG\.[0-9A-Za-z_-]{20,24}\.[0-9A-Za-z_-]{39,50}";
    "sendinblue_key" "secret.brevo" Exact secret::varied,
        r"\bxkeysib-[a-f0-9]{64}-[0-9A-Za-z]{16}\b";
    "twilio_key" "secret.twilio" Exact secret::mixed, r"\bSK[0-9a-f]{32}\b";
    "mailgun_key" "secret.mailgun" Exact secret::mixed,
        r"\b(?:key-[0-9a-f]{32}\b|pubkey-[0-9a-f]{32}\b|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b)";
    "mailchimp_key" "secret.mailchimp" Exact secret::varied, r"\b[0-9a-f]{32}-us[0-9]{1,2}\b";

    // Money and shops.
    "stripe_key" "secret.stripe" Exact secret::varied,
        r"\b(?:[sr]k_(?:live|test|prod)_[0-9A-Za-z]{10,247}|whsec_[0-9A-Za-z+/]{32,64})";
    "square_token" "secret.square" Exact secret::varied,
        r"\b(?:sq0[a-z]{3}-[0-9A-Za-z_-]{22,43}|EAAA[A-Za-z0-9_+=/-]{56,60})";
    "shopify_token" "secret.shopify" Exact secret::varied,
        r"\bshp(?:at|ca|pa|ss|tka|ua)_[0-9a-fA-F]{32}\b";
    "paypal_token" "secret.paypal" Exact secret::varied,
        r"\baccess_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}\b";
    "flutterwave_key" "secret.flutterwave" Exact secret::varied,
        r"\bFLW(?:SEC|PUB)K(?:_TEST)?-[0-9A-Za-z]{12,34}(?:-X)?\b";
    "lob_key" "secret.lob" Exact secret::varied, r"\b(?:live|test)_(?:pub_)?[a-f0-9]{31,35}\b";
    "duffel_key" "secret.duffel" Exact secret::varied, r"\bduffel_(?:test|live)_[0-9A-Za-z_=-]{43}";
    "easypost_key" "secret.easypost" Exact secret::varied, r"\bEZ[AT]K[0-9A-Za-z]{54}\b";
    "plaid_token" "secret.plaid" Exact secret::varied,
        r"\baccess-(?:sandbox|development|production)-[0-9a-f-]{36}\b";

    // Operation and observability.
    "grafana_token" "secret.grafana" Exact secret::varied,
        r"\b(?:glsa_[0-9A-Za-z]{32}_[0-9a-fA-F]{8}\b|glc_[0-9A-Za-z+/]{32,400}={0,3}",
        r"|eyJrIjoi[0-9A-Za-z_-]{60,400}={0,3})";
    "new_relic_key" "secret.newrelic" Exact secret::varied,
        r"(?i:\bNR(?:AK|II|AA|BR)-[0-9A-Z_-]{19,42}|\bNRJS-[a-f0-9]{19}\b)";
    "sentry_token" "secret.sentry" Exact secret::varied,
        r"\bsntry[su]_[0-9A-Za-z+/=_]{40,400}";
    "dynatrace_token" "secret.dynatrace" Exact secret::varied,
        r"\bdt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b";
    "vault_token" "secret.vault" Exact secret::varied, r"\bhv[sbr]\.[0-9A-Za-z_-]{24,300}";
    "terraform_token" "secret.terraform" Exact secret::varied,
        r"(?i:\b[0-9a-z]{14}\.atlasv1\.[0-9a-z_=-]{60,70})";
    "pulumi_token" "secret.pulumi" Exact secret::varied, r"\bpul-[a-f0-9]{40}\b";
    "doppler_token" "secret.doppler" Exact secret::varied,
        r"\bdp\.(?:pt|st|sa|ct|scim|audit)\.[0-9A-Za-z_.-]{40,64}";
    "planetscale_token" "secret.planetscale" Exact secret::varied,
        r"\bpscale_(?:tkn|oauth|pw)_[0-9A-Za-z_=.-]{32,64}";
    "netlify_token" "secret.netlify" Exact secret::varied, r"\bnfp_[0-9A-Za-z]{36}\b";
    "vercel_token" "secret.vercel" Exact secret::varied, r"\bvc[pikarc]_[0-9A-Za-z]{50,64}\b";
    "supabase_token" "secret.supabase" Exact secret::varied, r"\bsb[ps]_[a-f0-9]{40}\b";
    "onepassword_token" "secret.onepassword" Exact secret::varied,
        r"\b(?:ops_eyJ[0-9A-Za-z+/]{200,1000}={0,3}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}",
        r"|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}\b)";
    "tailscale_key" "secret.tailscale" Exact secret::varied, r"\btskey-[a-z]+-[0-9A-Za-z-]{20,80}";
    "settlemint_token" "secret.settlemint" Exact secret::varied,
        r"\bsm_(?:pat|sat|aat)_[0-9A-Za-z]{16}\b";

    // Work and design.
    "atlassian_token" "secret.atlassian" Exact secret::varied, r"\bATATT3[0-9A-Za-z_=-]{100,240}";
    "bitbucket_token" "secret.bitbucket" Exact secret::varied, r"\bATBB[0-9A-Za-z]{28,36}\b";
    "linear_key" "secret.linear" Exact secret::varied,
        r"(?i:\blin_(?:api|oauth)_[0-9a-z]{40,64})\b";
    "notion_token" "secret.notion" Exact secret::varied,
        r"\b(?:ntn_[0-9A-Za-z]{43,50}|secret_[0-9A-Za-z]{43})\b";
    "figma_token" "secret.figma" Exact secret::varied, r"\bfig[du]r?_[0-9A-Za-z_-]{40,64}";
    "airtable_token" "secret.airtable" Exact secret::varied,
        r"\bpat[0-9A-Za-z]{14}\.[a-f0-9]{64}\b";
    "asana_token" "secret.asana" Exact secret::varied,
        r"\b[0-9]/[0-9]{16}(?:/[0-9]{16})?:[0-9a-f]{32}\b";
    "postman_key" "secret.postman" Exact secret::varied, r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b";
    "readme_key" "secret.readme" Exact secret::varied, r"\brdme_[a-z0-9]{70}\b";
    "typeform_token" "secret.typeform" Exact secret::varied, r"\btfp_[0-9A-Za-z_=.-]{59}";
    "hubspot_token" "secret.hubspot" Exact secret::varied,
        r"\bpat-(?:na|eu)[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b";
    "facebook_token" "secret.facebook" Exact secret::mixed,
        r"\b(?:EAA[MC][0-9A-Za-z]{100,240}\b|[0-9]{15,16}(?:\||%7[cC])[0-9A-Za-z_-]{27,40})";
    "twitter_token" "secret.twitter" Exact secret::varied, r"\bA{22}[0-9A-Za-z%]{80,100}\b";

    // Of no single issuer.
    "age_key" "secret.private_key" Exact secret::marked,
        r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b";
    "private_key" "secret.private_key" Exact block::check,
        r"-----BEGIN(?: [A-Z0-9]+){0,3} PRIVATE KEY(?: BLOCK)?-----";
    "jwt" "secret.jwt" Exact secret::varied,
        r"\bey[A-Za-z0-9_-]{15,}\.ey[A-Za-z0-9_/\\-]{15,}\.[A-Za-z0-9_/\\-]*={0,2}";
    "jwt_base64" "secret.jwt" Exact secret::varied,
        r"\bZXlK[A-Za-z0-9+/_\r\n-]{40,}={0,2}";
    "address_password" "secret.password" Exact secret::in_address,
        r#"://[^\x00-\x20/@:"'<>`\\]*:[^\x00-\x20/@"'<>`]+@"#;
    "curl_user" "secret.password" Exact assignment::curl_user, r"[ \t](?:-u|--user)[ \t=]+";
    "authorization" "secret.token" Nearby assignment::header,
        r"(?i:\b(?:bearer|basic)[ \t]+)";
    "password_told" "secret.password" Nearby assignment::told,
        r"(?i:\b(?:password|passphrase|passcode|pwd)[ \t]+(?:is|was|to)[ \t:]+)";
    "password" "secret.password" Nearby assignment::value,
        r"(?i:passwo?r?[dt]|passphrase|passcode|pwd|_pass|\bpass\b)", assigns!();
    "token" "secret.token" Nearby assignment::value,
        r"(?i:secret|token|api[_. -]?key|(?:access|auth|private|encryption|signing|master",
        r"|account|client|admin|deploy|license|service|storage|shared|global)[_. -]?key",
        r"|credential|bearer|webhook)",
        assigns!();
    "named_key" "secret.token" Nearby assignment::value,
        r"(?i:key|auth|cloudflare|datadog|dropbox|heroku|mailchimp|twilio|algolia|fastly|jfrog",
        r"|artifactory|sonar|atlassian|confluence|jira|dynatrace|snyk|bitbucket|rapidapi",
        r"|sendbird|intercom|zendesk|shodan)",
        assigns!();

    "card" "pci.card" Exact card::check, r"[0-9](?:[ \t.\r\n>-]*[0-9]){11}";
};
