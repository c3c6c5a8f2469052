//! Help and usage laid out as Docker's own: `Usage:  docker registry prune [OPTIONS] [PATTERN...]`.

use clap::{ArgAction, Command};

const OF_A_COMMAND: &str = "Usage:  {usage}\n\n{about}\n\n{all-args}\n";
const OF_A_GROUP: &str = "Usage:  {usage}\n\n{about}\n\nCommands:\n{subcommands}\n\nRun '{name} COMMAND --help' for more information on a command.\n";

pub(super) fn like_docker(command: Command) -> Command {
    let path = command.get_name().to_owned();
    laid_out(command, &path)
}

fn laid_out(command: Command, path: &str) -> Command {
    let is_group = command.has_subcommands();
    let usage = usage(&command, path);
    let template = if is_group { OF_A_GROUP.replace("{name}", path) } else { OF_A_COMMAND.to_owned() };
    command.override_usage(usage).help_template(template).mut_subcommands(|subcommand| {
        let path = format!("{path} {}", subcommand.get_name());
        laid_out(subcommand, &path)
    })
}

fn usage(command: &Command, path: &str) -> String {
    if command.has_subcommands() {
        return format!("{path} COMMAND");
    }
    let mut usage = path.to_owned();
    if command.get_opts().next().is_some()
        || command.get_arguments().any(|argument| !argument.is_positional())
    {
        usage.push_str(" [OPTIONS]");
    }
    for argument in command.get_positionals() {
        let name = argument.get_value_names().and_then(<[_]>::first).map_or("ARG", |name| name.as_str());
        let takes_many = matches!(argument.get_action(), ArgAction::Append);
        usage = match (argument.is_required_set(), takes_many) {
            (true, true) => format!("{usage} {name} [{name}...]"),
            (true, false) => format!("{usage} {name}"),
            (false, true) => format!("{usage} [{name}...]"),
            (false, false) => format!("{usage} [{name}]"),
        };
    }
    usage
}
