//! Plans that sessions share: what a query means to one, it means to every other with the same rights and settings, so that
//! a new connection plans nothing that another one has planned.

use super::plans::{KeptPlan, Meaning};
use super::{Prepared, Scope};
use crate::serve::Error;
use crate::serve::query::Planned;
use crate::serve::statement::Statement;
use arrow::datatypes::{DataType, SchemaRef};
use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use std::fmt;
use std::sync::Arc;

/// Queries that are known at a time.
const QUERIES_MAX: usize = 512;
/// Rights and settings for which there is something to run kept plans in.
const SCOPES_MAX: usize = 32;

/// A query's plan for all executions but the first, once it is made.
pub(super) type Kept = Arc<Mutex<Option<Arc<KeptPlan>>>>;

/// What sessions share.
pub struct SharedPlans {
    /// By what they are planned by, and their text.
    queries: Mutex<Cache<(Whose, String), Known>>,
    /// What kept plans are run in: one for all of a meaning, since what it holds is large.
    scopes: Mutex<Cache<Whose, (Meaning, Scope)>>,
}

/// A role, and the settings that a query's meaning depends on.
pub(super) type Whose = (String, [String; 3]);

/// A query that was prepared.
#[derive(Clone)]
struct Known {
    meaning: Meaning,
    columns: SchemaRef,
    parameters: Vec<DataType>,
    spelt: Vec<Option<String>>,
    kept: Kept,
}

impl Default for SharedPlans {
    fn default() -> Self {
        let (queries, scopes) = (Cache::new(QUERIES_MAX), Cache::new(SCOPES_MAX));
        Self { queries: Mutex::new(queries), scopes: Mutex::new(scopes) }
    }
}

impl fmt::Debug for SharedPlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedPlans").field(&self.queries.lock().len()).finish()
    }
}

impl SharedPlans {
    /// A query prepared as it was before; `None` if it was not, or meant something else then.
    pub(super) fn prepared(&self, meaning: &Meaning, text: &str, statement: &Statement) -> Option<Prepared> {
        let key = (meaning.whose(), text.to_string());
        let known = self.queries.lock().get(&key).filter(|known| known.meaning == *meaning).cloned()?;
        let Known { columns, parameters, spelt, kept, .. } = known;
        Some(Prepared::new(statement.clone(), Some(columns), (parameters, spelt), None, kept))
    }

    /// Takes note of a query that was just planned; gives what its plan is to be kept in.
    pub(super) fn note(&self, meaning: Meaning, text: String, planned: &Planned) -> Kept {
        let kept = Kept::default();
        let known = Known {
            columns: planned.columns.clone(),
            parameters: planned.parameters.clone(),
            spelt: planned.spelt.clone(),
            kept: Arc::clone(&kept),
            meaning,
        };
        self.queries.lock().insert((known.meaning.whose(), text), known);
        kept
    }

    /// What plans of this meaning are run in, made by the first of them.
    pub(super) fn scope(
        &self,
        meaning: &Meaning,
        make: impl FnOnce() -> Result<Scope, Error>,
    ) -> Result<Scope, Error> {
        let whose = meaning.whose();
        let known = self.scopes.lock().get(&whose).filter(|(of, _)| of == meaning).cloned();
        if let Some((_, scope)) = known {
            return Ok(scope);
        }
        let scope = make()?;
        self.scopes.lock().insert(whose, (meaning.clone(), scope.clone()));
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitSettings;
    use crate::serve::backends::Peer;
    use crate::serve::fixture::{cut, readers};
    use crate::serve::session::{Answer, Session};
    use crate::serve::statement::parse;
    use arrow::array::{AsArray as _, types::Int64Type};
    use datafusion::common::ScalarValue;
    use futures::TryStreamExt as _;
    use std::sync::Weak;

    const QUERY: &str = "SELECT count(*) FROM gold.days WHERE visits >= $1";

    async fn prepared(session: &Session, of: DataType) -> Prepared {
        let query = parse(QUERY).unwrap().pop().unwrap();
        session.prepare(query, &[Some(of.into())]).await.unwrap()
    }

    async fn count(session: &Session, prepared: &Prepared, least: i64) -> i64 {
        let answer = session.execute(prepared, vec![ScalarValue::Int64(Some(least))]).await.unwrap();
        let Answer::Rows { rows, .. } = answer else { panic!("no rows") };
        let batches: Vec<_> = rows.try_collect().await.unwrap();
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sessions_to_which_it_means_the_same_share_its_plan() {
        let (readers, cuts) = readers(LimitSettings::default(), true);
        let session = |user: &str| Session::new(readers.clone(), user, Peer::default());
        let first = prepared(&session("sluice"), DataType::Int64).await;
        // The plan that preparing made serves the first run, the one that the second makes all others.
        let mut before = Weak::new();
        for (epoch, rows) in [(1, 1000), (2, 10), (3, 20)] {
            let now = cut(epoch, rows);
            let cut = std::mem::replace(&mut before, Arc::downgrade(&now));
            cuts.send_replace(now);
            assert!(epoch < 3 || cut.upgrade().is_none(), "what is kept holds no cut");
            let session = session("sluice");
            let again = prepared(&session, DataType::Int64).await;
            assert!(Arc::ptr_eq(&first.kept, &again.kept));
            assert_eq!(count(&session, &again, 5).await, rows - 5);
        }
        assert!(first.kept.lock().is_some());
        let other = prepared(&session("sluice"), DataType::Int32).await;
        assert!(!Arc::ptr_eq(&first.kept, &other.kept));
        let theirs = prepared(&session("ana"), DataType::Int64).await;
        assert!(!Arc::ptr_eq(&first.kept, &theirs.kept), "another role");
        let elsewhere = session("sluice");
        elsewhere.settings().lock().set("search_path", Some("silver"), false).unwrap();
        let again = prepared(&elsewhere, DataType::Int64).await;
        assert!(!Arc::ptr_eq(&first.kept, &again.kept), "another search path");
    }
}
