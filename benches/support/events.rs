//! The event that benches send: 308 bytes of JSON with a nested part, as in the rivals' figures.

use std::io::Write as _;

/// The length of every event.
pub const EVENT_BYTES: usize = 308;

/// How many stores, so how many groups a gold table has.
pub const STORES: u64 = 200;

/// The source's columns.
pub const COLUMNS: &str = "seq BIGINT, event_time TIMESTAMPTZ, user_id BIGINT, session_id TEXT, event_type TEXT, \
     store_id INT, product_id INT, quantity INT, price DECIMAL(10,2), \
     ctx STRUCT<page TEXT, referrer TEXT, device TEXT, agent TEXT>";

/// `CREATE SOURCE bronze.events` on topic `events` of connection `hub`.
pub fn source() -> String {
    format!(
        "CREATE SOURCE bronze.events (\n  {COLUMNS}\n)\n\
         WITH (connector = 'kafka', connection = hub, topic = 'events', scan.startup.mode = 'earliest')\n\
         FORMAT PLAIN ENCODE JSON;\n"
    )
}

/// Writes event `seq` into `into`.
pub fn write(seq: u64, into: &mut Vec<u8>) {
    // Mixed, so that neighbours differ as real events do and columns do not collapse.
    let mixed = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let kind = ["page_view", "add_to_cart", "purchase", "search"][(mixed >> 60) as usize % 4];
    let device = ["mobile", "desktop", "tablet"][(mixed >> 50) as usize % 3];
    let seconds = seq / 1000 % 86_400;
    into.clear();
    write!(
        into,
        r#"{{"seq":{seq},"event_time":"2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z","user_id":{},"session_id":"s-{:012x}","event_type":"{kind}","store_id":{},"product_id":{},"quantity":{},"price":{}.{:02},"ctx":{{"page":"/product/{}","referrer":"https://shop.example.com/","device":"{device}","agent":""#,
        1 + seq / 86_400_000 % 28,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        seq % 1000,
        mixed >> 44,
        mixed >> 16,
        (mixed >> 33) % STORES,
        (mixed >> 20) % 5000,
        1 + (mixed >> 10) % 5,
        1 + (mixed >> 25) % 200,
        (mixed >> 12) % 100,
        (mixed >> 20) % 5000,
    )
    .unwrap();
    const TAIL: &[u8] = b"\"}}";
    const AGENT: &[u8] =
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0";
    let room = EVENT_BYTES.checked_sub(into.len() + TAIL.len()).expect("the event is too long");
    into.extend(AGENT.iter().cycle().take(room));
    into.extend_from_slice(TAIL);
}
