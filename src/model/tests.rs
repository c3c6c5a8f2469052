use proptest::{prop_assert_eq, proptest};

use super::*;

#[test]
fn sizes_read_as_docker_writes_them() {
    for (bytes, text) in [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.234kB"),
        (61_300_000, "61.3MB"),
        (999_960, "1MB"),
        (123_456_789, "123.5MB"),
        (5_000_000_000_000, "5TB"),
    ] {
        assert_eq!(ByteSize(bytes).to_string(), text);
    }
}

#[test]
fn names_follow_the_specification() {
    for good in ["app", "team/app", "a/b/c", "a.b_c__d-e--f", "0/1"] {
        assert!(good.parse::<Repository>().is_ok(), "{good}");
    }
    for bad in ["", "App", "a//b", "/a", "a/", "../x", "a/..", "a___b", "a._b", "-a", "a b", "a\u{1b}[31m"] {
        assert!(bad.parse::<Repository>().is_err(), "{bad}");
    }
    for good in ["latest", "v1.0.0", "_x", "1-rc.1"] {
        assert!(good.parse::<Tag>().is_ok(), "{good}");
    }
    for bad in ["", ".x", "-x", "a/b", "a:b", "a b"] {
        assert!(bad.parse::<Tag>().is_err(), "{bad}");
    }
    for bad in ["sha256:abc", "md5:00", "sha256", "sha256:ABCDEF"] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}

#[test]
fn digests_are_read_and_written_exactly() {
    let short = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let long = format!("sha512:{}", "0123456789abcdef".repeat(8));
    for text in [short, &long] {
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.to_string(), text);
        assert_eq!(format!("sha512:{}", digest.hex()), text.replace("sha256", "sha512"));
        assert_eq!(digest.short(), text[7..19]);
        assert_eq!(serde_json::to_value(&digest).unwrap(), text);
        assert_eq!(serde_json::from_value::<Digest>(text.into()).unwrap(), digest);
        assert_eq!(format!("{digest:140}|").trim_end_matches('|').len(), 140);
    }
    assert_eq!(short.parse(), Ok(Digest::of(b"")));
    assert_eq!(Digest::of(b"").matches(b""), Some(true));
    assert_eq!(long.parse::<Digest>().unwrap().matches(b""), None);
    assert!(size_of::<Digest>() <= 40, "{}", size_of::<Digest>());

    let why = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
    let digits = "64 hexadecimal digits belong after `:`";
    for bad in [
        short[..70].to_owned(),
        format!("{short}0"),
        short.to_uppercase().replace("SHA", "sha"),
        short.replace("e3b0", "e3bg"),
        short.replace("e3b0", "e3é"),
        long.replace("sha512", "sha256"),
        "sha256:".to_owned(),
    ] {
        assert_eq!(why(&bad), format!("`{bad}` is not a digest: {digits}"));
    }
    assert!(why(&short.replace("sha256", "sha512")).ends_with("128 hexadecimal digits belong after `:`"));
    for bad in ["", "sha256", "SHA256:00", "md5:00", &short[7..], &format!(" {short}")] {
        assert_eq!(why(bad), format!("`{bad}` is not a digest (sha256:<64 hexadecimal digits>)"));
    }
}

proptest! {
    #[test]
    fn digests_are_in_the_order_of_their_texts(
        one in "sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}",
        other in "sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}",
    ) {
        let (a, b): (Digest, Digest) = (one.parse().unwrap(), other.parse().unwrap());
        prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        prop_assert_eq!(a.to_string(), one);
    }
}

#[test]
fn what_manifests_have_in_common_is_held_once() {
    let image = |own: char| {
        let layer = |letter| format!(r#"{{"mediaType":"l","digest":"{}","size":3}}"#, digest(letter));
        let config = format!(r#"{{"mediaType":"c","digest":"{}","size":3}}"#, digest(own));
        let layers = format!("{},{}", layer('a'), layer(own));
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
    };
    let mut shared = Shared::default();
    let [one, other] = ['b', 'c'].map(|own| {
        let plain = parse(manifest::OCI_MANIFEST, &image(own)).unwrap();
        let mut manifest = plain.clone();
        shared.share(&mut manifest);
        assert_eq!(manifest.blobs().collect::<Vec<_>>(), plain.blobs().collect::<Vec<_>>());
        manifest
    });
    assert!(Arc::ptr_eq(&one.layers[0], &other.layers[0]));
    assert_ne!(one.layers[1], other.layers[1]);
}

#[test]
fn an_address_knows_its_parts() {
    let parts = |text: &str| {
        let address: RegistryAddress = text.parse().unwrap();
        (address.hostname().to_owned(), address.port(), address.is_loopback(), address.scheme)
    };
    assert_eq!(parts("localhost:5000"), ("localhost".into(), Some(5000), true, None));
    assert_eq!(parts("http://127.0.0.2:80/"), ("127.0.0.2".into(), Some(80), true, Some(Scheme::Http)));
    assert_eq!(parts("[::1]:5000"), ("::1".into(), Some(5000), true, None));
    assert_eq!(parts("registry.example.com"), ("registry.example.com".into(), None, false, None));
    assert!("ftp://x".parse::<RegistryAddress>().is_err());
    assert!("a/b".parse::<RegistryAddress>().is_err());
}

#[test]
fn text_from_a_registry_cannot_move_the_cursor() {
    assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
}

#[test]
fn dates_that_cannot_be_used_are_unknown() {
    let now = "2026-01-02T00:00:00Z".parse().unwrap();
    assert!(Created::parse("2025-12-31T10:00:00.123456789Z", Source::Config, now).at().is_some());
    assert!(Created::parse("2025-12-31T10:00:00+02:00", Source::Config, now).at().is_some());
    for bad in [
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1980-01-01T00:00:01Z",
        "2027-01-01T00:00:00Z",
        "yesterday",
        "",
    ] {
        assert_eq!(Created::parse(bad, Source::Config, now).at(), None, "{bad}");
    }
}

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn parse(media_type: &str, body: &str) -> Result<Manifest, String> {
    Manifest::parse(Digest::of(body.as_bytes()), media_type, body.as_bytes())
}

#[test]
fn manifests_are_told_apart_by_type_and_content() {
    let image = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{}","size":3}},"layers":[]}}"#,
        digest('a')
    );
    assert_eq!(parse(manifest::DOCKER_MANIFEST, &image).unwrap().kind, ManifestKind::Image);
    assert_eq!(parse(manifest::OCI_MANIFEST, &image).unwrap().blobs().count(), 1);
    assert!(parse(manifest::OCI_INDEX, &image).is_err(), "an index without entries is no index");
    assert!(parse("text/html", &image).is_err());
    assert!(parse(manifest::OCI_MANIFEST, "<html>").is_err());
    assert!(parse(manifest::OCI_MANIFEST, "{}").is_err());
    let schema1 = r#"{"schemaVersion":1,"name":"x"}"#;
    assert_eq!(
        parse("application/vnd.docker.distribution.manifest.v1+prettyjws", schema1).unwrap().kind,
        ManifestKind::Schema1
    );
}

#[test]
fn layers_listed_in_an_index_are_not_manifests() {
    let cache = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[
            {{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":1}},
            {{"mediaType":"{}","digest":"{}","size":2}}]}}"#,
        manifest::OCI_INDEX,
        digest('a'),
        manifest::OCI_MANIFEST,
        digest('b')
    );
    let index = parse(manifest::OCI_INDEX, &cache).unwrap();
    assert_eq!(index.blobs().map(|blob| blob.digest.hex()).collect::<Vec<_>>(), ["a".repeat(64)]);
    assert_eq!(index.child_manifests().map(|child| child.digest.hex()).collect::<Vec<_>>(), ["b".repeat(64)]);
}

#[test]
fn a_stored_manifest_says_its_own_type_or_shows_it() {
    use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    let digest = Digest::of(b"");
    let descriptor = format!(r#"{{"mediaType":"x","digest":"{digest}","size":1}}"#);
    let image = format!(r#""config":{descriptor},"layers":[]"#);
    let index = format!(r#""manifests":[{descriptor}]"#);
    let said = |media_type: &str| format!(r#""mediaType":"{media_type}","#);
    for (said, rest, expected, kind) in [
        (String::new(), &image, OCI_MANIFEST, ManifestKind::Image),
        (String::new(), &index, OCI_INDEX, ManifestKind::Index),
        (said(DOCKER_MANIFEST), &image, DOCKER_MANIFEST, ManifestKind::Image),
        (said(DOCKER_LIST), &index, DOCKER_LIST, ManifestKind::Index),
    ] {
        let raw = format!(r#"{{"schemaVersion":2,{said}{rest}}}"#);
        let stored = Manifest::parse_stored(digest.clone(), raw.as_bytes()).unwrap();
        assert_eq!(stored.kind, kind, "{raw}");
        // As the registry would have served it.
        let served = Manifest::parse(digest.clone(), expected, raw.as_bytes()).unwrap();
        assert_eq!((stored.media_type, stored.children), (served.media_type, served.children), "{raw}");
    }
    let first = Manifest::parse_stored(digest.clone(), br#"{"schemaVersion":1,"name":"app"}"#).unwrap();
    assert_eq!(first.kind, ManifestKind::Schema1);
    for raw in ["", "{}", r#"{"schemaVersion":2,"mediaType":"text/html"}"#, r#"{"schemaVersion":2}"#] {
        assert!(Manifest::parse_stored(digest.clone(), raw.as_bytes()).is_err(), "{raw}");
    }
}
