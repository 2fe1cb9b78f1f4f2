//! Secrets of the environment and of vaults: who needs them has them, they are asked for again when they may have changed, and
//! they stand nowhere.

use crate::roles::{ROLES, SETTINGS};
use crate::support::pg::{Pg, code};
use crate::support::traces::traces;
use crate::support::{Server, Warehouse, trial};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use libtest_mimic::Trial;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "secrets::come_from_the_environment_and_from_vaults",
        come_from_the_environment_and_from_vaults,
    )]
}

/// Azure Key Vault and HashiCorp Vault, as their documentation has them.
#[derive(Default)]
struct Vaults {
    value: &'static str,
    is_away: bool,
    logins: usize,
    azure_reads: usize,
}

type Shared = Arc<Mutex<Vaults>>;
type Answer = (StatusCode, String);

fn answer(json: serde_json::Value) -> Answer {
    (StatusCode::OK, json.to_string())
}

fn has(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|header| header == value)
}

async fn token(State(vaults): State<Shared>, form: String) -> Answer {
    if !form.contains("client_id=app") || !form.contains("client_secret=open-sesame") {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    vaults.lock().unwrap().logins += 1;
    answer(json!({ "access_token": "t0ken", "expires_in": 3599, "token_type": "Bearer" }))
}

async fn azure(State(vaults): State<Shared>, headers: HeaderMap) -> Answer {
    let mut vaults = vaults.lock().unwrap();
    vaults.azure_reads += 1;
    match has(&headers, "authorization", "Bearer t0ken") {
        true => answer(json!({ "value": vaults.value, "id": "https://x/secrets/login/1" })),
        false => (StatusCode::UNAUTHORIZED, String::new()),
    }
}

async fn vault(State(vaults): State<Shared>, headers: HeaderMap) -> Answer {
    let vaults = vaults.lock().unwrap();
    match has(&headers, "x-vault-token", "hvs-1") {
        _ if vaults.is_away => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        true => {
            answer(json!({ "data": { "data": { "password": vaults.value }, "metadata": { "version": 1 } } }))
        }
        false => (StatusCode::FORBIDDEN, String::new()),
    }
}

/// The vaults and their address; they end with the test's process.
fn vaults() -> (Shared, SocketAddr) {
    let vaults = Shared::default();
    vaults.lock().unwrap().value = "pencil-1";
    let app = Router::new()
        .route("/tenant/oauth2/v2.0/token", post(token))
        .route("/secrets/login", get(azure))
        .route("/v1/kv/data/shop", get(vault))
        .with_state(Arc::clone(&vaults));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
        });
    });
    (vaults, address)
}

fn come_from_the_environment_and_from_vaults() {
    let (vaults, address) = vaults();
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write("vault_token", "hvs-1\n");
    warehouse.write(
        "catalog/roles.sql",
        format!(
            "{ROLES}CREATE SECRET app_secret WITH (backend = 'env') AS 'APP_SECRET';
             CREATE SECRET vault_token WITH (backend = 'file') AS 'vault_token';
             CREATE SECRET of_eve WITH (backend = 'env') AS 'EVE_PASSWORD';
             CREATE SECRET of_kay WITH (backend = 'azure_key_vault', vault = 'http://{address}', tenant_id = 'tenant', client_id = 'app',
               client_secret = SECRET app_secret, authority = 'http://{address}', ttl = '1 hour') AS 'login';
             CREATE SECRET of_vic WITH (backend = 'vault', address = 'http://{address}', token = SECRET vault_token, ttl = '0 seconds')
               AS 'kv/shop#password';
             CREATE ROLE eve LOGIN PASSWORD SECRET of_eve;
             CREATE ROLE kay LOGIN PASSWORD SECRET of_kay;
             CREATE ROLE vic LOGIN PASSWORD SECRET of_vic;\n"
        ),
    );
    let environment = ["env", "EVE_PASSWORD=pencil-0", "APP_SECRET=open-sesame"];
    let server = Server::launch_within(&environment, &warehouse, &[]).ready().unwrap();
    let logs_in = |user: &str, password: &str| match Pg::connect(server.pg, user, Some(password)) {
        Ok(session) => session.text("SELECT current_user") == user,
        Err(error) => {
            assert_eq!(code(&error), "28P01", "{user}");
            false
        }
    };
    assert!(logs_in("eve", "pencil-0") && !logs_in("eve", "pencil-1"));
    for _ in 0..3 {
        assert!(logs_in("kay", "pencil-1") && logs_in("vic", "pencil-1"));
    }
    {
        let vaults = vaults.lock().unwrap();
        assert_eq!((vaults.azure_reads, vaults.logins), (1, 1), "what was read is kept for an hour");
    }
    // Where its time is over, it is asked for again; while the vault is away, what was there before holds.
    vaults.lock().unwrap().value = "pencil-2";
    assert!(logs_in("vic", "pencil-2") && !logs_in("vic", "pencil-1"));
    assert!(logs_in("kay", "pencil-1"));
    vaults.lock().unwrap().is_away = true;
    assert!(logs_in("vic", "pencil-2"));

    // Nobody is shown them.
    let root = server.connect();
    let tables = root
        .text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'sluice' ORDER BY 1");
    assert!(tables.lines().count() > 20, "{tables}");
    let values = ["pencil", "open-sesame", "t0ken", "hvs-1"];
    for table in tables.lines() {
        let rows = root.text(&format!("SELECT * FROM sluice.\"{table}\""));
        assert!(values.iter().all(|value| !rows.contains(value)), "sluice.{table} shows a secret:\n{rows}");
    }
    let log = server.log();
    assert!(values.iter().all(|value| !log.contains(value)), "the log shows a secret:\n{log}");
    assert!(server.terminate().0.success());
    for value in values {
        assert_eq!(traces(&warehouse.data(), value).0, [] as [std::path::PathBuf; 0], "{value}");
    }
}
