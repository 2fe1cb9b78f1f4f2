//! Azure Key Vault: its REST interface, with a service principal's or a managed identity's token.

use super::web::{Answer, Web, not_let_in, seconds, send};
use super::{Secrets, Trouble, Value};
use serde_json::Value as Json;
use std::time::Duration;

const API_VERSION: &str = "7.4";
const IDENTITY_API_VERSION: &str = "2018-02-01";
/// Whom a token is for.
const RESOURCE: &str = "https://vault.azure.net";
const WHAT: &str = "Azure Key Vault";

/// A secret in a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVault {
    /// `https://<name>.vault.azure.net`
    pub vault: String,
    /// The secret's name there, perhaps with `/` and its version.
    pub secret: String,
    /// Who asks.
    pub identity: Identity,
    /// After how long it is read again.
    pub ttl: Duration,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The machine's identity, given out by this endpoint.
    Managed {
        /// Where.
        endpoint: String,
        /// Which of several.
        client_id: Option<String>,
    },
    /// A service principal, by OAuth 2's client credentials.
    Principal {
        /// `https://login.microsoftonline.com`
        authority: String,
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The secret with its password.
        client_secret: String,
    },
}

impl Web {
    /// The value of a secret. A token that does not do any more is asked for anew, once.
    pub(super) async fn key_vault(&self, vault: &KeyVault, secrets: &Secrets) -> Result<Value, Trouble> {
        let of = format!("{:?}", vault.identity);
        let url = format!("{}/secrets/{}", vault.vault.trim_end_matches('/'), vault.secret);
        for _ in 0..2 {
            let token = match self.token(&of) {
                Some(token) => token,
                None => self.azure_token(&vault.identity, &of, secrets).await?,
            };
            let request = self.client()?.get(&url).query(&[("api-version", API_VERSION)]).bearer_auth(token);
            match send(request, WHAT).await? {
                Answer::Found(json) => {
                    let value = json.get("value").and_then(Json::as_str);
                    let value =
                        value.ok_or_else(|| Trouble::lasting(format!("{WHAT} answers without a value")))?;
                    return Ok(Value(value.to_string()));
                }
                Answer::NotLetIn => self.drop_token(&of),
            }
        }
        Err(not_let_in(WHAT))
    }

    async fn azure_token(&self, identity: &Identity, of: &str, secrets: &Secrets) -> Result<String, Trouble> {
        let (what, request) = match identity {
            Identity::Managed { endpoint, client_id } => {
                let mut query = vec![("api-version", IDENTITY_API_VERSION), ("resource", RESOURCE)];
                query.extend(client_id.as_deref().map(|id| ("client_id", id)));
                (
                    "the managed identity",
                    self.client()?.get(endpoint).header("Metadata", "true").query(&query),
                )
            }
            Identity::Principal { authority, tenant_id, client_id, client_secret } => {
                let url = format!("{}/{tenant_id}/oauth2/v2.0/token", authority.trim_end_matches('/'));
                let password = secrets.near(client_secret)?;
                let scope = format!("{RESOURCE}/.default");
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    ("client_secret", password.reveal()),
                    ("scope", &scope),
                ];
                ("the login of Azure", self.client()?.post(url).form(&form))
            }
        };
        let Answer::Found(json) = send(request, what).await? else { return Err(not_let_in(what)) };
        let token = json.get("access_token").and_then(Json::as_str);
        let token = token.ok_or_else(|| Trouble::lasting(format!("{what} answers without a token")))?;
        self.keep_token(of, token, json.get("expires_in").and_then(seconds));
        Ok(token.to_string())
    }
}
