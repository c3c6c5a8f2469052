use super::*;
use crate::ui::describe;

const LIMIT: Duration = Duration::from_secs(20);

fn config(text: &str) -> DockerConfig {
    serde_json::from_str(text).unwrap()
}

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic { username: username.to_owned(), password: password.into() }
}

/// Looks `host` up with the helpers of a folder.
async fn look_up(
    config_text: &str,
    variable: Option<&str>,
    host: &str,
    path: &str,
) -> Result<Option<Credentials>> {
    let helpers = Helpers { path: Some(path.as_ref()), limit: LIMIT };
    let variable = variable.map(Secret::from);
    find_with(&config(config_text), variable.as_ref(), host, &helpers).await
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn every_form_of_an_entry_and_its_key() {
    let auth = encoded("u:p:q");
    let padded = encoded("u:p\0\0");
    let unpadded = auth.trim_end_matches('=');
    let rows = [
        (format!(r#"{{"auths":{{"r:5000":{{"auth":"{auth}"}}}}}}"#), "r:5000", Some(basic("u", "p:q"))),
        (format!(r#"{{"auths":{{"r:5000":{{"auth":"{unpadded}\n"}}}}}}"#), "r:5000", Some(basic("u", "p:q"))),
        (format!(r#"{{"auths":{{"r":{{"auth":"{padded}"}}}}}}"#), "r", Some(basic("u", "p"))),
        (r#"{"auths":{"r":{"username":"u","password":"p"}}}"#.into(), "r", Some(basic("u", "p"))),
        // `auth` counts when both are there.
        (
            format!(r#"{{"auths":{{"r":{{"auth":"{auth}","username":"x","password":"y"}}}}}}"#),
            "r",
            Some(basic("u", "p:q")),
        ),
        // `docker login` writes an identity token beside an `auth` without a password.
        (
            format!(r#"{{"auths":{{"r":{{"auth":"{}","identitytoken":"i"}}}}}}"#, encoded("u:")),
            "r",
            Some(Credentials::IdentityToken("i".into())),
        ),
        (
            r#"{"auths":{"r":{"registrytoken":"t","identitytoken":"i"}}}"#.into(),
            "r",
            Some(Credentials::RegistryToken("t".into())),
        ),
        (r#"{"auths":{"r":{}}}"#.into(), "r", None),
        (r#"{"auths":{"r":{"auth":"","identitytoken":""}}}"#.into(), "r", None),
        ("{}".into(), "r", None),
        // Keys: exact, then by host; the port is part of it.
        (
            format!(r#"{{"auths":{{"http://r:5000/v1/":{{"auth":"{auth}"}}}}}}"#),
            "r:5000",
            Some(basic("u", "p:q")),
        ),
        (format!(r#"{{"auths":{{"https://r/v2/x":{{"auth":"{auth}"}}}}}}"#), "r", Some(basic("u", "p:q"))),
        (
            format!(r#"{{"auths":{{"Registry.Example":{{"auth":"{auth}"}}}}}}"#),
            "registry.example",
            Some(basic("u", "p:q")),
        ),
        (
            format!(r#"{{"auths":{{"http://r":{{"username":"wrong"}},"r":{{"auth":"{auth}"}}}}}}"#),
            "r",
            Some(basic("u", "p:q")),
        ),
        (format!(r#"{{"auths":{{"r":{{"auth":"{auth}"}}}}}}"#), "r:5000", None),
        (format!(r#"{{"auths":{{"r:5000":{{"auth":"{auth}"}}}}}}"#), "r", None),
        (
            format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#),
            "docker.io",
            Some(basic("u", "p:q")),
        ),
        (
            format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#),
            "registry-1.docker.io",
            Some(basic("u", "p:q")),
        ),
    ];
    for (config, host, expected) in rows {
        assert_eq!(look_up(&config, None, host, "").await.unwrap(), expected, "{host} in {config}");
    }
}

#[tokio::test]
async fn a_malformed_auth_names_the_key_and_not_the_secret() {
    for auth in ["planted!", &encoded("planted-without-colon"), &encoded(":planted"), "/w=="] {
        let config = format!(
            r#"{{"auths":{{"https://r:5000/v2/":{{"auth":"{auth}"}},"fine":{{"auth":"{}"}}}}}}"#,
            encoded("u:p")
        );
        let text = describe(&look_up(&config, None, "r:5000", "").await.unwrap_err());
        assert!(text.contains("`https://r:5000/v2/`") && text.contains("docker login r:5000"), "{text}");
        assert!(!text.contains("planted") && !text.contains(auth), "{text}");
        assert!(look_up(&config, None, "fine", "").await.unwrap().is_some(), "another entry does not matter");
    }
}

#[tokio::test]
async fn the_variable_comes_first_and_is_named_when_malformed() {
    let in_file = format!(
        r#"{{"auths":{{"r":{{"auth":"{}"}},"s":{{"auth":"{0}"}}}},"credHelpers":{{"r":"absent"}}}}"#,
        encoded("file:p")
    );
    let variable = format!(r#"{{"auths":{{"r":{{"auth":"{}"}}}}}}"#, encoded("variable:p"));
    let found = |host| look_up(&in_file, Some(&variable), host, "");
    assert_eq!(found("r").await.unwrap(), Some(basic("variable", "p")));
    assert_eq!(found("s").await.unwrap(), Some(basic("file", "p")));
    for variable in ["planted", r#"{"auths": "planted"}"#] {
        let text = describe(&look_up(&in_file, Some(variable), "s", "").await.unwrap_err());
        assert!(text.contains("DOCKER_AUTH_CONFIG") && text.contains("hint: "), "{text}");
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn no_secret_can_be_printed() {
    let secret = Secret::from("planted");
    let all = [
        Credentials::Basic { username: "user".into(), password: secret.clone() },
        Credentials::IdentityToken(secret.clone()),
        Credentials::RegistryToken(secret.clone()),
    ];
    let entry: AuthEntry = serde_json::from_str(
        r#"{"auth":"planted","username":"u","password":"planted","identitytoken":"planted","registrytoken":"planted"}"#,
    )
    .unwrap();
    let printed = format!("{secret:?} {all:?} {all:#?} {entry:?} {entry:#?}");
    assert!(printed.contains("Secret(****)") && !printed.contains("planted"), "{printed}");
}

#[cfg(unix)]
mod helpers {
    use super::*;
    use crate::config::tests::write_program;

    /// A PATH with these helpers, and the tools their scripts need.
    fn path_with(scripts: &[(&str, &str)]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            write_program(&folder.path().join(format!("docker-credential-{name}")), script);
        }
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        (folder, path)
    }

    /// Answers with the host it was asked for as the user's name, so that tests see what it was asked.
    const ECHO: &str = r#"test "$1" = get && host=$(cat) && printf '{"ServerURL":"x","Username":"%s","Secret":"%s"}' "$host" "${0##*-}""#;

    #[tokio::test]
    async fn the_helper_of_the_registry_beats_the_store_and_the_file() {
        let (_folder, path) = path_with(&[("one", ECHO), ("all", ECHO)]);
        let config = format!(
            r#"{{"auths":{{"r:5000":{{"auth":"{0}"}},"file":{{"auth":"{0}"}}}},"credHelpers":{{"r:5000":"one","file":""}},"credsStore":"all"}}"#,
            encoded("u:p")
        );
        let found = |host| look_up(&config, None, host, &path);
        assert_eq!(found("r:5000").await.unwrap(), Some(basic("r:5000", "one")));
        assert_eq!(found("other").await.unwrap(), Some(basic("other", "all")));
        assert_eq!(found("docker.io").await.unwrap(), Some(basic("https://index.docker.io/v1/", "all")));
        assert_eq!(found("file").await.unwrap(), Some(basic("u", "p")), "an empty name means the file");
    }

    #[tokio::test]
    async fn a_token_user_means_an_identity_token_and_not_found_means_anonymous() {
        let (_folder, path) = path_with(&[
            ("token", r#"printf '{"ServerURL":"r","Username":"<token>","Secret":"planted"}'"#),
            ("none", "echo 'credentials not found in native keychain'; exit 1"),
            ("empty", r#"printf '{"ServerURL":"","Username":"","Secret":""}'"#),
        ]);
        let found = async |name: &str| {
            look_up(&format!(r#"{{"credsStore":"{name}"}}"#), None, "r", &path).await.unwrap()
        };
        assert_eq!(found("token").await, Some(Credentials::IdentityToken("planted".into())));
        assert_eq!(found("none").await, None);
        assert_eq!(found("empty").await, None);
    }

    #[tokio::test]
    async fn what_goes_wrong_with_a_helper_is_said_without_its_secret() {
        let (_folder, path) = path_with(&[
            ("fails", "printf 'pass not initialized\\033[2J'; exit 1"),
            ("stderr", "echo 'no display' >&2; exit 3"),
            ("silent", "exit 5"),
            ("garbage", "printf 'planted'"),
            ("wrong", r#"printf '{"Username":"u","Secret":["planted"]}'"#),
        ]);
        for (name, expected, hint) in [
            ("absent", "`docker-credential-absent` cannot be started", "take credsStore out of config.json"),
            ("fails", "failed: pass not initialized\u{fffd}[2J", "docker-credential-fails list"),
            ("stderr", "failed: no display", "docker login"),
            ("silent", "failed: exit status: 5", "docker login"),
            ("garbage", "answered something else", "up to date"),
            ("wrong", "answered something else", "up to date"),
            ("../evil", "is not the name of a credential helper", "after `docker-credential-`"),
            ("a b", "is not the name of a credential helper", "after `docker-credential-`"),
        ] {
            let error =
                look_up(&format!(r#"{{"credsStore":"{name}"}}"#), None, "r", &path).await.unwrap_err();
            let text = describe(&error);
            assert!(
                text.contains(expected) && text.contains("hint: ") && text.contains(hint),
                "{name}: {text}"
            );
            assert!(!text.contains("planted") && !text.contains('\u{1b}'), "{name}: {text}");
        }
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended() {
        let (_folder, path) = path_with(&[("hangs", "exec sleep 20")]);
        let helpers = Helpers { path: Some(path.as_ref()), limit: Duration::from_millis(100) };
        let error = find_with(&config(r#"{"credsStore":"hangs"}"#), None, "r", &helpers).await.unwrap_err();
        assert!(describe(&error).contains("did not answer within"), "{error}");
    }
}
