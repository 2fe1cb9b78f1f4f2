//! Mail of alerts over encrypted connections, to servers that ask for a login.

use crate::alerts::{EMPTY_TANKS, push, tanks};
use crate::encryption::{authority, certificate};
use crate::support::mailbox::{Demands, Mailbox, Tls};
use crate::support::{Server, Warehouse, needs, trial};
use libtest_mimic::Trial;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    needs::openssl(vec![
        trial("mail::goes_encrypted_to_who_asks_for_a_login", goes_encrypted_to_who_asks_for_a_login),
        trial("mail::goes_to_no_server_that_is_not_trusted", goes_to_no_server_that_is_not_trusted),
        trial("mail::gives_its_password_to_no_plain_connection", gives_its_password_to_no_plain_connection),
    ])
}

/// A folder with an authority of its name and certificates of it for 127.0.0.1 (`server`) and for another name (`other`).
fn certificates(name: &str) -> (Warehouse, PathBuf) {
    let warehouse = Warehouse::new();
    let folder = warehouse.folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    authority(&folder, name);
    certificate(&folder, name, "server", "subjectAltName=IP:127.0.0.1");
    certificate(&folder, name, "other", "subjectAltName=DNS:mail.example.com");
    (warehouse, folder)
}

fn mailbox(tls: Option<Tls>) -> Mailbox {
    let login = Some(("sluice".to_string(), "r1ght".to_string()));
    Mailbox::demanding(Demands { login, tls, put_off: 0 })
}

/// A project whose alert tells a mailbox by one connection for each of these.
fn telling(mailboxes: &[(&str, &str, &Mailbox)]) -> Warehouse {
    let connections = mailboxes.iter().map(|(name, tls, mailbox)| {
        format!(
            "CREATE CONNECTION {name} TO SMTP (host = '127.0.0.1', port = {}, tls = '{tls}', from = 's@example.com', \
             user = 'sluice', password = SECRET post);\n",
            mailbox.address.port()
        )
    });
    let targets = mailboxes.iter().map(|(name, ..)| format!("(EMAIL 'a@example.com' CONNECTION {name})"));
    let (connections, targets) = (connections.collect::<String>(), targets.collect::<Vec<_>>().join(", "));
    let warehouse = tanks(&format!(
        "CREATE SECRET post WITH (backend = 'file') AS 'post_password';\n{connections}\
         CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY {targets};\n"
    ));
    warehouse.write("post_password", "wr0ng\n");
    warehouse
}

/// A server that trusts an authority beside no other.
fn trusting(warehouse: &Warehouse, authority: &std::path::Path) -> Server {
    let trusted = format!("SSL_CERT_FILE={}", authority.display());
    Server::launch_within(&["env", &trusted], warehouse, &[]).ready().unwrap()
}

fn goes_encrypted_to_who_asks_for_a_login() {
    let (_kept, folder) = certificates("ours");
    let later = mailbox(Some(Tls::of(&folder, "server", false)));
    let at_once = mailbox(Some(Tls::of(&folder, "server", true)));
    let warehouse = telling(&[("later", "starttls", &later), ("at_once", "tls", &at_once)]);
    let server = trusting(&warehouse, &folder.join("ours.crt"));
    push(&server, "a", 5, 1);
    for name in ["later", "at_once"] {
        server.wait_until(
            &format!(
                "SELECT DISTINCT error LIKE 'catalog/alerts.sql:%127.0.0.1 does not take the login of connection \"{name}\": %535%wrong password%' \
                 FROM sluice.alert_log WHERE target = 'email a@example.com over {name}' AND error IS NOT NULL"
            ),
            "t",
        );
    }
    assert_eq!((later.mails().len(), at_once.mails().len()), (0, 0));
    // The password is asked for again once it was refused.
    warehouse.write("post_password", "r1ght\n");
    server.wait_until(
        "SELECT target, state FROM sluice.notifications ORDER BY 1",
        "email a@example.com over at_once|delivered\nemail a@example.com over later|delivered",
    );
    for (mailbox, name) in [(&later, "later"), (&at_once, "at_once")] {
        let mails = mailbox.mails();
        assert_eq!(
            (mails.len(), mails[0].encrypted, mails[0].user.as_deref()),
            (1, true, Some("sluice")),
            "{name}"
        );
        assert!(mails[0].text.contains("tank = a, level = 5"), "{}", mails[0].text);
    }
    assert!(later.heard().contains("STARTTLS") && !later.heard().contains("AUTH"), "{}", later.heard());
    let told = "SELECT count(*) FROM sluice.alert_log WHERE error LIKE '%wr0ng%' OR error LIKE '%r1ght%' OR message LIKE '%r1ght%'";
    assert_eq!(server.query(told), "0");
    assert!(
        !server.log().contains("wr0ng") && !server.log().contains("r1ght"),
        "a password stands in the log"
    );
}

fn goes_to_no_server_that_is_not_trusted() {
    let (_kept, folder) = certificates("ours");
    let (_unknown, elsewhere) = certificates("theirs");
    let later = mailbox(Some(Tls::of(&elsewhere, "server", false)));
    let at_once = mailbox(Some(Tls::of(&elsewhere, "server", true)));
    let other = mailbox(Some(Tls::of(&folder, "other", false)));
    let warehouse = telling(&[
        ("later", "starttls", &later),
        ("at_once", "tls", &at_once),
        ("other", "starttls", &other),
    ]);
    warehouse.write("post_password", "r1ght\n");
    let server = trusting(&warehouse, &folder.join("ours.crt"));
    push(&server, "a", 5, 1);
    for (name, why) in
        [("later", "UnknownIssuer"), ("at_once", "UnknownIssuer"), ("other", "not valid for name")]
    {
        server.wait_until(
            &format!(
                "SELECT DISTINCT error LIKE '%the certificate of 127.0.0.1 is not trusted: %{why}%SSL_CERT_FILE%' \
                 FROM sluice.alert_log WHERE target = 'email a@example.com over {name}' AND error IS NOT NULL"
            ),
            "t",
        );
    }
    for mailbox in [&later, &at_once, &other] {
        assert!(mailbox.mails().is_empty());
        assert!(!mailbox.heard().contains("AUTH"), "{}", mailbox.heard());
    }
}

fn gives_its_password_to_no_plain_connection() {
    let (_kept, folder) = certificates("ours");
    let plain = mailbox(None);
    let warehouse = telling(&[("plain", "starttls", &plain)]);
    let server = trusting(&warehouse, &folder.join("ours.crt"));
    push(&server, "a", 5, 1);
    let error = "SELECT DISTINCT error LIKE '%STARTTLS%' FROM sluice.alert_log WHERE error IS NOT NULL";
    server.wait_until(error, "t");
    assert!(plain.mails().is_empty());
    assert!(!plain.heard().contains("AUTH"), "{}", plain.heard());
}
