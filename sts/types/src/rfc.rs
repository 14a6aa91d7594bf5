//! Registered names, each with the RFC that registers it.

/// RFC 8693 section 2.1.
pub const GRANT_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 7523 section 2.1.
pub const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 6749 section 4.4.
pub const GRANT_CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523 section 2.2.
pub const CLIENT_ASSERTION_JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The `typ` of a JWT access token, RFC 9068 section 2.1.
pub const TYP_ACCESS_TOKEN: &str = "at+jwt";
/// The `typ` of a proof of possession, RFC 9449 section 4.2.
pub const TYP_DPOP_PROOF: &str = "dpop+jwt";
/// The `typ` of a signed introspection answer, RFC 9701 section 5.
pub const TYP_TOKEN_INTROSPECTION: &str = "token-introspection+jwt";

/// The `typ` of a signed status list, draft-ietf-oauth-status-list section 5.1.
pub const TYP_STATUS_LIST: &str = "statuslist+jwt";
/// `typ` of the signature of an audit checkpoint. It has no claims, so it can be no token.
pub const TYP_AUDIT_CHECKPOINT: &str = "audit-checkpoint";

/// The type of a token that its holder need not prove, RFC 6750.
pub const TOKEN_TYPE_BEARER: &str = "Bearer";
/// The type of a token that is bound to a key, RFC 9449 section 5.
pub const TOKEN_TYPE_DPOP: &str = "DPoP";

/// Scope of the built-in API: introspect any token.
pub const SCOPE_INTROSPECT: &str = "sts:introspect";
/// Scope of the built-in API: revoke any token.
pub const SCOPE_REVOKE: &str = "sts:revoke";
/// Scope of the built-in API: read through the admin listener.
pub const SCOPE_READ: &str = "sts:read";
/// Scope of the built-in API: everything on the admin listener.
pub const SCOPE_ADMIN: &str = "sts:admin";
/// The built-in API's name.
pub const BUILT_IN_API: &str = "sts";

/// Names of request parameters, and of the answer's members that have the same names.
pub mod parameter {
    /// RFC 6749 section 4.
    pub const GRANT_TYPE: &str = "grant_type";
    /// RFC 6749 section 2.2.
    pub const CLIENT_ID: &str = "client_id";
    /// RFC 6749 section 2.3.1.
    pub const CLIENT_SECRET: &str = "client_secret";
    /// RFC 6749 section 3.3.
    pub const SCOPE: &str = "scope";
    /// RFC 6749 section 5.1 for answers. Ours in requests: a lifetime that can only shorten.
    pub const EXPIRES_IN: &str = "expires_in";
    /// RFC 6749 section 5.1.
    pub const ACCESS_TOKEN: &str = "access_token";
    /// RFC 6749 section 5.1.
    pub const TOKEN_TYPE: &str = "token_type";
    /// RFC 6749 section 6.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// RFC 6749 section 4.1.3.
    pub const CODE: &str = "code";
    /// RFC 6749 section 4.3.2.
    pub const PASSWORD: &str = "password";
    /// RFC 7521 section 4.1.
    pub const ASSERTION: &str = "assertion";
    /// RFC 7521 section 4.2.
    pub const CLIENT_ASSERTION: &str = "client_assertion";
    /// RFC 7521 section 4.2.
    pub const CLIENT_ASSERTION_TYPE: &str = "client_assertion_type";
    /// RFC 7009 section 2.1, RFC 7662 section 2.1.
    pub const TOKEN: &str = "token";
    /// RFC 7009 section 2.1, RFC 7662 section 2.1.
    pub const TOKEN_TYPE_HINT: &str = "token_type_hint";
    /// RFC 8693 section 2.1.
    pub const AUDIENCE: &str = "audience";
    /// RFC 8693 section 2.1, RFC 8707 section 2.
    pub const RESOURCE: &str = "resource";
    /// RFC 8693 section 2.1.
    pub const REQUESTED_TOKEN_TYPE: &str = "requested_token_type";
    /// RFC 8693 section 2.1.
    pub const SUBJECT_TOKEN: &str = "subject_token";
    /// RFC 8693 section 2.1.
    pub const SUBJECT_TOKEN_TYPE: &str = "subject_token_type";
    /// RFC 8693 section 2.1.
    pub const ACTOR_TOKEN: &str = "actor_token";
    /// RFC 8693 section 2.1.
    pub const ACTOR_TOKEN_TYPE: &str = "actor_token_type";
    /// RFC 8693 section 2.2.1.
    pub const ISSUED_TOKEN_TYPE: &str = "issued_token_type";
}
