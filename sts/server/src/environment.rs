//! The variables that the process was started with, as far as we look at any.

/// Variables that many programs take a proxy from. Ours for issuers is `proxy` in the configuration.
const PROXY_VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Those of them that are set.
pub(crate) fn proxy_variables() -> Vec<String> {
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXY_VARIABLES.iter().filter(is_set).map(|name| (*name).to_owned()).collect()
}

/// Says at the start that variables which name a proxy are not used.
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
