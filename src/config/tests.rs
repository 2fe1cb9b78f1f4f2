use super::*;

const USER: &str = "[users.ann]\ntrust_loopback = true\n";

fn settings(
    file: &str,
    variables: &[(&str, &str)],
    flags: &ServeArguments,
) -> Result<(Settings, Vec<String>), Error> {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    resolve(flags, &variables, |_| file::parse(file))
}

#[track_caller]
fn check_file_error(text: &str, expected: &str) {
    let error = file::parse(text).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_later_wins() {
    let file = format!(
        "pg_listen = \"127.0.0.1:1\"\nhttp_listen = \"127.0.0.1:1\"\nflight_listen = \"127.0.0.1:1\"\n{USER}"
    );
    let variables = [("SLUICE_HTTP_LISTEN", "127.0.0.1:2"), ("SLUICE_FLIGHT_LISTEN", "127.0.0.1:2")];
    let flags =
        ServeArguments { flight_listen: Some("127.0.0.1:3".parse().unwrap()), ..ServeArguments::default() };
    let (settings, warnings) = settings(&file, &variables, &flags).unwrap();
    let ports = [settings.pg_listen, settings.http_listen, settings.flight_listen].map(|a| a.port());
    assert_eq!((ports, settings.data.as_str(), warnings.len()), ([1, 2, 3], "./data", 0));
}

#[test]
fn limits_come_from_file_and_variables() {
    let file = format!("{USER}[limits]\nconnections_max = 7\nflush_age_ms_max = 50\n");
    let variables =
        [("SLUICE_LIMITS_FLUSH_AGE_MS_MAX", "20"), ("SLUICE_LIMITS_STATEMENT_TIMEOUT_MS", "1500")];
    let (settings, _) = settings(&file, &variables, &ServeArguments::default()).unwrap();
    assert_eq!(settings.limits.connections_max, 7);
    assert_eq!(settings.limits.flush_age_ms_max, 20);
    assert_eq!(settings.limits.statement_timeout_ms, 1500);
    assert_eq!(settings.limits.push_bytes_max, 16 << 20);
}

#[test]
fn somebody_must_be_able_to_log_in() {
    let none = settings("", &[], &ServeArguments::default()).map(|_| ()).unwrap_err();
    assert_eq!(none, Error::NoUsers);
    let demo = ServeArguments { demo: true, ..ServeArguments::default() };
    let (settings_of_demo, _) = settings("", &[], &demo).unwrap();
    assert!(settings_of_demo.users["sluice"].trust_loopback);
    // The demo does not open a user that has a password.
    let verifier = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";
    let (guarded, _) = settings(&format!("[users.sluice]\nverifier = \"{verifier}\"\n"), &[], &demo).unwrap();
    assert!(!guarded.users["sluice"].trust_loopback);
}

#[test]
fn mistakes_are_placed() {
    check_file_error(
        "[limits]\nconections_max = 3\n",
        "catalog/warehouse.toml:2:1: unknown key \"conections_max\"\n  hint: Did you mean \"connections_max\"?",
    );
    check_file_error(
        "colour = 3\n",
        "catalog/warehouse.toml:1:1: unknown key \"colour\"\n  hint: Keys here are data, pg_listen, flight_listen, \
         http_listen, demo, watch, users, tls, openlineage, limits.",
    );
    check_file_error(
        "[openlineage]\nurl = \"marquez:5000\"\n",
        "catalog/warehouse.toml:2:8: the url of [openlineage] is no web address\n  hint: Write where events are posted to, as \
         in \"http://marquez:5000/api/v1/lineage\".",
    );
    check_file_error(
        "[limits]\nconnections_max = \"many\"\n",
        "catalog/warehouse.toml:2:19: the value is not usize",
    );
    check_file_error(
        "[limits]\n\nwaves_per_second_max = 0\n",
        "catalog/warehouse.toml:3:1: waves_per_second_max is not a number from 1 to 1000",
    );
    check_file_error(
        "[users.bob]\n",
        "catalog/warehouse.toml:1:1: user \"bob\" has no verifier and could not log in\n  hint: Run sluice user bob and put \
         the lines it prints here.",
    );
    check_file_error(
        "[users.bob]\nverifier = \"hunter2\"\n",
        "catalog/warehouse.toml:1:1: the verifier of user \"bob\" is not a SCRAM-SHA-256 verifier\n  hint: Run sluice user \
         bob and put the lines it prints here.",
    );
    assert!(matches!(file::parse("pg_listen = \"nowhere\""), Err(Error::File { line: 1, column: 13, .. })));
    assert!(matches!(file::parse("pg_listen = "), Err(Error::File { line: 1, .. })));
}

#[test]
fn variables_are_checked() {
    let of = |name: &str, value: &str| settings(USER, &[(name, value)], &ServeArguments::default());
    assert_eq!(
        of("SLUICE_PG_LISTEN", "nowhere").map(|_| ()).unwrap_err().to_string(),
        "variable SLUICE_PG_LISTEN is not an address and a port, as in 127.0.0.1:5433\n  hint: Set SLUICE_PG_LISTEN to an \
         address and a port, as in 127.0.0.1:5433, or unset it."
    );
    assert!(of("SLUICE_LIMITS_CONNECTIONS_MAX", "0").is_err());
    assert_eq!(
        of("SLUICE_PG_LISTNE", "x").unwrap().1,
        ["variable SLUICE_PG_LISTNE means nothing here, did you mean SLUICE_PG_LISTEN?"]
    );
    assert!(of("SLUICE_TEST_SEED", "1").unwrap().1.is_empty());
}

#[test]
fn data_is_a_folder() {
    let of = |data: &str| {
        let flags = ServeArguments { data: Some(data.to_string()), ..ServeArguments::default() };
        settings(USER, &[], &flags).map(|(settings, _)| settings.data)
    };
    assert_eq!(of("file:///srv/data"), Ok("/srv/data".to_string()));
    assert_eq!(of("s3://bucket/x"), Err(Error::DataScheme { scheme: "s3".to_string() }));
}
