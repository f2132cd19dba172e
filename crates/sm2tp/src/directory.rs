//! From `[ldap]` to the directory that the SMTP door asks, with the node's own password read from its file.

use std::path::Path;

use sm2tp_doors::directory::{Directory, Find, Settings};
use sm2tp_proto::smtp::Secret;

use crate::config::{self, Ldap, Switch};
use crate::outward::{secret_line, stream_of};
use crate::{Exit, Failure};

/// Asks nobody: a node starts while its directory is down.
pub fn directory(ldap: &Ldap, config_file: &Path) -> Result<Directory, Failure> {
    let blamed = |key, why: String, help| {
        let why = format!("`{key}` in [ldap]: {why}");
        Failure::new(Exit::Configuration, config::blame(config_file, &["ldap", key], &why, help).to_string())
    };
    let tls = sm2tp_relay::trusting(ldap.root.as_deref())
        .map_err(|error| blamed("root", error.to_string(), "a file with the certificate of an authority, in PEM"))?;
    let find = match &ldap.find {
        config::Find::Name(name) => Find::Name(name.clone()),
        config::Find::Search { bind, base, filter } => {
            let secret = |login: &config::Login| match secret_line(&login.password_file) {
                Ok(password) => Ok((login.user.clone(), Secret::new(password.to_string()))),
                Err(why) => Err(blamed(
                    "password_file",
                    format!("{}: {why}", login.password_file.display()),
                    "a file with the password in its first line, which the user of the node owns and nobody else may read",
                )),
            };
            let bind = bind.as_ref().map(secret).transpose()?;
            Find::Search { bind, base: base.clone(), filter: filter.clone() }
        }
    };
    let settings = Settings {
        servers: ldap.servers.clone(),
        starttls: ldap.starttls == Switch::On,
        tls,
        find,
        org: ldap.org.clone(),
        org_attribute: ldap.org_attribute.clone(),
        address_attribute: ldap.address_attribute.clone(),
        stream: ldap.stream.map(stream_of),
        keep: ldap.keep,
    };
    Directory::new(settings).map_err(|error| Failure::new(Exit::Temporary, error.to_string()))
}
