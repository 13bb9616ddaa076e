// A certified OpenID provider with accounts in memory, for tests of signing in.
//
// Its first line on standard input is JSON: { redirects, logouts } of the web client. It prints its
// issuer. Whoever comes to sign in is the account that the header `x-account` names; accounts are
// set by `PUT /accounts/SUB` with their claims as JSON.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { once } from "node:events";
import Provider from "oidc-provider";

const [line] = await once(createInterface({ input: process.stdin }), "line");
const { redirects, logouts } = JSON.parse(line);
const accounts = new Map();
// Whoever started it may have stopped to listen.
process.stdout.on("error", () => {});

const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "penstock",
      client_secret: "s3cret of +the/ client=",
      redirect_uris: redirects,
      post_logout_redirect_uris: logouts,
    },
    {
      client_id: "penstock-cli",
      application_type: "native",
      token_endpoint_auth_method: "none",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: ["authorization_code", "refresh_token", DEVICE],
    },
  ],
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["name"],
    groups: ["groups"],
  },
  scopes: ["openid", "email", "profile", "groups", "offline_access"],
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  cookies: { keys: ["only for tests"] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) =>
    accounts.has(sub)
      ? { accountId: sub, claims: () => ({ ...accounts.get(sub), sub }) }
      : undefined,
  // Everybody agrees to everything.
  async loadExistingGrant(ctx) {
    const { client, session, provider } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid email profile groups offline_access");
    await grant.save();
    return grant;
  },
  renderError(ctx, out) {
    ctx.type = "json";
    ctx.body = out;
  },
});

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

const handle = provider.callback();
server.on("request", async (request, response) => {
  const path = request.url.split("?")[0];
  if (request.method === "PUT" && path.startsWith("/accounts/")) {
    accounts.set(decodeURIComponent(path.slice(10)), JSON.parse(await body(request)));
    response.writeHead(204).end();
  } else if (path.startsWith("/interaction/")) {
    const accountId = request.headers["x-account"];
    if (!accounts.has(accountId)) {
      response.writeHead(403).end("nobody is named");
      return;
    }
    await provider.interactionFinished(request, response, { login: { accountId }, consent: {} });
  } else {
    handle(request, response);
  }
});
console.log(`identity provider on ${issuer}`);
