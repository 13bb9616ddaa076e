//! What to do next, ready to paste.

use super::Keys;
use crate::assemble::Gateway;

pub(super) fn print(gateway: &Gateway, keys: &Keys) {
    let key = keys.get(&("acme".to_owned(), "ada-laptop".to_owned()));
    let (url, key) = (gateway.client, key.map_or("<key>", String::as_str));
    println!(
        "
The endpoint is http://{url}/v1; it speaks OpenAI's API. Try it:

  curl http://{url}/v1/chat/completions \\
    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{\"model\":\"standard\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'

  Python      client = OpenAI(base_url=\"http://{url}/v1\", api_key=\"{key}\")
  JavaScript  new OpenAI({{ baseURL: \"http://{url}/v1\", apiKey: \"{key}\" }})
  Any client  OPENAI_BASE_URL=http://{url}/v1 OPENAI_API_KEY={key}

Models: economy, standard, frontier, embed, resilient (its first deployment always fails).
All keys are in keys.ndjson in the demo's folder. Operators: http://{}/
Ctrl-C ends the demo and keeps its data; `penstock demo --fresh` starts over.",
        gateway.admin
    );
}
