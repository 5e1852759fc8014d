//! `nameresolution.nameformat`: addresses made from application ids by a format.

use component::{
    Component, ComponentError, Config, Open, OpenError, async_trait,
    name_resolution::{NameResolver, Resolve},
};

#[cfg(test)]
mod tests;

/// What stands for the application's id in a format.
const PLACEHOLDER: &str = "{appid}";

/// Options of `nameresolution.nameformat`.
#[derive(Debug, Config)]
pub struct Options {
    /// The address of an application's sidecar, in which `{appid}` stands for the application's id, as in
    /// `service-{appid}.private.cluster.local`. An address without a port gets the port of the sidecars' internal API.
    #[config(required)]
    pub format: String,
}

/// Makes addresses from application ids by a format; whether anybody answers there is not looked at.
pub struct NameFormat {
    format: String,
}

impl Component for NameFormat {
    const NAMES: &'static [&'static str] = &["nameformat"];
    const STATUS: component::Status = component::Status::Alpha;
    const SUMMARY: &'static str =
        "Makes the address of an application's sidecar from the application's id, for networks with names by a rule.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        Ok(Self { format: options.format })
    }
}

#[async_trait]
impl NameResolver for NameFormat {
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
        let address = self.format.replace(PLACEHOLDER, request.app_id);
        Ok(vec![if has_port(&address) {
            address
        } else {
            format!("{address}:{}", request.port)
        }])
    }
}

/// Whether an address ends with a port. A bare IPv6 address, which has several colons, does not.
fn has_port(address: &str) -> bool {
    match address.rsplit_once(':') {
        Some((host, _)) => !host.contains(':') || host.ends_with(']'),
        None => false,
    }
}
