//! Stores that are not made of files, on versions that do wrong with tags there. The server's own store in memory stands
//! in for a bucket: what counts is which driver is configured, and which version the binary says it is.

use crate::support::access::Access;
use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

fn in_memory(version: &str) -> Registry {
    let registry = Options::default().env("REGISTRY_STORAGE", "inmemory").start();
    for (tag, created) in
        [("1.0", "2023-01-01"), ("1.0-rc", "2023-02-01"), ("10", "2023-03-01"), ("2", "2024-01-01")]
    {
        let image = Recipe::new(&format!("objects {version} {tag}")).created(&format!("{created}T00:00:00Z"));
        registry.client.push("app", &[tag], &image.build());
    }
    registry.shell(&format!(
        "mv /bin/registry /bin/served; printf '#!/bin/sh\\necho registry some/where v{version}\\n' > /bin/registry; \
         chmod +x /bin/registry"
    ));
    registry
}

fn prune(registry: &Registry) -> Vec<&str> {
    let rules = ["--keep", "1", "--min-age", "none", "--max-delete", "100%"];
    [&["prune", "--no-gc", "--force", "-v", "--registry", &registry.address], &rules[..]].concat()
}

#[test]
fn tags_that_would_be_left_behind_stay_on_2() {
    if left_out() {
        return;
    }
    let registry = in_memory("2.8.3");
    let tool = Tool::standalone();
    tool.run(&["rm", "--force", &registry.reference("app:1.0")]).exits(4).says("`app:1.0-rc` first");
    tool.run(&prune(&registry)).success().says("as long as there is the tag `1.0-rc`");
    assert_eq!(registry.client.tags("app"), ["1.0", "2"]);
    registry.assert_pulls("app", ["1.0", "2"]);
    tool.run(&prune(&registry)).success();
    assert_eq!(registry.client.tags("app"), ["2"]);
}

#[test]
fn nothing_is_deleted_where_lists_of_tags_are_not_whole() {
    if left_out() {
        return;
    }
    for version in ["3.1.0", "3.1.1"] {
        let registry = in_memory(version);
        let tool = Tool::standalone();
        let answer = tool.run(&prune(&registry)).exits(4).says(version).says("it hides tags");
        let named = ["rm", "--force", &registry.reference("app:10")];
        tool.run(&named).exits(4).says("another version than 3.1.0 or 3.1.1");
        let is_deletion = |request: &Access| request.changes() && request.method == "DELETE";
        assert!(!registry.requests().iter().any(is_deletion), "{answer}");
        registry.assert_pulls("app", ["1.0", "1.0-rc", "10", "2"]);
    }
}

#[test]
fn other_versions_and_files_are_pruned_as_ever() {
    if left_out() {
        return;
    }
    let registry = in_memory("3.1.2");
    Tool::standalone().run(&prune(&registry)).success();
    assert_eq!(registry.client.tags("app"), ["2"]);
    let unknown = in_memory("unknown");
    Tool::standalone().run(&prune(&unknown)).success();
    assert_eq!(unknown.client.tags("app"), ["2"]);
}
