//! What the process is told by its environment.

use std::collections::HashMap;

use zeroize::Zeroizing;

/// The environment variables of a process.
#[derive(Clone)]
pub struct Environment {
    variables: HashMap<String, String>,
}

impl Environment {
    /// Those of this process. A variable that is not UTF-8 is left out.
    #[must_use]
    pub fn of_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect() }
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable that holds a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        self.get(name).map(|value| Zeroizing::new(value.to_owned()))
    }

    /// The names of the variables that set a proxy.
    pub(crate) fn proxy_variables(&self) -> Vec<&'static str> {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .into_iter()
            .filter(|name| self.get(name).is_some())
            .collect()
    }
}

/// Shows names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.collect() }
    }
}
