//! HashiCorp Vault: its REST interface to the key-value store, version 2, with a token or an AppRole's login.

use super::web::{Answer, Web, not_let_in, seconds, send};
use super::{Secrets, Trouble, Value};
use reqwest::RequestBuilder;
use serde_json::{Value as Json, json};
use std::time::Duration;

const WHAT: &str = "Vault";

/// A field of a secret in a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// `https://vault.example:8200`
    pub address: String,
    /// A namespace of Vault Enterprise.
    pub namespace: Option<String>,
    /// Where the store is mounted, as in `secret`.
    pub mount: String,
    /// The secret's path in it.
    pub path: String,
    /// Its field.
    pub field: String,
    /// Who asks.
    pub login: Login,
    /// After how long it is read again.
    pub ttl: Duration,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Who has a token.
    Token {
        /// The secret with the token.
        token: String,
    },
    /// An application.
    AppRole {
        /// Its role.
        role_id: String,
        /// The secret with its password.
        secret_id: String,
    },
}

impl Web {
    /// The value of a secret's field. A login that does not do any more is made anew, once.
    pub(super) async fn vault(&self, vault: &Vault, secrets: &Secrets) -> Result<Value, Trouble> {
        let of = format!("{} {:?} {:?}", vault.address, vault.namespace, vault.login);
        let address = vault.address.trim_end_matches('/');
        let url = format!("{address}/v1/{}/data/{}", vault.mount, vault.path);
        for _ in 0..2 {
            let token = match &vault.login {
                Login::Token { token } => secrets.near(token)?.0,
                Login::AppRole { role_id, secret_id } => match self.token(&of) {
                    Some(token) => token,
                    None => self.vault_token(vault, (role_id, secret_id), &of, secrets).await?,
                },
            };
            let request = self.client()?.get(&url).header("X-Vault-Token", token);
            match send(in_namespace(request, vault), WHAT).await? {
                Answer::Found(json) => {
                    let value = json.pointer("/data/data").and_then(|data| data.get(&vault.field)?.as_str());
                    let missing =
                        || Trouble::lasting(format!("{WHAT} has no text in field \"{}\"", vault.field));
                    return value.map(|value| Value(value.to_string())).ok_or_else(missing);
                }
                Answer::NotLetIn => self.drop_token(&of),
            }
        }
        Err(not_let_in(WHAT))
    }

    async fn vault_token(
        &self,
        vault: &Vault,
        (role_id, secret_id): (&str, &str),
        of: &str,
        secrets: &Secrets,
    ) -> Result<String, Trouble> {
        let password = secrets.near(secret_id)?;
        let url = format!("{}/v1/auth/approle/login", vault.address.trim_end_matches('/'));
        let body = json!({ "role_id": role_id, "secret_id": password.reveal() });
        let request =
            self.client()?.post(url).header("Content-Type", "application/json").body(body.to_string());
        let what = "the AppRole login of Vault";
        let Answer::Found(json) = send(in_namespace(request, vault), what).await? else {
            return Err(not_let_in(what));
        };
        let token = json.pointer("/auth/client_token").and_then(Json::as_str);
        let token = token.ok_or_else(|| Trouble::lasting(format!("{what} answers without a token")))?;
        self.keep_token(of, token, json.pointer("/auth/lease_duration").and_then(seconds));
        Ok(token.to_string())
    }
}

fn in_namespace(request: RequestBuilder, vault: &Vault) -> RequestBuilder {
    match &vault.namespace {
        Some(namespace) => request.header("X-Vault-Namespace", namespace),
        None => request,
    }
}
