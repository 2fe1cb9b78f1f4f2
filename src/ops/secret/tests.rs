//! Vaults that answer as their documentation says, played by a small server.

use super::{Identity, KeyVault, Login, Place, Secrets, Vault};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

type Answer = (StatusCode, String);

/// What the vaults hold, whom they let in, and how often they were asked.
#[derive(Default)]
struct Inside {
    value: String,
    token: String,
    status: Option<StatusCode>,
    reads: usize,
    logins: usize,
}

type Shared = Arc<Mutex<Inside>>;

fn answer(json: Json) -> Answer {
    (StatusCode::OK, json.to_string())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Counts a read; what is to be answered in place of the value.
fn read(inside: &Shared, token: &str) -> Result<String, Answer> {
    let mut inside = inside.lock();
    inside.reads += 1;
    if let Some(status) = inside.status {
        return Err((status, "{\"errors\": [\"hunter2\"]}".to_string()));
    }
    if token != inside.token {
        return Err((StatusCode::FORBIDDEN, "{\"errors\": [\"permission denied\"]}".to_string()));
    }
    Ok(inside.value.clone())
}

async fn key_vault(
    State(inside): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    assert_eq!(query["api-version"], "7.4");
    let token = header(&headers, "authorization").trim_start_matches("Bearer ").to_string();
    match read(&inside, &token) {
        Ok(value) => answer(json!({ "value": value, "id": "https://x/secrets/hub/1", "attributes": {} })),
        Err(refused) => refused,
    }
}

async fn managed(
    State(inside): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    assert_eq!(header(&headers, "metadata"), "true");
    assert_eq!(query["resource"], "https://vault.azure.net");
    let mut inside = inside.lock();
    inside.logins += 1;
    // Text, as Azure writes it here.
    answer(json!({ "access_token": inside.token, "expires_in": "86399", "token_type": "Bearer" }))
}

async fn principal(State(inside): State<Shared>, body: Bytes) -> Answer {
    let form = String::from_utf8(body.to_vec()).unwrap();
    let right = "grant_type=client_credentials&client_id=app&client_secret=open+sesame&scope=https%3A%2F%2Fvault.azure.net%2F.default";
    if form != right {
        return (StatusCode::UNAUTHORIZED, "{\"error\": \"invalid_client\"}".to_string());
    }
    let mut inside = inside.lock();
    inside.logins += 1;
    answer(json!({ "access_token": inside.token, "expires_in": 3599, "token_type": "Bearer" }))
}

async fn vault(State(inside): State<Shared>, headers: HeaderMap) -> Answer {
    assert_eq!(header(&headers, "x-vault-namespace"), "team");
    match read(&inside, header(&headers, "x-vault-token")) {
        Ok(value) => {
            answer(json!({ "data": { "data": { "password": value }, "metadata": { "version": 2 } } }))
        }
        Err(refused) => refused,
    }
}

async fn app_role(State(inside): State<Shared>, body: Bytes) -> Answer {
    let said: Json = serde_json::from_slice(&body).unwrap();
    if said != json!({ "role_id": "r", "secret_id": "open sesame" }) {
        return (StatusCode::FORBIDDEN, "{\"errors\": [\"invalid role or secret ID\"]}".to_string());
    }
    let mut inside = inside.lock();
    inside.logins += 1;
    answer(json!({ "auth": { "client_token": inside.token, "lease_duration": 3600 } }))
}

/// The vaults, their address, and a file with the password of who logs in.
async fn vaults() -> (Shared, String, tempfile::TempDir) {
    let inside = Shared::default();
    *inside.lock() = Inside { value: "pencil".into(), token: "t1".into(), ..Inside::default() };
    let app = Router::new()
        .route("/secrets/hub", get(key_vault))
        .route("/identity", get(managed))
        .route("/tenant/oauth2/v2.0/token", post(principal))
        .route("/v1/kv/data/shop/hub", get(vault))
        .route("/v1/auth/approle/login", post(app_role))
        .with_state(Arc::clone(&inside));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
    std::fs::write(folder.path().join("token"), "t1\n").unwrap();
    (inside, address, folder)
}

fn secrets(folder: &tempfile::TempDir, places: impl IntoIterator<Item = (&'static str, Place)>) -> Secrets {
    let secrets = Secrets::default();
    let file = |name: &str| (name.to_string(), Place::File(folder.path().join(name)));
    let places = places.into_iter().map(|(name, place)| (name.to_string(), place));
    secrets.place(places.chain([file("password"), file("token")]).collect());
    secrets
}

fn in_key_vault(address: &str, identity: Identity, ttl: Duration) -> Place {
    Place::KeyVault(KeyVault { vault: address.to_string(), secret: "hub".to_string(), identity, ttl })
}

fn in_vault(address: &str, login: Login, field: &str) -> Place {
    Place::Vault(Vault {
        address: format!("{address}/"),
        namespace: Some("team".to_string()),
        mount: "kv".to_string(),
        path: "shop/hub".to_string(),
        field: field.to_string(),
        login,
        ttl: Duration::from_secs(300),
    })
}

fn principal_of(address: &str) -> Identity {
    Identity::Principal {
        authority: address.to_string(),
        tenant_id: "tenant".to_string(),
        client_id: "app".to_string(),
        client_secret: "password".to_string(),
    }
}

#[tokio::test]
async fn key_vault_is_read_by_a_principal_and_by_the_machine() {
    let (inside, address, folder) = vaults().await;
    let managed = Identity::Managed { endpoint: format!("{address}/identity"), client_id: None };
    let hour = Duration::from_secs(3600);
    let secrets = secrets(
        &folder,
        [
            ("a", in_key_vault(&address, principal_of(&address), hour)),
            ("b", in_key_vault(&address, managed, hour)),
        ],
    );
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pencil");
    assert_eq!(secrets.get("b").await.unwrap().reveal(), "pencil");
    // Kept, until it is doubted and some time has passed.
    inside.lock().value = "pen".into();
    secrets.doubt("missing");
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pencil");
    let inside = inside.lock();
    assert_eq!((inside.reads, inside.logins), (2, 2));
}

#[tokio::test]
async fn values_are_read_again_after_a_while_and_tokens_once_they_are_refused() {
    let (inside, address, folder) = vaults().await;
    let secrets = secrets(&folder, [("a", in_key_vault(&address, principal_of(&address), Duration::ZERO))]);
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pencil");
    inside.lock().value = "pen".into();
    inside.lock().token = "t2".into();
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pen");
    assert_eq!(inside.lock().logins, 2);
    // While the vault is away, what was there before holds.
    inside.lock().status = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pen");
    // What is gone is gone.
    inside.lock().status = Some(StatusCode::NOT_FOUND);
    let error = secrets.get("a").await.unwrap_err();
    assert_eq!(error.to_string(), "secret \"a\": Azure Key Vault has no such secret (404)");
}

#[tokio::test]
async fn vault_is_read_with_a_token_and_by_an_application() {
    let (inside, address, folder) = vaults().await;
    let token = Login::Token { token: "token".to_string() };
    let role = Login::AppRole { role_id: "r".to_string(), secret_id: "password".to_string() };
    let wrong = Login::AppRole { role_id: "x".to_string(), secret_id: "password".to_string() };
    let secrets = secrets(
        &folder,
        [
            ("a", in_vault(&address, token.clone(), "password")),
            ("b", in_vault(&address, role, "password")),
            ("c", in_vault(&address, token, "user")),
            ("d", in_vault(&address, wrong, "password")),
            ("e", in_vault("http://127.0.0.1:1", Login::Token { token: "token".to_string() }, "password")),
        ],
    );
    assert_eq!(secrets.get("a").await.unwrap().reveal(), "pencil");
    assert_eq!(secrets.get("b").await.unwrap().reveal(), "pencil");
    assert_eq!(inside.lock().logins, 1);
    for (name, message, may_pass) in [
        ("c", "secret \"c\": Vault has no text in field \"user\"", false),
        ("d", "secret \"d\": the AppRole login of Vault does not let this server read it (401 or 403)", true),
        ("e", "secret \"e\": Vault cannot be reached: no connection", true),
        ("f", "secret \"f\": it is not defined", false),
    ] {
        let error = secrets.get(name).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.may_pass), (message, may_pass));
    }
    inside.lock().status = Some(StatusCode::INTERNAL_SERVER_ERROR);
    let shown = format!("{:?} {secrets:?}", secrets.get("d").await);
    for value in ["pencil", "hunter2", "open sesame", "t1"] {
        assert!(!shown.contains(value), "{value} in {shown}");
    }
}

#[tokio::test]
async fn what_is_near_is_read_each_time() {
    let (_, _, folder) = vaults().await;
    let secrets = secrets(&folder, [("home", Place::Environment("HOME".to_string()))]);
    assert_eq!(secrets.get("token").await.unwrap().reveal(), "t1");
    std::fs::write(folder.path().join("token"), "t2").unwrap();
    assert_eq!(secrets.get("token").await.unwrap().reveal(), "t2");
    assert!(!secrets.get("home").await.unwrap().reveal().is_empty());
}
