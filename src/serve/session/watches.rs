//! Audits and alerts that a session defines.

use super::Session;
use crate::catalog::access::Action;
use crate::catalog::cut::Cut;
use crate::catalog::definitions::{Change, Watch, WatchName};
use crate::lake::TableName;
use crate::ops::clock;
use crate::serve::Error;
use crate::serve::statement::{Behind, Ddl, Named, Watching, qualified};

/// What the model is called in an audit's query.
const THIS: &str = "this";

impl Session {
    /// Alerts tell people outside: superusers define them. Audits are for those, too, who have CREATE on the schema of the
    /// model; they have to read all that the audit reads, since `sluice.audits` shows some of it, and where it may hold
    /// refreshes up, to be allowed these.
    pub(super) fn check_may_watch(&self, watching: &Watching, cut: &Cut) -> Result<(), Error> {
        let Some(on) = watching.on() else { return self.check_administers(watching.tag()) };
        let (access, role, schema) = (self.access(), self.role(), self.schema_of(on, cut));
        let ddl = Ddl::Watch(watching.clone());
        if !access.allows(&role, Action::Create(&schema)) {
            return Err(self.may_not_define(&ddl, &[schema]));
        }
        if let Watching::Create { body, .. } = watching
            && body.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("BLOCKING"))
        {
            let name = self.find(on, cut)?.relation.name.clone();
            self.check_may(Action::Maintain(&name), &name, cut)?;
        }
        self.check_reads(&ddl, cut)
    }

    pub(super) fn watch_changes(&self, watching: &Watching, cut: &Cut) -> Result<Vec<Change>, Error> {
        match watching {
            Watching::Create { on, names: [name], body, replace } => {
                let name = self.watch_name(on.as_ref(), name, cut)?;
                let behind = if on.is_some() { Behind::As } else { Behind::Exists };
                let is_this = |parts: &[String]| on.is_some() && parts == [THIS];
                let body = qualified(body, behind, |parts| match is_this(parts) {
                    true => None,
                    false => self.written_out(parts, cut),
                });
                let (changed_by, changed_at) = (self.user().to_string(), clock::now());
                let watch = Watch { name, body, changed_by, changed_at };
                Ok(vec![Change::Watch { watch, replace: *replace }])
            }
            Watching::Drop { on, names, if_exists } => {
                let mut changes = vec![];
                for name in names {
                    match self.watch_name(on.as_ref(), name, cut) {
                        Ok(name) => changes.push(Change::Unwatch { name, if_exists: *if_exists }),
                        Err(error) if *if_exists && error.code == "42P01" => {
                            let message = format!("{}, skipping", error.message);
                            self.notice(Error::new("00000", message));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(changes)
            }
        }
    }

    fn watch_name(&self, on: Option<&Named>, name: &str, cut: &Cut) -> Result<WatchName, Error> {
        let name = name.to_string();
        let Some(on) = on else { return Ok(WatchName::Alert(name)) };
        let on: TableName = self.find(on, cut)?.relation.name.clone();
        Ok(WatchName::Audit { on, name })
    }
}
