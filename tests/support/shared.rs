//! One server for the tests that only read: project `shop`, loaded and at rest. User `sluice` needs no password, `ada` says
//! hers: `wasserfall`.

use super::{Server, Warehouse};
use std::sync::{Arc, Mutex, PoisonError};

struct Shared {
    server: Arc<Server>,
    /// Its folder: gone when dropped.
    _warehouse: Warehouse,
}

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// The shared server, started by the first test that asks.
pub fn server() -> Arc<Server> {
    with(|shared| Arc::clone(&shared.server))
}

/// Stops it: statics are never dropped.
pub fn stop() {
    lock().take();
}

fn with<T>(take: impl FnOnce(&Shared) -> T) -> T {
    let mut slot = lock();
    take(slot.get_or_insert_with(|| {
        let warehouse = Warehouse::of("shop");
        let users = format!(
            "[users.sluice]\ntrust_loopback = true\n\n[users.ada]\nverifier = \"{}\"\n",
            crate::readers::VERIFIER
        );
        warehouse.write("catalog/warehouse.toml", users);
        let server = warehouse.serve();
        crate::smoke::wait_for_shop(&server);
        Shared { server: Arc::new(server), _warehouse: warehouse }
    }))
}

fn lock() -> std::sync::MutexGuard<'static, Option<Shared>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}
