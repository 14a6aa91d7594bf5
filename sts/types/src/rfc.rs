//! Registered names, each with the RFC that registers it.

/// RFC 8693 section 2.1.
pub const GRANT_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// RFC 8693 section 3.
pub const TOKEN_TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The `typ` of a JWT access token, RFC 9068 section 2.1.
pub const TYP_ACCESS_TOKEN: &str = "at+jwt";
/// The `typ` of a signed introspection answer, RFC 9701 section 5.
pub const TYP_TOKEN_INTROSPECTION: &str = "token-introspection+jwt";

/// The `typ` of a signed status list, draft-ietf-oauth-status-list section 5.1.
pub const TYP_STATUS_LIST: &str = "statuslist+jwt";

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
