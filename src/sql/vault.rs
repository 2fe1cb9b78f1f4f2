//! The options of secrets: which each backend has, and which it needs.

use super::cursor::length_of_time;
use super::outside::SECRET_EXAMPLE;
use super::{Error, OptionValue, Options, Origin, SecretBackend};
use std::time::Duration;

/// After how long a vault is asked again, unless `ttl` says otherwise.
const TTL: Duration = Duration::from_secs(300);

const KEY_VAULT_EXAMPLE: &str = "Write CREATE SECRET name WITH (backend = 'azure_key_vault', vault = 'https://name.vault.azure.net') AS \
    'secret-name', with tenant_id, client_id and client_secret = SECRET other where the machine has no identity of its own.";
const VAULT_EXAMPLE: &str = "Write CREATE SECRET name WITH (backend = 'vault', address = 'https://vault.example:8200', token = SECRET \
    other) AS 'mount/path#field', or role_id and secret_id = SECRET other in place of the token.";

/// Checks a secret's options and key; gives its time to live. Errors repeat no value: people write secrets there.
pub(super) fn check(
    name: &str,
    backend: SecretBackend,
    options: &Options,
    key: &str,
    origin: &Origin,
) -> Result<Duration, Error> {
    let (known, example): (&[&str], &str) = match backend {
        SecretBackend::Env | SecretBackend::File => (&[], SECRET_EXAMPLE),
        SecretBackend::AzureKeyVault => (
            &["vault", "tenant_id", "client_id", "client_secret", "authority", "identity_endpoint", "ttl"],
            KEY_VAULT_EXAMPLE,
        ),
        SecretBackend::Vault => {
            (&["address", "token", "role_id", "secret_id", "namespace", "ttl"], VAULT_EXAMPLE)
        }
    };
    let wrong = |code, message: String| Err(Error::new(code, origin.clone(), message).with_hint(example));
    if let Some(unknown) = options.keys().find(|key| *key != "backend" && !known.contains(&key.as_str())) {
        return wrong("42601", format!("a secret has no option \"{unknown}\""));
    }
    let has = |option: &str| options.contains_key(option);
    let needs: &[&str] = match backend {
        SecretBackend::Env | SecretBackend::File => return Ok(TTL),
        SecretBackend::AzureKeyVault if has("client_secret") => &["vault", "tenant_id", "client_id"],
        SecretBackend::AzureKeyVault => &["vault"],
        SecretBackend::Vault if has("token") => &["address"],
        SecretBackend::Vault => &["address", "role_id", "secret_id"],
    };
    if let Some(missing) = needs.iter().find(|option| !has(option)) {
        return wrong("42601", format!("secret \"{name}\" has no option \"{missing}\""));
    }
    for (option, value) in options {
        let is_secret = ["client_secret", "token", "secret_id"].contains(&option.as_str());
        match value {
            OptionValue::Text(_) if is_secret => {
                return wrong("0A000", format!("\"{option}\" holds a secret in a file of the project"));
            }
            OptionValue::Secret(_) if !is_secret => {
                return wrong("42601", format!("\"{option}\" is no secret"));
            }
            OptionValue::Text(url) if ["vault", "address", "authority"].contains(&option.as_str()) => {
                let is_local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
                if !url.starts_with("https://") && !is_local.iter().any(|local| url.starts_with(local)) {
                    return wrong("22023", format!("\"{option}\" does not begin with https://"));
                }
            }
            _ => {}
        }
    }
    let is_name = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
            && !text.contains("..")
    };
    let fits = match backend {
        SecretBackend::Vault => key.split_once('#').is_some_and(|(path, field)| {
            is_name(path)
                && path.split_once('/').is_some_and(|(mount, path)| !mount.is_empty() && !path.is_empty())
                && !field.is_empty()
        }),
        _ => is_name(key),
    };
    if !fits {
        return wrong("22023", format!("secret \"{name}\" names no place in the vault"));
    }
    match options.get("ttl") {
        Some(OptionValue::Text(text)) => match length_of_time(text) {
            Some(ttl) => Ok(ttl),
            None => wrong("22007", format!("the ttl of secret \"{name}\" is not a length of time")),
        },
        _ => Ok(TTL),
    }
}
