//! A removal that is typed again after it was cut short: what is absent since an earlier run took it is no mistake, and
//! the rest is done.

use crate::model::{RegistryAddress, Snapshot};
use crate::plan::{Request, is_absent};
use crate::record;
use crate::undo::Record;

use super::{Change, Collects};
use crate::commands::Session;

impl Change {
    /// Where nothing would be left to do, a name that leads nowhere is a mistake whoever removed what it named.
    pub(super) fn leave_out_what_is_removed(&mut self, session: &Session, snapshot: &Snapshot) {
        let Request::Remove(references) = &mut self.request else { return };
        let absent = references.iter().filter(|reference| is_absent(snapshot, reference)).count();
        if absent == 0 || (absent == references.len() && self.collects == Collects::No) {
            return;
        }
        let earlier = earlier(session, &snapshot.registry);
        references.retain(|reference| {
            let took =
                |(_, record): &&(String, Record)| record.took(&reference.repository, &reference.target);
            let run = earlier.iter().find(took).filter(|_| is_absent(snapshot, reference));
            if let Some((run, _)) = run {
                session.ui.say(&format!("`{reference}` was already removed by the run {run}."));
            }
            run.is_none()
        });
    }
}

/// The runs on this registry, latest first. One whose record cannot be read excuses nothing.
fn earlier(session: &Session, registry: &RegistryAddress) -> Vec<(String, Record)> {
    let runs = record::runs(session.settings.state_directory.as_deref()).unwrap_or_default();
    let read = runs.into_iter().filter_map(|run| Some((run.read().ok()?, run.name)));
    let here = read.filter(|(record, _)| record.registry.host() == registry.host());
    here.map(|(record, name)| (name, record)).collect()
}
