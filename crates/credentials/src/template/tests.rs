//! What each client reads back out of a key, by readers of its own rules: they share no line with what writes it.

use std::collections::BTreeSet;

use dbop_model::LoginName;
use proptest::prelude::*;

use super::*;

const MODES: [TlsMode; 4] = [
    TlsMode::Disable,
    TlsMode::Require,
    TlsMode::VerifyCa,
    TlsMode::VerifyFull,
];
const ENGINES: [Engine; 3] = [Engine::PostgreSql, Engine::MySql, Engine::MariaDb];
const CA: &str = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";

fn binding(engine: Engine, tls: TlsMode, password: &str) -> Binding {
    Binding {
        engine,
        host: "db.shop".into(),
        port: 5432,
        database: "shop".into(),
        username: LoginName::new("shop_v2").unwrap(),
        password: password.to_owned().into(),
        tls,
        ca_certificate: matches!(tls, TlsMode::VerifyCa | TlsMode::VerifyFull)
            .then(|| CA.to_owned()),
    }
}

fn with(presets: &[Preset], own: &[(&str, &str)]) -> SecretTemplate {
    let parsed = |(key, text): &(&str, &str)| {
        let template = KeyTemplate::parse(text).unwrap();
        ((*key).to_owned(), template)
    };
    SecretTemplate {
        presets: presets.iter().copied().collect(),
        keys: own.iter().map(parsed).collect(),
        ..SecretTemplate::default()
    }
}

fn shown(template: &SecretTemplate, binding: &Binding) -> BTreeMap<String, String> {
    keys(template, binding)
        .into_iter()
        .map(|(key, value)| (key, value.expose_secret().to_owned()))
        .collect()
}

#[track_caller]
fn check_preset(preset: Preset, engine: Engine, expect: [&str; 4]) {
    for (tls, expect) in MODES.into_iter().zip(expect) {
        let keys = shown(&with(&[preset], &[]), &binding(engine, tls, "p:w"));
        let found = keys.get(preset.key()).map_or("absent", String::as_str);
        assert_eq!(found, expect, "{preset:?} {engine:?} {tls:?}");
    }
}

#[test]
fn jdbc_urls() {
    let at = "jdbc:postgresql://db.shop:5432/shop?sslmode";
    let login = "user=shop_v2&password=p%3Aw";
    let ca = "sslrootcert=/credential/ca.crt";
    check_preset(
        Preset::Jdbc,
        Engine::PostgreSql,
        [
            &format!("{at}=disable&{login}"),
            &format!("{at}=require&{login}"),
            &format!("{at}=verify-ca&{login}&{ca}"),
            &format!("{at}=verify-full&{login}&{ca}"),
        ],
    );
    let at = "jdbc:mysql://db.shop:5432/shop?sslMode";
    check_preset(
        Preset::Jdbc,
        Engine::MySql,
        [
            &format!("{at}=DISABLED&allowPublicKeyRetrieval=true&{login}"),
            &format!("{at}=REQUIRED&{login}"),
            &format!("{at}=VERIFY_CA&{login}"),
            &format!("{at}=VERIFY_IDENTITY&{login}"),
        ],
    );
    // MariaDB's driver would take p%3Aw for the password.
    check_preset(Preset::Jdbc, Engine::MariaDb, ["absent"; 4]);
    let plain = binding(Engine::MariaDb, TlsMode::VerifyFull, "p-w_1");
    assert_eq!(
        shown(&with(&[Preset::Jdbc], &[]), &plain)["jdbc-url"],
        "jdbc:mariadb://db.shop:5432/shop?sslMode=verify-full&user=shop_v2&password=p-w_1\
         &serverSslCert=/credential/ca.crt"
    );
}

#[test]
fn sqlalchemy_urls() {
    let at = "postgresql://shop_v2:p%3Aw@db.shop:5432/shop?sslmode";
    let ca = "sslrootcert=/credential/ca.crt";
    check_preset(
        Preset::SqlAlchemy,
        Engine::PostgreSql,
        [
            &format!("{at}=disable"),
            &format!("{at}=require"),
            &format!("{at}=verify-ca&{ca}"),
            &format!("{at}=verify-full&{ca}"),
        ],
    );
    let at = "mysql+pymysql://shop_v2:p%3Aw@db.shop:5432/shop";
    for engine in [Engine::MySql, Engine::MariaDb] {
        check_preset(
            Preset::SqlAlchemy,
            engine,
            [
                at,
                &format!("{at}?ssl_check_hostname=false"),
                &format!("{at}?ssl_ca=/credential/ca.crt&ssl_check_hostname=false"),
                &format!("{at}?ssl_ca=/credential/ca.crt"),
            ],
        );
    }
}

#[test]
fn ado_net_strings() {
    let at = "Host=db.shop;Port=5432;Database=shop;Username=shop_v2;Password=\"p:w\";SSL Mode";
    let ca = "Root Certificate=/credential/ca.crt";
    check_preset(
        Preset::DotNet,
        Engine::PostgreSql,
        [
            &format!("{at}=Disable"),
            &format!("{at}=Require"),
            &format!("{at}=VerifyCA;{ca}"),
            &format!("{at}=VerifyFull;{ca}"),
        ],
    );
    let at = "Server=db.shop;Port=5432;Database=shop;User ID=shop_v2;Password=\"p:w\";SslMode";
    let ca = "SslCa=/credential/ca.crt";
    for (engine, key) in [
        (Engine::MySql, ";AllowPublicKeyRetrieval=true"),
        (Engine::MariaDb, ""),
    ] {
        check_preset(
            Preset::DotNet,
            engine,
            [
                &format!("{at}=Disabled{key}"),
                &format!("{at}=Required"),
                &format!("{at}=VerifyCA;{ca}"),
                &format!("{at}=VerifyFull;{ca}"),
            ],
        );
    }
}

#[test]
fn files_of_libpq_are_for_postgresql_alone() {
    let line = "db.shop:5432:shop:shop_v2:p\\:w\n";
    check_preset(Preset::PgPass, Engine::PostgreSql, [line; 4]);
    let at = "[app]\nhost=db.shop\nport=5432\ndbname=shop\nuser=shop_v2\npassword=p:w\nsslmode";
    let ca = "sslrootcert=/credential/ca.crt";
    check_preset(
        Preset::PgService,
        Engine::PostgreSql,
        [
            &format!("{at}=disable\n"),
            &format!("{at}=require\n"),
            &format!("{at}=verify-ca\n{ca}\n"),
            &format!("{at}=verify-full\n{ca}\n"),
        ],
    );
    for preset in [Preset::PgPass, Preset::PgService] {
        check_preset(preset, Engine::MySql, ["absent"; 4]);
        check_preset(preset, Engine::MariaDb, ["absent"; 4]);
    }
}

#[test]
fn the_ca_is_where_the_application_mounts_it() {
    let template = SecretTemplate {
        mount_path: "/etc/db".into(),
        ..with(&[Preset::PgService], &[])
    };
    let keys = shown(
        &template,
        &binding(Engine::PostgreSql, TlsMode::VerifyFull, "p"),
    );
    assert!(keys["pg_service.conf"].ends_with("sslrootcert=/etc/db/ca.crt\n"));
}

#[track_caller]
fn check_own(text: &str, binding: &Binding, expect: Option<&str>) {
    let keys = shown(&with(&[], &[("own", text)]), binding);
    assert_eq!(keys.get("own").map(String::as_str), expect, "{text}");
}

#[test]
fn templates_are_filled_in() {
    let plain = binding(Engine::PostgreSql, TlsMode::Require, "a'b\"\\:;%");
    check_own(
        "{{\"dsn\": \"{username}@{host}:{port}/{database}\"}}",
        &plain,
        Some("{\"dsn\": \"shop_v2@db.shop:5432/shop\"}"),
    );
    check_own("{password}", &plain, Some("a'b\"\\:;%"));
    check_own("{password|url}", &plain, Some("a%27b%22%5C%3A%3B%25"));
    check_own("{password|pgpass}", &plain, Some("a'b\"\\\\\\:;%"));
    check_own("{password|pgservice}", &plain, Some("a'b\"\\:;%"));
    check_own("{password|dotnet}", &plain, Some("\"a'b\"\"\\:;%\""));
    check_own("{password|conninfo}", &plain, Some("'a\\'b\"\\\\:;%'"));
    let lines = binding(Engine::PostgreSql, TlsMode::Require, "a\nb\tc");
    check_own("{password|json}", &lines, Some("a\\nb\\u0009c"));
    let any = binding(Engine::PostgreSql, TlsMode::Require, "*");
    check_own("{password|pgpass}", &any, Some("\\*"));
    check_own("{password|json}", &plain, Some("a'b\\\"\\\\:;%"));
    check_own(
        "{password|dotnet|json}",
        &plain,
        Some("\\\"a'b\\\"\\\"\\\\:;%\\\""),
    );
    check_own(
        "{jdbcUrl}",
        &plain,
        Some("jdbc:postgresql://db.shop:5432/shop?sslmode=require"),
    );
    // Without a CA there is nothing that the key could hold.
    check_own("x{ca}", &plain, None);
    let verified = binding(Engine::PostgreSql, TlsMode::VerifyCa, "p");
    check_own("x{ca}", &verified, Some(&format!("x{CA}")));
    let sixth = Binding {
        host: "::1".into(),
        ..plain
    };
    check_own("{host} {host|url}", &sixth, Some("::1 [::1]"));
}

#[test]
fn what_a_format_cannot_say_is_left_out() {
    for (password, text) in [
        ("a\nb", "{password|pgpass}"),
        ("a\r", "{password|pgpass}"),
        ("a\nb", "{password|pgservice}"),
        ("a ", "{password|pgservice}"),
        ("a\0", "{password|dotnet}"),
    ] {
        let binding = binding(Engine::PostgreSql, TlsMode::Require, password);
        check_own(text, &binding, None);
        check_own("{username}", &binding, Some("shop_v2"));
    }
    // The longest line that libpq reads, and one byte more.
    for (bytes, is_there) in [
        (SERVICE_LINE_BYTES_MAX, true),
        (SERVICE_LINE_BYTES_MAX + 1, false),
    ] {
        let password = "x".repeat(bytes - "password=".len());
        let binding = binding(Engine::PostgreSql, TlsMode::Require, &password);
        let keys = shown(&with(&[Preset::PgService], &[]), &binding);
        assert_eq!(keys.contains_key("pg_service.conf"), is_there);
    }
    let long = binding(Engine::PostgreSql, TlsMode::Require, &"x".repeat(1100));
    let keys = shown(&with(&[Preset::PgService, Preset::PgPass], &[]), &long);
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["pgpass"]);
}

#[test]
fn no_key_grows_beyond_its_bound() {
    let many = "{ca}".repeat(1000);
    let verified = binding(Engine::PostgreSql, TlsMode::VerifyCa, "p");
    check_own(&many, &verified, None);
    let full = "p".repeat(VALUE_BYTES_MAX);
    let plain = |password: &str| binding(Engine::PostgreSql, TlsMode::Require, password);
    check_own("{password}", &plain(&full), Some(&full));
    check_own("{password}x", &plain(&full), None);
    // As a URL writes it, each of these is three bytes.
    let third = "%".repeat(VALUE_BYTES_MAX / 3);
    let keys = shown(&with(&[Preset::SqlAlchemy], &[]), &plain(&third));
    assert!(keys.is_empty(), "a preset's key is bounded as well");
}

#[test]
fn no_key_takes_the_place_of_a_standard_one() {
    let all = with(&Preset::ALL, &[]);
    for engine in ENGINES {
        let binding = binding(engine, TlsMode::VerifyFull, "p");
        let standard: BTreeSet<String> = binding.data().into_keys().collect();
        for key in &standard {
            assert!(dbop_model::STANDARD_KEYS.contains(&key.as_str()), "{key}");
        }
        assert!(
            keys(&all, &binding)
                .keys()
                .all(|key| !standard.contains(key))
        );
    }
}

// Readers, each by the rules of its client.

/// RFC 3986, section 2.1.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(&behind[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &behind[2..];
        } else {
            assert!(*first != b'+', "some decoders take it for a space");
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// `scheme://user:password@host:port/database?query`, as SQLAlchemy's regular expression takes it apart.
fn read_url(url: &str) -> [String; 5] {
    let (_, rest) = url.split_once("://").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (server, rest) = rest.split_once('/').unwrap();
    let (host, port) = server.rsplit_once(':').unwrap();
    let database = rest.split('?').next().unwrap();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    [
        percent_decoded(host),
        port.to_owned(),
        database.to_owned(),
        percent_decoded(user),
        percent_decoded(password),
    ]
}

/// A JDBC URL; MariaDB's driver decodes nothing.
fn read_jdbc(url: &str, decode: fn(&str) -> String) -> [String; 5] {
    let (_, rest) = url.split_once("://").unwrap();
    let (server, rest) = rest.split_once('/').unwrap();
    let (host, port) = server.rsplit_once(':').unwrap();
    let (database, query) = rest.split_once('?').unwrap();
    let of = |name: &str| {
        let pair = query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| decode(value))
        });
        pair.unwrap()
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    [
        percent_decoded(host),
        port.to_owned(),
        decode(database),
        of("user"),
        of("password"),
    ]
}

/// libpq's `passwordFromFile`: fields up to a colon, a backslash takes the next character as it is.
fn read_pgpass(file: &str) -> [String; 5] {
    let line = file.lines().next().unwrap();
    assert_eq!(file, format!("{line}\n"), "one line");
    assert!(!line.starts_with('#'), "a comment");
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(one) = chars.next() {
        match one {
            '\\' => fields
                .last_mut()
                .unwrap()
                .push(chars.next().unwrap_or('\\')),
            ':' => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(one),
        }
    }
    fields.try_into().unwrap()
}

/// libpq's `parseServiceFile`: white space at the end goes, the rest up to the first `=` is the keyword.
fn read_service(file: &str) -> [String; 5] {
    let mut lines = file.split('\n').map(|line| {
        assert!(line.len() < 1023);
        line.trim_end_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
    });
    assert_eq!(lines.next(), Some("[app]"));
    let found: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
    ["host", "port", "dbname", "user", "password"].map(|keyword| found[keyword].to_owned())
}

/// .NET's `DbConnectionOptions`: pairs up to a semicolon; a value that begins with a quote ends with it, and the quote
/// twice is one.
fn read_dotnet(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest: Vec<char> = text.chars().rev().collect();
    while !rest.is_empty() {
        let mut key = String::new();
        while let Some(one) = rest.pop().filter(|one| *one != '=') {
            key.push(one);
        }
        let mut value = String::new();
        match rest.last().copied() {
            Some(quote @ ('"' | '\'')) => {
                let _ = rest.pop();
                loop {
                    match rest.pop().unwrap() {
                        one if one == quote && rest.last() == Some(&quote) => {
                            let _ = rest.pop();
                            value.push(one);
                        }
                        one if one == quote => break,
                        one => value.push(one),
                    }
                }
                assert!(matches!(rest.pop(), None | Some(';')), "{text}");
            }
            _ => {
                while let Some(one) = rest.pop().filter(|one| *one != ';') {
                    assert!(!one.is_whitespace() && !one.is_control());
                    value.push(one);
                }
            }
        }
        found.insert(key, value);
    }
    found
}

/// libpq's `conninfo_parse`, of one value.
fn read_conninfo(text: &str) -> String {
    let mut chars = text.chars();
    let quoted = text.starts_with('\'');
    if quoted {
        let _ = chars.next();
    }
    let mut value = String::new();
    loop {
        match chars.next() {
            Some('\\') => value.extend(chars.next()),
            Some('\'') if quoted => break,
            Some(one) => {
                assert!(quoted || !one.is_whitespace());
                value.push(one);
            }
            None if quoted => panic!("unterminated: {text}"),
            None => break,
        }
    }
    assert_eq!(chars.next(), None);
    value
}

/// RFC 8259, section 7.
fn read_json(text: &str) -> String {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(one) = chars.next() {
        assert!(one != '"' && one >= ' ');
        match (one, one == '\\') {
            (_, false) => value.push(one),
            (_, true) => match chars.next().unwrap() {
                'n' => value.push('\n'),
                'u' => {
                    let hex: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&hex, 16).unwrap();
                    value.push(char::from_u32(code).unwrap());
                }
                other => value.push(other),
            },
        }
    }
    value
}

/// Characters that formats trip over, and others.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        "[:\\\\;='\"{}%&?#@/+*\\[\\] \\t$!,|a-c-]{1,12}",
        "[^\\x00]{1,12}",
        Just("*".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just(" a ".to_owned()),
        Just("\"a\";Host=evil".to_owned()),
        Just("p\nhost=evil".to_owned()),
        Just("a\r\n".to_owned()),
    ]
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("db.shop".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("fd00::1".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_reads_back_is_what_was_written(
        password in awkward(),
        database in awkward(),
        host in hosts(),
        engine in 0..ENGINES.len(),
        tls in 0..MODES.len(),
    ) {
        let binding = Binding {
            host,
            database,
            ..binding(ENGINES[engine], MODES[tls], &password)
        };
        let parts = [
            binding.host.clone(),
            binding.port.to_string(),
            binding.database.clone(),
            binding.username.to_string(),
            password.clone(),
        ];
        let keys = shown(&with(&Preset::ALL, &[]), &binding);
        if let Some(url) = keys.get("jdbc-url") {
            let as_it_stands: fn(&str) -> String = str::to_owned;
            let decode = match binding.engine {
                Engine::MariaDb => as_it_stands,
                _ => percent_decoded,
            };
            prop_assert_eq!(&read_jdbc(url, decode), &parts);
        } else {
            prop_assert_eq!(binding.engine, Engine::MariaDb);
        }
        if let Some(url) = keys.get("sqlalchemy-url") {
            prop_assert_eq!(&read_url(url), &parts);
        } else {
            prop_assert!(binding.database.contains(['%', '?', '#']));
        }
        let found = read_dotnet(&keys["ado-net"]);
        let names = match binding.engine {
            Engine::PostgreSql => ["Host", "Port", "Database", "Username", "Password"],
            _ => ["Server", "Port", "Database", "User ID", "Password"],
        };
        prop_assert_eq!(&names.map(|name| found[name].clone()), &parts);
        if let Some(file) = keys.get("pgpass") {
            prop_assert_eq!(&read_pgpass(file), &parts);
        } else {
            let lines = parts.iter().any(|part| part.contains(['\n', '\r']));
            prop_assert!(binding.engine != Engine::PostgreSql || lines);
        }
        if let Some(file) = keys.get("pg_service.conf") {
            prop_assert_eq!(&read_service(file), &parts);
        }
    }

    #[test]
    fn what_an_encoder_writes_its_format_reads_back(text in awkward()) {
        prop_assert_eq!(percent_decoded(&encode_once(Encoder::Url, &text).unwrap()), text.clone());
        prop_assert_eq!(read_conninfo(&encode_once(Encoder::ConnInfo, &text).unwrap()), text.clone());
        prop_assert_eq!(read_json(&encode_once(Encoder::Json, &text).unwrap()), text.clone());
        let pair = format!("Password={}", encode_once(Encoder::DotNet, &text).unwrap());
        prop_assert_eq!(&read_dotnet(&pair)["Password"], &text);
    }

    #[test]
    fn any_text_is_a_template_or_refused_with_a_place_in_it(text in ".{0,40}") {
        if let Err(error) = KeyTemplate::parse(&text) {
            prop_assert!(error.at >= 1 && error.at <= text.chars().count());
        }
    }
}
