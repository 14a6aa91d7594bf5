//! The table of all keys of the configuration. The decoders use it to report unknown keys, and the
//! JSON Schema is generated from it.

use crate::decode::SIGNING_STORES;

/// The keys of one mapping.
#[derive(Debug)]
pub(crate) struct Section {
    /// Name of the mapping in messages.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Its purpose in one sentence.
    pub(crate) doc: &'static str,
    /// Its default, as YAML.
    pub(crate) default: Option<&'static str>,
    pub(crate) required: bool,
    /// Whether the key is one of several alternatives. Exactly one of those in a mapping is
    /// required.
    pub(crate) either: bool,
}

/// The type of a key's value.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Path,
    Flag,
    Duration,
    /// `250ms` or `2s`.
    Timeout,
    /// RFC 3339.
    Time,
    Integer(u32, u32),
    /// Bytes: a number, or `64KiB`.
    Size,
    OneOf(&'static [&'static str]),
    Texts,
    TextOrTexts,
    Section(&'static Section),
    /// `store`: a word, a URL or a mapping.
    TextOrSection(&'static Section),
    /// `expect`: a word or a mapping.
    WordOrSection(&'static str, &'static Section),
    Sections(&'static Section),
    Named(&'static Section),
    /// A mapping from API names to lists of scopes.
    Grants,
    /// A mapping from claims to conditions.
    Conditions,
    /// A list of scalars to compare a claim with.
    Scalars,
    /// A mapping from claims to any values.
    Claims,
    /// A JSON Web Key Set.
    KeySet,
    /// A mapping from variables to lists of values or regular expressions.
    Variables,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, default: None, required: false, either: false }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn either(self) -> Self {
        Self { either: true, ..self }
    }
}

impl Section {
    /// Looks a key up by name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The whole configuration.
pub(crate) static ROOT: Section = Section {
    name: "the configuration",
    keys: &[
        Key::new("issuer", Kind::Text, "Our `iss`: an https URL without query or fragment; http on loopback only.")
            .required(),
        Key::new("listen", Kind::Text, "Address and port of the public listener.").default("127.0.0.1:8080"),
        Key::new("tls", Kind::Section(&TLS), "Certificate of the public listener."),
        Key::new(
            "behind_tls_proxy",
            Kind::Texts,
            "Addresses or address blocks of the proxies that terminate TLS. List nothing else: only these may use plain http, \
             and their `X-Forwarded-For` is trusted.",
        ),
        Key::new("admin", Kind::Section(&ADMIN), "The admin listener."),
        Key::new(
            "data_dir",
            Kind::Path,
            "Directory of the embedded store, the signing keys, the admin token and the last good issuer keys.",
        )
        .default("/var/lib/sts"),
        Key::new(
            "store",
            Kind::TextOrSection(&STORE),
            "Where tokens are recorded: `embedded`, the URL of a Redis that several machines may share, or a mapping.",
        )
        .default("embedded"),
        Key::new(
            "status_list",
            Kind::Flag,
            "Whether minted tokens refer to a Token Status List, so that offline verifiers learn of revocations.",
        )
        .default("false"),
        Key::new(
            "proxy",
            Kind::Text,
            "Proxy for discovery and keys of every issuer entry that does not set its own. Variables such as HTTPS_PROXY are not used.",
        ),
        Key::new("signing", Kind::Section(&SIGNING), "Our signing keys."),
        Key::new("tokens", Kind::Section(&TOKENS), "The tokens that are minted."),
        Key::new("limits", Kind::Section(&LIMITS), "Limits on callers."),
        Key::new("shutdown", Kind::Section(&SHUTDOWN), "How the server shuts down on SIGTERM."),
        Key::new("log", Kind::Section(&LOG), "Logging."),
        Key::new(
            "audit",
            Kind::Section(&AUDIT),
            "The audit trail: one line of JSON for each event, on standard output.",
        ),
        Key::new("metrics", Kind::Section(&METRICS), "Metrics for Prometheus."),
        Key::new("telemetry", Kind::Section(&TELEMETRY), "OpenTelemetry."),
        Key::new("api_keys", Kind::Section(&API_KEYS), "API keys, for callers that have no ID token."),
        Key::new(
            "console",
            Kind::Section(&CONSOLE),
            "The OpenID provider where people sign in to the console. Without it, `sts console link` is the only way in.",
        ),
        Key::new("manage", Kind::Section(&MANAGE), "Objects that are kept in the store beside those in files."),
        ISSUERS,
        APIS,
        Key::new(
            "directories",
            Kind::Named(&DIRECTORY),
            "Directories whose groups give teams to service accounts: Active Directory, or any other LDAP directory.",
        ),
        Key::new(
            "accounts",
            Kind::TextOrTexts,
            "Account files; `*` in the last part of a path matches any characters.",
        ),
        TEAMS,
        ACCOUNTS,
        TESTS,
    ],
};

/// A file of objects that are sent to a server.
pub(crate) static APPLIED_FILE: Section =
    Section { name: "a file of objects", keys: &[ISSUERS, APIS, TEAMS, ACCOUNTS, TESTS] };

/// The keys of an account file.
pub(crate) static ACCOUNT_FILE: Section = Section { name: "an account file", keys: &[TEAMS, ACCOUNTS, TESTS] };

const ISSUERS: Key = Key::new("issuers", Kind::Named(&ISSUER), "Issuers whose ID tokens are exchanged.");
const APIS: Key = Key::new("apis", Kind::Named(&API), "APIs that tokens are minted for.");
const TEAMS: Key = Key::new("teams", Kind::Named(&TEAM), "Teams: grants that several service accounts share.");
const ACCOUNTS: Key = Key::new("service_accounts", Kind::Named(&ACCOUNT), "Service accounts, by username.");
const TESTS: Key =
    Key::new("tests", Kind::Sections(&TEST), "Policy tests. If one fails, the configuration is refused.");

static TLS: Section = Section {
    name: "`tls`",
    keys: &[
        Key::new("cert_file", Kind::Path, "Certificate chain, PEM, leaf first.").required(),
        Key::new("key_file", Kind::Path, "Private key of the certificate, PEM.").required(),
    ],
};

static ADMIN: Section = Section {
    name: "`admin`",
    keys: &[
        Key::new("listen", Kind::Text, "Address and port of the admin listener. Off loopback it needs `tls`.")
            .default("127.0.0.1:9090"),
        Key::new(
            "hosts",
            Kind::Texts,
            "Host names that the admin listener accepts, besides IP addresses and `localhost`.",
        ),
        Key::new("tls", Kind::Section(&TLS), "Certificate of the admin listener."),
    ],
};

static STORE: Section = Section {
    name: "`store`",
    keys: &[
        Key::new(
            "url",
            Kind::Text,
            "`embedded`, `redis://HOST`, `redis-cluster://HOST,HOST` or `redis-sentinel://HOST,HOST/NAME`; `rediss...` for TLS.",
        )
        .required(),
        Key::new("username", Kind::Text, "ACL user of Redis. Without it, the password is that of the default user."),
        Key::new("password_file", Kind::Path, "File with the password of Redis. It is read for each connection."),
        Key::new("ca_file", Kind::Path, "CA certificates, PEM. They replace those of the system."),
        Key::new("cert_file", Kind::Path, "Client certificate chain, PEM."),
        Key::new("key_file", Kind::Path, "Private key of the client certificate, PEM."),
        Key::new("prefix", Kind::Text, "Prefix of every key in the store.").default("\"sts:\""),
        Key::new("timeout", Kind::Timeout, "Deadline of one operation, 10ms to 10s.").default("250ms"),
        Key::new(
            "shards",
            Kind::Integer(1, 256),
            "Number of shards, each in a slot of its own. It is fixed when the store is made. Default 1, for `redis-cluster://` 32.",
        ),
    ],
};

static SIGNING: Section = Section {
    name: "`signing`",
    keys: &[
        Key::new(
            "algorithms",
            Kind::Texts,
            "Algorithms of our signing keys: ES256, RS256, EdDSA. The first is the default.",
        )
        .default("[ES256, RS256]"),
        Key::new(
            "rotate_every",
            Kind::Duration,
            "Time between two rotations of the signing keys; `0s` for no rotation.",
        )
        .default("30d"),
        Key::new(
            "keys_dir",
            Kind::Path,
            "Directory of the signing keys. By default `keys` in `data_dir`. With `store: redis`, the keys in it are taken over if there \
             are none in Redis.",
        ),
        Key::new(
            "store",
            Kind::OneOf(&SIGNING_STORES),
            "Where the signing keys are kept. `redis`: in the Redis of the store, sealed, so that servers need no directory in common.",
        )
        .default("directory"),
        Key::new(
            "seal_key_file",
            Kind::TextOrTexts,
            "File with the key that seals signing keys in Redis: 32 bytes in base64. With several files, the first seals and the others \
             open what was sealed before.",
        ),
        Key::new(
            "pkcs11",
            Kind::Section(&PKCS11),
            "The PKCS#11 device that makes the private keys and never reveals them.",
        ),
    ],
};

static PKCS11: Section = Section {
    name: "`pkcs11`",
    keys: &[
        Key::new("module", Kind::Path, "The device's PKCS#11 module, a shared library.").required(),
        Key::new("token_label", Kind::Text, "Label of the token.").required(),
        Key::new("pin_file", Kind::Path, "File with the PIN of the token's user. It is read at each login.").required(),
    ],
};

static TOKENS: Section = Section {
    name: "`tokens`",
    keys: &[
        Key::new("ttl", Kind::Duration, "Lifetime of a token if neither identity nor account sets one.").default("15m"),
        Key::new("max_ttl", Kind::Duration, "Longest lifetime of any token.").default("1h"),
        Key::new("cap_to_subject", Kind::Flag, "Whether a minted token expires no later than its subject token.")
            .default("false"),
        Key::new("ignore_scopes", Kind::Texts, "Requested scopes that are ignored.")
            .default("[\"https://www.googleapis.com/auth/cloud-platform\", openid, profile, email, offline_access]"),
        Key::new("copy_claims", Kind::Texts, "Claims (names or pointers) that are copied under `federated.claims`."),
        Key::new("require_account", Kind::Flag, "Whether a request must name its service account.").default("false"),
    ],
};

static LIMITS: Section = Section {
    name: "`limits`",
    keys: &[
        Key::new(
            "failures_per_second",
            Kind::Integer(0, 1_000_000),
            "Refused requests per source address and second; 0 for no limit.",
        )
        .default("50"),
        Key::new("failure_burst", Kind::Integer(1, 1_000_000), "Refused requests per source address in one burst.").default("500"),
        Key::new("connections", Kind::Integer(1, 1_000_000), "Maximum number of open connections.").default("10000"),
        Key::new(
            "keep_alive",
            Kind::Duration,
            "How long an idle connection stays open, up to 1h. A proxy in front must close its idle connections earlier.",
        )
        .default("75s"),
    ],
};

static SHUTDOWN: Section = Section {
    name: "`shutdown`",
    keys: &[Key::new(
        "drain",
        Kind::Duration,
        "How long the server still serves requests after it turns unready, at most 1h. Load balancers need this time to notice.",
    )
    .default("10s")],
};

static AUDIT: Section = Section {
    name: "`audit`",
    keys: &[
        Key::new("file", Kind::Section(&AUDIT_FILE), "A hash-chained file with every event."),
        Key::new(
            "syslog",
            Kind::Text,
            "A receiver of syslog messages (RFC 5424) for every event: `unix:PATH` or `tls://HOST:PORT`.",
        ),
        Key::new(
            "required",
            Kind::Flag,
            "Whether a request is refused with 503 if no sink can take its decision. Nothing is recorded then.",
        )
        .default("false"),
    ],
};

static AUDIT_FILE: Section = Section {
    name: "`file`",
    keys: &[
        Key::new("path", Kind::Path, "Its path. Full files get `.1`, `.2` and so on after it.").required(),
        Key::new("max_size", Kind::Size, "The size after which another file follows: bytes, or `64KiB`, `100MiB`.")
            .default("100MiB"),
        Key::new("max_files", Kind::Integer(1, 10_000), "How many full files are kept beside it.").default("10"),
    ],
};

static METRICS: Section = Section {
    name: "`metrics`",
    keys: &[Key::new(
        "listen",
        Kind::Text,
        "Address and port of a listener that serves `/metrics` alone, without TLS and to everybody who can reach it. The admin \
         listener serves them in any case.",
    )],
};

static TELEMETRY: Section = Section {
    name: "`telemetry`",
    keys: &[Key::new(
        "otlp",
        Kind::Text,
        "URL of a collector that takes traces over OTLP/HTTP, as JSON: `http://127.0.0.1:4318`. `/v1/traces` is added where it is \
         missing. Without it there are no traces.",
    )],
};

static API_KEYS: Section = Section {
    name: "`api_keys`",
    keys: &[
        Key::new("enabled", Kind::Flag, "Whether API keys get tokens and can be created.").default("true"),
        Key::new("default_ttl", Kind::Duration, "Lifetime of a key that is created without one.").default("30d"),
        Key::new("max_ttl", Kind::Duration, "The longest lifetime of a key.").default("90d"),
    ],
};

static MANAGE: Section = Section {
    name: "`manage`",
    keys: &[Key::new(
        "kinds",
        Kind::Texts,
        "The kinds of objects that may be changed through the admin API: `teams`, `service_accounts`, `apis`, `issuers`. Name \
         `issuers` with care: who may add an issuer may let anybody in. `[]` turns changes off.",
    )
    .default("[teams, service_accounts]")],
};

static CONSOLE: Section = Section {
    name: "`console`",
    keys: &[
        Key::new(
            "issuer",
            Kind::Text,
            "The `iss` of the provider's ID tokens: an https URL; http on loopback only. The provider is found by its discovery document.",
        )
        .required(),
        Key::new("client_id", Kind::Text, "The client that the console is registered as. It is the `aud` of the ID tokens.")
            .required(),
        Key::new("client_secret_file", Kind::Path, "File with the client's secret. Without it, the client is a public one."),
        Key::new("scopes", Kind::Texts, "Requested scopes. `openid` is always one of them.")
            .default("[openid, profile, email]"),
        Key::new(
            "admin",
            Kind::Conditions,
            "Who may change everything: conditions on claims of the ID token, as under `claims` of an identity. All must hold.",
        ),
        Key::new("read", Kind::Conditions, "Who may see everything and change nothing: conditions as for `admin`."),
        Key::new("ca_file", Kind::Path, "CA certificates of the provider, PEM, in place of the system's."),
        Key::new("proxy", Kind::Text, "Proxy on the way to the provider; `none` for none. By default `proxy` at the top."),
    ],
};

static LOG: Section = Section {
    name: "`log`",
    keys: &[
        Key::new("format", Kind::OneOf(&["text", "json"]), "Format of the log lines.").default("text"),
        Key::new("level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), "Lowest severity that is logged.")
            .default("info"),
        Key::new("claims", Kind::Flag, "Whether decision events contain the claims of the subject token.")
            .default("false"),
    ],
};

static ISSUER: Section = Section {
    name: "an issuer entry",
    keys: &[
        Key::new(
            "issuer",
            Kind::Text,
            "The `iss` of its tokens, compared byte for byte: an https URL, or any text if the entry has `jwks_file`, `jwks` or `jwks_url`.",
        )
        .either(),
        Key::new(
            "issuer_template",
            Kind::Text,
            "In place of `issuer`: the form of a family of issuers, such as `https://oidc.eks.{region}.amazonaws.com/id/{cluster}`. Each member has the keys that its own discovery document names.",
        )
        .either(),
        Key::new(
            "preset",
            Kind::Text,
            "The platform of a self-hosted issuer. Well-known issuers are recognised by their URL. `none` means no platform.",
        ),
        Key::new("shared", Kind::Flag, "Whether many tenants share the issuer."),
        Key::new(
            "owner_claims",
            Kind::TextOrTexts,
            "Claims (names or pointers) that name the owner, for a shared issuer without a preset. Without them, only an exact subject fixes the owner.",
        ),
        Key::new(
            "audience",
            Kind::TextOrTexts,
            "Accepted values of `aud`. By default our `issuer`, or the account's `id` if it is a UUID.",
        ),
        Key::new("sole_audience", Kind::Flag, "Whether `aud` must have exactly one value."),
        Key::new(
            "algorithms",
            Kind::Texts,
            "Accepted signature algorithms. By default RS256, ES256, EdDSA and those that the preset adds.",
        ),
        Key::new("leeway", Kind::Duration, "Tolerated difference between clocks, up to 300s.").default("60s"),
        Key::new(
            "max_token_lifetime",
            Kind::Duration,
            "Upper limit of `exp - iat`. By default 24h, or what the preset sets.",
        ),
        Key::new("max_token_age", Kind::Duration, "Upper limit of `now - iat`. By default none."),
        Key::new("require_iat", Kind::Flag, "Whether a token must have `iat`."),
        Key::new("replay", Kind::OneOf(REPLAY), "How often one token may be exchanged.").default("allow"),
        Key::new("types", Kind::Texts, "Accepted values of `typ`, besides `JWT` and none."),
        Key::new("jwks_url", Kind::Text, "https URL of the key set, in place of discovery."),
        Key::new("jwks_file", Kind::Path, "File with the keys (a JSON Web Key Set), in place of discovery."),
        Key::new("jwks", Kind::KeySet, "The keys themselves (a JSON Web Key Set), in place of discovery."),
        Key::new(
            "ca_file",
            Kind::Path,
            "CA certificates for discovery and keys, PEM. They replace those of the system.",
        ),
        Key::new(
            "bearer_token_file",
            Kind::Path,
            "File with a bearer token for discovery and keys. It is read for each fetch, and sent only to the origin of `issuer` or `jwks_url`.",
        ),
        Key::new(
            "proxy",
            Kind::Text,
            "Proxy for discovery and keys: an http or https URL, or `none`. The proxy resolves host names, so it must refuse internal addresses itself.",
        ),
        Key::new("max_stale", Kind::Duration, "How long keys stay in use while the issuer cannot be reached.")
            .default("24h"),
        Key::new("refresh_cooldown", Kind::Duration, "Shortest time between two refreshes caused by unknown keys.")
            .default("30s"),
        Key::new(
            "trust_domain",
            Kind::Text,
            "With `preset: spiffe`: the entry accepts tokens without `iss` if their `sub` is `spiffe://DOMAIN/...`.",
        ),
        Key::new("kid_reuse", Kind::Flag, "Whether the issuer reuses a `kid` after a rotation, as Jenkins does.")
            .default("false"),
        Key::new(
            "variables",
            Kind::Variables,
            "Allowed values of each variable of `issuer_template`: a list, or a regular expression for the whole value. Conditions under `claims:` may name a variable.",
        ),
        Key::new("allow_private_network", Kind::Flag, "Whether private and loopback addresses may be dialled.")
            .default("false"),
        Key::new("allow_http", Kind::Flag, "Whether plain http to a loopback address is accepted.").default("false"),
        Key::new("enabled", Kind::Flag, "Whether its tokens are exchanged.").default("true"),
    ],
};

const REPLAY: &[&str] = &["allow", "once", "once_per_account"];

static API: Section = Section {
    name: "an API",
    keys: &[
        Key::new("audience", Kind::Text, "The `aud` of its tokens: a URI.").required(),
        Key::new("display_name", Kind::Text, "Its name for people."),
        Key::new("scopes", Kind::Texts, "The scopes it declares."),
        Key::new(
            "signing_algorithm",
            Kind::OneOf(&["ES256", "RS256", "EdDSA"]),
            "Signature algorithm of its tokens; one of `signing.algorithms`.",
        ),
        Key::new(
            "introspection_secret_file",
            Kind::Path,
            "File with the secret that the API uses to introspect tokens; 16 characters or more.",
        ),
    ],
};

static TEAM: Section = Section {
    name: "a team",
    keys: &[
        Key::new("display_name", Kind::Text, "Its name for people."),
        Key::new("grants", Kind::Grants, "The scopes granted to its members, by API."),
        Key::new(
            "external_groups",
            Kind::Sections(&EXTERNAL_GROUP),
            "Groups that give the team: `{directory, group}` of a directory, or `{issuer, claim, value}` that a token names.",
        ),
    ],
};

pub(crate) static EXTERNAL_GROUP: Section = Section {
    name: "an external group",
    keys: &[
        Key::new("directory", Kind::Text, "Name of the directory that has the group.").either(),
        Key::new(
            "group",
            Kind::Text,
            "The group: its distinguished name, or in Active Directory its objectSid. Its members with a service account of that \
             `external_login` have the team.",
        ),
        Key::new(
            "issuer",
            Kind::Text,
            "In place of `directory`: the issuer entry whose tokens name the group. It must not be shared with strangers.",
        )
        .either(),
        Key::new("claim", Kind::Text, "The claim (name or pointer) that holds one group or a list of them."),
        Key::new("value", Kind::Text, "The group, compared byte for byte."),
    ],
};

static DIRECTORY: Section = Section {
    name: "a directory",
    keys: &[
        Key::new(
            "url",
            Kind::TextOrTexts,
            "Its servers, tried in turn: `ldaps://HOST`, or `ldap://HOST`, which is used with StartTLS only.",
        )
        .required(),
        Key::new("ca_file", Kind::Path, "CA certificates of its servers, PEM. They replace those of the system."),
        Key::new("bind", Kind::Section(&BIND), "The account that searches.").required(),
        Key::new("base", Kind::Text, "The entry that accounts and groups are below.").required(),
        Key::new("kind", Kind::OneOf(&["active_directory", "ldap"]), "How accounts and groups are found.").required(),
        Key::new(
            "user_filter",
            Kind::Text,
            "With `kind: ldap`: the filter that finds an account. `{name}` stands for the login, escaped: `(uid={name})`.",
        ),
        Key::new(
            "group_attribute",
            Kind::Text,
            "With `kind: ldap`: the attribute of accounts and groups that names the groups they are in. By default `memberOf`.",
        ),
        Key::new("refresh", Kind::Duration, "Time between two refreshes of all memberships, 1s to 24h.").default("5m"),
        Key::new(
            "max_age",
            Kind::Duration,
            "Age up to which a membership counts while the directory is away. Past it, no group gives a team.",
        )
        .default("1h"),
    ],
};

static BIND: Section = Section {
    name: "`bind`",
    keys: &[
        Key::new("dn", Kind::Text, "Its distinguished name, or in Active Directory its userPrincipalName.").required(),
        Key::new("password_file", Kind::Path, "File with its password. It is read for each bind.").required(),
    ],
};

static ACCOUNT: Section = Section {
    name: "a service account",
    keys: &[
        Key::new("id", Kind::Text, "The `sub` of its tokens; by default the username."),
        Key::new("display_name", Kind::Text, "Its name for people."),
        Key::new("description", Kind::Text, "What it is for."),
        Key::new("enabled", Kind::Flag, "Whether it gets tokens.").default("true"),
        Key::new("teams", Kind::Texts, "Its teams, which become `groups`."),
        Key::new("grants", Kind::Grants, "The scopes granted to it, by API, in addition to those of its teams."),
        Key::new("default_api", Kind::Text, "The API of a request that names none."),
        Key::new("ttl", Kind::Duration, "Lifetime of its tokens."),
        Key::new("not_before", Kind::Time, "It gets no tokens before this time."),
        Key::new("not_after", Kind::Time, "It gets no tokens from this time on."),
        Key::new(
            "require_proof",
            Kind::OneOf(PROOFS),
            "Whether each of its tokens must be bound to a key of the caller.",
        ),
        Key::new("delegation", Kind::Section(&DELEGATION), "Who may act for it."),
        Key::new(
            "external_login",
            Kind::Section(&EXTERNAL_LOGIN),
            "Its account in a directory, whose groups give it teams.",
        ),
        Key::new(
            "identities",
            Kind::Sections(&IDENTITY),
            "Its OIDC identities. Each describes ID tokens that may be exchanged for its tokens.",
        ),
    ],
};

pub(crate) static DELEGATION: Section = Section {
    name: "delegation",
    keys: &[Key::new(
        "actors",
        Kind::Texts,
        "Service accounts that may act for it in a token exchange with `actor_token`.",
    )
    .required()],
};

pub(crate) static EXTERNAL_LOGIN: Section = Section {
    name: "`external_login`",
    keys: &[
        Key::new("directory", Kind::Text, "Name of the directory.").required(),
        Key::new(
            "name",
            Kind::Text,
            "Its login there: userPrincipalName, sAMAccountName or objectSid, or what `user_filter` looks for. It belongs to one \
             service account, whatever its letter case.",
        )
        .required(),
    ],
};

/// Values of `require_proof`.
const PROOFS: &[&str] = &["dpop"];

static IDENTITY: Section = Section {
    name: "an identity",
    keys: &[
        Key::new("name", Kind::Text, "Its name, unique in its account; by default `identity N`."),
        Key::new("issuer", Kind::TextOrTexts, "Names of issuer entries.").required(),
        Key::new("subject", Kind::Text, "Pattern of `sub`."),
        Key::new("audience", Kind::TextOrTexts, "Accepted values of `aud`, in place of the entry's."),
        Key::new("claims", Kind::Conditions, "Conditions on claims, by name or pointer."),
        Key::new("scopes", Kind::Texts, "Narrows the account's scopes."),
        Key::new("grants", Kind::Grants, "Narrows the account's grants."),
        Key::new("ttl", Kind::Duration, "Lifetime of its tokens."),
        Key::new("copy_claims", Kind::Texts, "Claims that are copied under `federated.claims`."),
        Key::new("replay", Kind::OneOf(REPLAY), "How often one token may be exchanged, in place of the entry's."),
        Key::new("enabled", Kind::Flag, "Whether it can match.").default("true"),
        Key::new("not_before", Kind::Time, "It does not match before this time."),
        Key::new("not_after", Kind::Time, "It does not match from this time on."),
        Key::new("allow_broad", Kind::Text, "Reason to accept a rule that is refused as too broad."),
        Key::new(
            "github",
            Kind::Conditions,
            "Rule for GitHub Actions: claims such as `repository`, `repository_id`, `environment`.",
        ),
        Key::new("gitlab", Kind::Conditions, "Rule for GitLab CI: claims such as `project_path`, `project_id`, `ref`."),
        Key::new("kubernetes", Kind::Conditions, "Rule for Kubernetes: `namespace`, `service_account` and others."),
        Key::new("azure", Kind::Conditions, "Rule for Microsoft Entra: `tenant`, `object_id` and others."),
        Key::new(
            "azure_devops",
            Kind::Conditions,
            "Rule for Azure DevOps: `organization_id`, `project_id` and others.",
        ),
        Key::new("aws", Kind::Conditions, "Rule for AWS outbound federation: `account`, `principal` and others."),
        Key::new("google", Kind::Conditions, "Rule for Google service accounts: `unique_id`, `email` and others."),
        Key::new("spiffe", Kind::Conditions, "Rule for SPIFFE: `id` and others."),
        Key::new("jenkins", Kind::Conditions, "Rule for Jenkins: `job` and others."),
        Key::new("circleci", Kind::Conditions, "Rule for CircleCI: `org_id`, `project_id` and others."),
        Key::new("bitbucket", Kind::Conditions, "Rule for Bitbucket Pipelines: `workspace`, `repository` and others."),
        Key::new("buildkite", Kind::Conditions, "Rule for Buildkite: `organization_id`, `pipeline_slug` and others."),
        Key::new("terraform", Kind::Conditions, "Rule for HCP Terraform: `organization_id`, `workspace` and others."),
        Key::new("octopus", Kind::Conditions, "Rule for Octopus Deploy: `space`, `project` and others."),
    ],
};

/// The long form of a condition.
pub(crate) static CONDITION: Section = Section {
    name: "a condition",
    keys: &[
        Key::new("any_of", Kind::Scalars, "At least one value of the claim matches one of these."),
        Key::new("all_of", Kind::Scalars, "Each of these matches at least one value of the claim."),
        Key::new("none_of", Kind::Scalars, "No value of the claim matches any of these."),
        Key::new("regex", Kind::Text, "At least one value of the claim matches this regular expression as a whole."),
        Key::new("present", Kind::Flag, "Whether the claim is there."),
        Key::new("or_absent", Kind::Flag, "Whether the condition also holds if the claim is absent.").default("false"),
    ],
};

static TEST: Section = Section {
    name: "a policy test",
    keys: &[
        Key::new("name", Kind::Text, "Its name for people; by default `test N`."),
        Key::new(
            "token",
            Kind::Claims,
            "Claims of the token, or a JSON file with them. With `preset`, they replace claims of that platform's sample.",
        )
        .required(),
        Key::new(
            "issuer",
            Kind::Text,
            "The issuer entry whose key signed the token. It is needed if several entries have the same `iss`.",
        ),
        Key::new("account", Kind::Text, "The service account that the request names."),
        Key::new("audience", Kind::TextOrTexts, "Values of `audience`, as in a request."),
        Key::new("resource", Kind::TextOrTexts, "Values of `resource`, as in a request."),
        Key::new("scope", Kind::Text, "Scopes separated by spaces, as in a request."),
        Key::new("expect", Kind::WordOrSection("deny", &EXPECT), "`deny`, or what is granted.").required(),
        Key::new("because", Kind::Text, "With `deny`: the only condition of the nearest identity that fails."),
    ],
};

pub(crate) static EXPECT: Section = Section {
    name: "`expect`",
    keys: &[
        Key::new("account", Kind::Text, "Username or id of the account."),
        Key::new("identity", Kind::Text, "Name of the identity."),
        Key::new("scopes", Kind::Texts, "Exactly these scopes, in any order."),
    ],
};

/// Whether any mapping has a key of this name.
pub(crate) fn is_known(name: &str) -> bool {
    fn within(section: &Section, name: &str) -> bool {
        section.keys.iter().any(|key| key.name == name || key.section().is_some_and(|inner| within(inner, name)))
    }
    within(&ROOT, name)
}

impl Key {
    /// The keys of the value, or of the mappings in it.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match &self.kind {
            Kind::Section(inner)
            | Kind::TextOrSection(inner)
            | Kind::WordOrSection(_, inner)
            | Kind::Sections(inner)
            | Kind::Named(inner) => Some(inner),
            Kind::Text
            | Kind::Path
            | Kind::Flag
            | Kind::Duration
            | Kind::Timeout
            | Kind::Time
            | Kind::Integer(..)
            | Kind::Size
            | Kind::OneOf(_)
            | Kind::Texts
            | Kind::TextOrTexts
            | Kind::Grants
            | Kind::Conditions
            | Kind::Scalars
            | Kind::Claims
            | Kind::KeySet
            | Kind::Variables => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list "All keys" of the documentation. `...` after the short rules means those of the
    /// other platforms.
    const ALL: &str = "
        issuer listen tls{cert_file key_file} behind_tls_proxy admin{listen hosts tls{cert_file key_file}} data_dir
        store{url username password_file ca_file cert_file key_file prefix timeout shards} status_list accounts proxy
        signing{algorithms rotate_every keys_dir store seal_key_file pkcs11{module token_label pin_file}} tokens{ttl max_ttl cap_to_subject ignore_scopes copy_claims require_account}
        limits{failures_per_second failure_burst connections keep_alive} shutdown{drain} log{format level claims} audit{file{path max_size max_files} syslog required}
        api_keys{enabled default_ttl max_ttl} console{issuer client_id client_secret_file scopes admin read ca_file proxy}
        manage{kinds} metrics{listen} telemetry{otlp}
        issuers{issuer issuer_template preset shared owner_claims trust_domain audience sole_audience algorithms leeway max_token_lifetime max_token_age
        require_iat replay types jwks_url jwks_file jwks ca_file bearer_token_file proxy max_stale refresh_cooldown kid_reuse
        variables allow_private_network allow_http enabled}
        apis{audience display_name scopes signing_algorithm introspection_secret_file}
        directories{url ca_file bind{dn password_file} base kind user_filter group_attribute refresh max_age}
        teams{display_name grants external_groups{directory group issuer claim value}}
        service_accounts{id display_name description enabled teams grants default_api ttl not_before not_after require_proof
        delegation{actors} external_login{directory name}
        identities{name issuer subject audience claims scopes grants ttl copy_claims replay enabled not_before not_after
        allow_broad github gitlab kubernetes azure azure_devops aws google spiffe jenkins circleci bitbucket buildkite terraform
        octopus}}
        tests{name token issuer account audience resource scope expect{account identity scopes} because}";

    #[test]
    fn the_table_holds_exactly_the_documented_keys() {
        fn paths(section: &Section, prefix: &str, out: &mut Vec<String>) {
            for key in section.keys {
                let path = format!("{prefix}{}", key.name);
                if let Some(inner) = key.section() {
                    paths(inner, &format!("{path}."), out);
                }
                out.push(path);
            }
        }
        let mut table = Vec::new();
        paths(&ROOT, "", &mut table);
        table.sort();

        let mut documented = Vec::new();
        let mut prefix = Vec::new();
        for word in ALL.replace('{', " { ").replace('}', " } ").split_whitespace() {
            match word {
                "{" => prefix.push(documented.last().cloned().unwrap_or_default()),
                "}" => drop(prefix.pop()),
                word => documented.push(prefix.last().map_or(word.to_owned(), |prefix| format!("{prefix}.{word}"))),
            }
        }
        documented.sort();
        assert_eq!(table, documented);
    }
}
