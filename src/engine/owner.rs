//! Which process made a collector. On the machine where that process ran it can be told whether it still lives; from
//! elsewhere it cannot.

use std::fs;

use crate::model::printable;

/// Boot, process namespace, process id and start time: no two processes share all four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    machine: String,
    process: u32,
    started: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    /// Another machine's or another container's process.
    Unknown,
}

impl Owner {
    /// `None` where the system does not tell (anything but Linux).
    pub(super) fn this_process() -> Option<Self> {
        let process = std::process::id();
        Some(Self { machine: machine()?, process, started: start_of(process)? })
    }

    pub(super) fn label(&self) -> String {
        format!("{} {} {}", self.machine, self.process, self.started)
    }

    /// In the words of a sentence; `None` if the label is not of this form.
    pub(super) fn describe(label: &str, host: Option<&str>) -> Option<String> {
        let process: u32 = label.split(' ').nth(1)?.parse().ok()?;
        Some(match host.map(printable) {
            Some(host) => format!("process {process} on `{host}`"),
            None => format!("process {process}"),
        })
    }

    /// Of the process that wrote `label`.
    pub(super) fn life(label: &str) -> Life {
        let mut parts = label.split(' ');
        let (Some(machine_then), Some(process), Some(started), None) =
            (parts.next(), parts.next().and_then(|process| process.parse().ok()), parts.next(), parts.next())
        else {
            return Life::Unknown;
        };
        match machine() {
            Some(now) if now == machine_then => match start_of(process) {
                Some(start) if start == started => Life::Alive,
                _ => Life::Dead,
            },
            _ => Life::Unknown,
        }
    }
}

/// For people; processes are told apart without it.
pub(super) fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// The 22nd field of `stat`; the second, the name, is in parentheses and may hold anything. A process that was killed
/// stays there, as a zombie, until its parent takes notice.
fn start_of(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    fields.nth(18).filter(|_| !is_over).map(ToOwned::to_owned)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_not() {
        let owner = Owner::this_process().unwrap();
        assert_eq!(Owner::life(&owner.label()), Life::Alive);
        let earlier = Owner { started: "1".to_owned(), ..owner.clone() };
        assert_eq!(Owner::life(&earlier.label()), Life::Dead);
        let elsewhere = Owner { machine: "other/pid:[1]".to_owned(), ..owner };
        assert_eq!(Owner::life(&elsewhere.label()), Life::Unknown);
        assert_eq!(Owner::life("nonsense"), Life::Unknown);
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let owner = Owner {
            process: child.id(),
            started: start_of(child.id()).unwrap(),
            ..Owner::this_process().unwrap()
        };
        assert_eq!(Owner::life(&owner.label()), Life::Alive);
        child.kill().unwrap();
        let begin = std::time::Instant::now();
        while Owner::life(&owner.label()) == Life::Alive {
            assert!(begin.elapsed().as_secs() < 10, "a zombie passes for alive");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_label_names_process_and_host() {
        let label = Owner { process: 12, ..Owner::this_process().unwrap() }.label();
        assert_eq!(Owner::describe(&label, Some("ci-7")).unwrap(), "process 12 on `ci-7`");
        assert_eq!(Owner::describe(&label, None).unwrap(), "process 12");
        assert_eq!(Owner::describe("nonsense", None), None);
    }
}
