use super::fixture::{Server, code};

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_proven_and_strangers_learn_nothing() {
    let server = Server::default().await;
    let client = server.try_connect("user=ann password=pencil dbname=sluice").await.unwrap();
    assert_eq!(client.query_one("select current_user", &[]).await.unwrap().get::<_, &str>(0), "ann");
    for (rest, user) in
        [("user=ann password=pen dbname=sluice", "ann"), ("user=eve password=pencil dbname=sluice", "eve")]
    {
        let error = server.try_connect(rest).await.err().unwrap();
        let message = format!("password authentication failed for user \"{user}\"");
        assert_eq!(code(&error), ("28P01".to_string(), message));
    }
    let error = server.try_connect("user=sluice dbname=postgres").await.err().unwrap();
    assert_eq!(code(&error), ("3D000".to_string(), "database \"postgres\" does not exist".to_string()));
    let error = server.try_connect("user=sluice options='-c nothing=1'").await.err().unwrap();
    assert_eq!(code(&error).0, "42704");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_proves_a_password() {
    let server = Server::default().await;
    let psql = |password: &str| {
        tokio::process::Command::new("psql")
            .args(["-X", "-At", "-d", &server.config("user=ann dbname=sluice"), "-c", "select 1"])
            .env("PGPASSWORD", password)
            .output()
    };
    let Ok(output) = psql("pencil").await else {
        eprintln!("skipped: psql is not installed");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let output = psql("rubber").await.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("FATAL:  password authentication failed for user \"ann\""), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow() {
    let server = Server::default().await;
    for _ in 0..5 {
        server.try_connect("user=ann password=x dbname=sluice").await.err().unwrap();
    }
    let error = server.try_connect("user=ann password=pencil dbname=sluice").await.err().unwrap();
    assert_eq!(code(&error).0, "28P01");
}
