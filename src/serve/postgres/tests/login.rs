use super::fixture::{Server, code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A message without a kind: a start-up or a cancel request.
async fn send(socket: &mut TcpStream, body: &[u8]) {
    let length = u32::try_from(body.len() + 4).unwrap();
    socket.write_all(&[length.to_be_bytes().as_slice(), body].concat()).await.unwrap();
}

async fn receive(socket: &mut TcpStream) -> (char, Vec<u8>) {
    let kind = socket.read_u8().await.unwrap() as char;
    let mut body = vec![0; socket.read_u32().await.unwrap() as usize - 4];
    socket.read_exact(&mut body).await.unwrap();
    (kind, body)
}

/// What the server negotiates, and the key it gives, to a client of protocol 3.`minor`.
async fn login(server: &Server, minor: u16, option: &[u8]) -> (TcpStream, Option<Vec<u8>>, Vec<u8>) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let body = [&[0, 3], minor.to_be_bytes().as_slice(), b"user\0sluice\0", option, b"\0"].concat();
    send(&mut socket, &body).await;
    let (mut negotiated, mut key) = (None, vec![]);
    loop {
        match receive(&mut socket).await {
            ('v', body) => negotiated = Some(body),
            ('K', body) => key = body,
            ('Z', _) => return (socket, negotiated, key),
            (kind, _) => assert!("RS".contains(kind), "{kind}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_3_2_has_longer_cancel_keys() {
    let server = Server::default().await;
    let version = |minor: u8, options: &[u8]| Some([&[0, 3, 0, minor], options].concat());
    for (minor, option, negotiated, key_bytes) in [
        (0, b"".as_slice(), None, 4),
        (0, b"_pq_.x\x001\0", version(0, b"\0\0\0\x01_pq_.x\0"), 4),
        (2, b"", None, 32),
        (9999, b"", version(2, b"\0\0\0\0"), 32),
    ] {
        let (_socket, found, key) = login(&server, minor, option).await;
        assert_eq!((found, key.len()), (negotiated, 4 + key_bytes), "3.{minor}");
    }
    let (mut socket, _, key) = login(&server, 2, b"").await;
    let endless = b"select count(*) from generate_series(1, 2000000) a, generate_series(1, 2000000) b\0";
    let length = u32::try_from(endless.len() + 4).unwrap();
    socket.write_all(&[b"Q".as_slice(), &length.to_be_bytes(), endless].concat()).await.unwrap();
    // A request may come before the statement runs: then it is asked again.
    let answer = async {
        loop {
            let (kind, body) = receive(&mut socket).await;
            // The columns come before any row.
            if kind != 'T' {
                return (kind, body);
            }
        }
    };
    let mut answer = std::pin::pin!(answer);
    let (kind, body) = loop {
        let mut other = TcpStream::connect(server.address).await.unwrap();
        send(&mut other, &[80_877_102_u32.to_be_bytes().as_slice(), &key].concat()).await;
        tokio::select! {
            answer = &mut answer => break answer,
            // It is closed once the request has been passed on.
            _ = async { other.read_u8().await } => {}
        }
    };
    assert!(kind == 'E' && body.windows(5).any(|code| code == b"57014"), "{kind}");
}

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
