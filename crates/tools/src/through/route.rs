//! Where a command's calls go, and with which token.

use std::path::PathBuf;

use config::environment;
use http::HeaderValue;

use super::names::is_variable;

/// Where the calls go, and with which token.
#[derive(Debug, clap::Args)]
pub(crate) struct Route {
    /// The proxy, where its bots connect to. Without it one is started for as long as this takes; it
    /// does not know what a proxy that runs already sends
    #[arg(long, value_name = "URL")]
    pub(crate) via: Option<String>,

    /// The configuration of the proxy that is started, and of what is known of methods. Without it:
    /// the file in `SLACKWATER_CONFIG`, else the defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The variable that has the token
    #[arg(long, value_name = "NAME", default_value = "SLACK_BOT_TOKEN", value_parser = parse_variable)]
    pub(crate) token_env: String,
}

/// The header with the token that a variable has; none if it has nothing that can be one.
pub(crate) fn token(variable: &str) -> Option<HeaderValue> {
    let token = environment(variable)?;
    let token = token.trim();
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    (!token.is_empty()).then_some(header)
}

fn parse_variable(name: &str) -> Result<String, String> {
    let is = is_variable(name).then(|| name.to_owned());
    is.ok_or_else(|| "is the name of a variable, and not a token".to_owned())
}
