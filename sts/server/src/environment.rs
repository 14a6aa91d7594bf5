//! The environment variables that the server looks at.

/// Variables that set a proxy in many programs. The server uses `proxy` in its configuration
/// instead.
const PROXY_VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Those of them that are set.
pub(crate) fn proxy_variables() -> Vec<String> {
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXY_VARIABLES.iter().filter(is_set).map(|name| (*name).to_owned()).collect()
}

/// Warns at the start that the server ignores these variables.
pub(crate) fn warn_of_proxies() {
    let variables = proxy_variables();
    if !variables.is_empty() {
        tracing::warn!(
            variables = variables.join(" "),
            "a proxy in the environment is not used: to fetch issuers' keys through one, write `proxy` at the top of the \
             configuration or in an issuer entry"
        );
    }
}
