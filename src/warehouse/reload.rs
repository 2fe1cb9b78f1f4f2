//! When the project is another one: watched files, tables of others, definitions and files that somebody asks for.

use super::define::Answer;
use super::loaded::{Loaded, Planned, Written, load, prepare};
use super::{House, all_errors, deploy};
use crate::catalog::definer::Asked;
use crate::catalog::definitions::Definitions;
use crate::catalog::project::Project;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often a watched project's files are looked at.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

impl House {
    /// Resolves when the project is another one: when the watched files have changed and are sound again, when others
    /// have changed a table so that the models must be planned anew, or when something was defined over a connection;
    /// then with who asked for it.
    pub(super) async fn changed(
        &self,
        project: Arc<Project>,
        planned: &Planned,
        requests: &mut mpsc::Receiver<Asked>,
    ) -> (Loaded, Option<Answer>) {
        let mut files = std::pin::pin!(self.changed_project());
        loop {
            tokio::select! {
                next = &mut files => return (next, None),
                () = self.reload.notified() => {
                    tracing::info!("what the project leans on has changed: models are planned, and sources started, anew");
                    // The project was sound: what others change leaves out single models.
                    return (prepare(project, &self.engine).await.0, None);
                }
                Some(asked) = requests.recv() => {
                    let next = match asked {
                        Asked::Erasure(erasure) => {
                            let typed = self.typing.now();
                            if self.erase(&project, planned, erasure).await {
                                return (self.anew(project, &typed).await, None);
                            }
                            None
                        }
                        Asked::Definition(request) => self.define(&project, request).await,
                        Asked::Deployment(deployment) => {
                            let running = deploy::Running { project: &project, planned };
                            self.deploy(running, deployment).await
                        }
                    };
                    if let Some((next, answer)) = next {
                        return (next, Some(answer));
                    }
                }
            }
        }
    }

    /// The project once more; read anew where what was typed is not what it was.
    async fn anew(&self, project: Arc<Project>, typed: &Definitions) -> Loaded {
        if self.typing.now() != *typed
            && let Ok(loaded) = load(&self.written(), &self.typing.now(), &self.engine).await
        {
            return loaded;
        }
        prepare(project, &self.engine).await.0
    }

    /// Resolves when the watched project has changed and is sound again; never when it is not watched.
    async fn changed_project(&self) -> Loaded {
        let mut known = fingerprint(&self.settings.project);
        loop {
            tokio::time::sleep(WATCH_PERIOD).await;
            if !self.settings.watch {
                continue;
            }
            let now = fingerprint(&self.settings.project);
            if now == known {
                continue;
            }
            known = now;
            let folder = Written { kept: None, ..self.written() };
            match load(&folder, &self.typing.now(), &self.engine).await {
                Ok(next) => {
                    tracing::info!("the project has changed and is reloaded");
                    self.note_folder("watch").await;
                    return next;
                }
                Err(errors) => {
                    tracing::error!(
                        "the changed project has errors; the old one goes on\n{:#}",
                        all_errors(errors)
                    );
                }
            }
        }
    }
}

/// Changes when a file of the project does.
fn fingerprint(folder: &Path) -> Vec<(std::path::PathBuf, Option<std::time::SystemTime>, u64)> {
    let mut files = Vec::new();
    let mut open = vec![folder.join("catalog"), folder.join("sql")];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(path),
                Ok(meta) => files.push((path, meta.modified().ok(), meta.len())),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}
