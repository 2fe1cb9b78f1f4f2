//! Definitions of secrets become the places that they are kept in.

use crate::catalog::project::Project;
use crate::ops::retry::spread;
use crate::ops::secret::{Error, Identity, KeyVault, Login, Place, Secrets, Value, Vault};
use crate::sql::{OptionValue, SecretBackend, SecretDefinition};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Where Azure gives tokens to applications, and where to the machine itself.
const AUTHORITY: &str = "https://login.microsoftonline.com";
const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Values of secrets, or why they cannot be had.
pub(super) type Values = BTreeMap<String, Result<Value, Error>>;

/// The places of a project's secrets.
pub(super) fn places(project: &Project) -> BTreeMap<String, Place> {
    let place = |secret: &SecretDefinition| place(secret, &project.folder);
    project.secrets.iter().map(|(name, secret)| (name.clone(), place(secret))).collect()
}

fn place(secret: &SecretDefinition, folder: &Path) -> Place {
    let option = |name: &str| match secret.options.get(name) {
        Some(OptionValue::Text(value) | OptionValue::Secret(value)) => Some(value.clone()),
        None => None,
    };
    let text = |name: &str| option(name).unwrap_or_default();
    match secret.backend {
        SecretBackend::Env => Place::Environment(secret.key.clone()),
        SecretBackend::File => Place::File(folder.join(&secret.key)),
        SecretBackend::AzureKeyVault => Place::KeyVault(KeyVault {
            vault: text("vault"),
            secret: secret.key.clone(),
            identity: match option("client_secret") {
                Some(client_secret) => Identity::Principal {
                    authority: option("authority").unwrap_or_else(|| AUTHORITY.to_string()),
                    tenant_id: text("tenant_id"),
                    client_id: text("client_id"),
                    client_secret,
                },
                None => Identity::Managed {
                    endpoint: option("identity_endpoint").unwrap_or_else(|| MACHINE.to_string()),
                    client_id: option("client_id"),
                },
            },
            ttl: secret.ttl,
        }),
        SecretBackend::Vault => {
            let (path, field) = secret.key.split_once('#').unwrap_or((&secret.key, ""));
            let (mount, path) = path.split_once('/').unwrap_or((path, ""));
            Place::Vault(Vault {
                address: text("address"),
                namespace: option("namespace"),
                mount: mount.to_string(),
                path: path.to_string(),
                field: field.to_string(),
                login: match option("token") {
                    Some(token) => Login::Token { token },
                    None => Login::AppRole { role_id: text("role_id"), secret_id: text("secret_id") },
                },
                ttl: secret.ttl,
            })
        }
    }
}

/// The values that the sources of a project need, all asked for at once.
pub(super) async fn values(project: &Project, secrets: &Secrets) -> Values {
    let connections = project.connections.values().flat_map(|connection| connection.options.values());
    let sources = project.sources.values().flat_map(|source| source.options.values());
    let names = connections.chain(sources).filter_map(|value| match value {
        OptionValue::Secret(name) => Some(name.clone()),
        OptionValue::Text(_) => None,
    });
    let keys = project.sources.values().filter_map(|source| source.masking.secret());
    let names: BTreeSet<String> = names.chain(keys.map(ToString::to_string)).collect();
    let read = |name: String| async move {
        let value = secrets.get(&name).await;
        (name, value)
    };
    join_all(names.into_iter().map(read)).await.into_iter().collect()
}

/// The secrets that cannot be had now, and may be later.
pub(super) fn away(values: &Values) -> Vec<String> {
    let away = values.iter().filter(|(_, value)| value.as_ref().is_err_and(|error| error.may_pass));
    away.map(|(name, _)| name.clone()).collect()
}

/// How long a secret that cannot be had is left alone, at first and at most.
const WAIT_MIN: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Rings once all of these can be had, so that the sources that need them are started.
pub(super) async fn come_back(
    secrets: Arc<Secrets>,
    names: Vec<String>,
    reload: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut wait = WAIT_MIN;
    let mut names = names;
    while !names.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(spread(wait, rand::random())) => {}
        }
        wait = (wait * 2).min(WAIT_MAX);
        let found = join_all(names.iter().map(|name| secrets.get(name))).await;
        names =
            names.into_iter().zip(found).filter(|(_, value)| value.is_err()).map(|(name, _)| name).collect();
        if names.is_empty() {
            reload.notify_one();
        }
    }
}
