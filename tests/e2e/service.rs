//! The registry is put back in service whatever happens, and whoever has to know is told.

use std::net::TcpStream;

use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

#[test]
fn an_interrupt_during_the_collection_puts_the_registry_back() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry
        .client
        .push("app", &["1"], &Recipe::new("interrupt").build());
    let before = registry.identity();
    let tool = Tool::standalone();
    let gc = ["gc", "--force", "--registry", &registry.address];

    let mut run = tool.start(&gc);
    run.until("the registry is stopped for the collection", || {
        TcpStream::connect(&registry.address).is_err()
    });
    run.signal("INT");
    let answer = run.wait().exits(130);
    assert!(registry.is_running(), "{answer}");
    registry.wait_until_it_answers();
    assert_eq!(registry.identity(), before, "{answer}");
    registry.assert_pulls("app", ["1"]);

    tool.run(&gc).success();
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_port_of_the_engines_choice_moves_and_the_report_says_where_to() {
    if left_out() {
        return;
    }
    let registry = Options::default().start_on_any_port();
    registry
        .client
        .push("app", &["1"], &Recipe::new("any port").build());
    let answer = Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]);
    assert!(registry.is_running(), "{answer}");
    let now = registry.published_address();
    assert_ne!(
        now, registry.address,
        "the engine gives another port at each start"
    );
    answer.says(&now);
}
