//! A registry that Compose has started: for Compose nothing has happened to it when it was collected.

use crate::support::compose::Project;
use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::tool::Tool;

#[test]
fn compose_sees_the_project_that_it_started() {
    if left_out() {
        return;
    }
    let (project, registry) = Project::up();
    let container = project.container();
    let tool = Tool::standalone();
    registry.client.push("app", &["kept"], &Recipe::new("compose kept").build());
    for mode in ["offline", "read-only"] {
        let old = Recipe::new(&format!("compose {mode}")).created("2023-01-01T00:00:00Z").build();
        registry.client.push("app", &["old"], &old);
        registry.client.push("app", &["new"], &Recipe::new(&format!("compose {mode} new")).build());
        let pattern = registry.reference("app:old");
        let rules = ["--older-than", "300d", "--min-age", "none", "--max-delete", "100%"];
        let words = ["prune", "--force", "--gc-mode", mode, "--wait", "1min", &pattern];
        let started = registry.started_at();
        let answer = tool.run(&[&words[..], &rules].concat()).success().says(mode).says("are whole");
        assert_eq!(registry.client.tags("app"), ["kept", "new"], "{answer}");
        let collected = registry.started_at();
        assert_ne!(collected, started, "{answer}");

        assert_eq!(project.container(), container, "{answer}");
        project.asked(&["ps"]).success().says("Up").says(&registry.name);
        let running = ["ps", "--services", "--filter", "status=running"];
        assert_eq!(project.asked(&running).success().stdout.trim(), "registry");
        let up = project.asked(&["up", "-d", "--remove-orphans"]).success();
        let up = up.says_one_of(&["is up-to-date", "Running"]).never_says("recreat").never_says("orphan");
        assert_eq!((project.container(), registry.started_at()), (container.clone(), collected), "{up}");
    }

    // A collection of what is left, by its own command.
    registry.client.leave_garbage("app", "compose gc");
    tool.run(&["gc", "--force", "--wait", "1min", "--registry", &registry.address]).success();
    assert_eq!(project.container(), container);
    let _ = project.asked(&["up", "-d"]).success().never_says("recreat").never_says("Starting");
    registry.assert_pulls("app", ["kept", "new"]);

    // The volume is that of the project: what is in it outlives the container.
    let _ = project.asked(&["down"]).success();
    let _ = project.asked(&["up", "-d"]).success();
    registry.wait_until_it_answers();
    registry.assert_pulls("app", ["kept", "new"]);
}
