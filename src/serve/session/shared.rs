//! A query that is prepared once for several sessions of one user: those of a protocol whose every call is one.

use super::plans::Meaning;
use super::{Prepared, Session};
use crate::serve::Error;
use crate::serve::statement::Statement;
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use std::sync::Arc;

/// What the last session prepared, and what it meant then.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Shared(Arc<Mutex<Option<(Meaning, Arc<Prepared>)>>>);

impl Session {
    /// A query prepared for parameters of these types: by a session before this one, if it means the same to both.
    pub(in crate::serve) async fn prepare_shared(
        &self,
        query: Statement,
        types: &[DataType],
        shared: &Shared,
    ) -> Result<Arc<Prepared>, Error> {
        let meaning = self.meaning(&self.cut(self.deadline()).await?)?;
        if let Some((of, prepared)) = &*shared.0.lock()
            && *of == meaning
            && prepared.parameters == types
        {
            return Ok(Arc::clone(prepared));
        }
        let declared: Vec<_> = types.iter().cloned().map(Some).collect();
        let prepared = Arc::new(self.prepare(query, &declared).await?);
        *shared.0.lock() = Some((meaning, Arc::clone(&prepared)));
        Ok(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitSettings;
    use crate::serve::backends::Peer;
    use crate::serve::fixture::{cut, readers};
    use crate::serve::session::Answer;
    use crate::serve::statement::parse;
    use arrow::array::{AsArray as _, types::Int64Type};
    use datafusion::common::ScalarValue;
    use futures::TryStreamExt as _;

    const QUERY: &str = "SELECT count(*) FROM gold.days WHERE visits >= $1";

    async fn count(session: &Session, prepared: &Prepared, least: i64) -> i64 {
        let answer = session.execute(prepared, vec![ScalarValue::Int64(Some(least))]).await.unwrap();
        let Answer::Rows { rows, .. } = answer else { panic!("no rows") };
        let batches: Vec<_> = rows.try_collect().await.unwrap();
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sessions_to_which_it_means_the_same_share_its_plan() {
        let (readers, cuts) = readers(LimitSettings::default(), true);
        let session = || Session::new(readers.clone(), "sluice", Peer::default());
        let query = || parse(QUERY).unwrap().pop().unwrap();
        let (shared, whole) = (Shared::default(), [DataType::Int64]);
        let first = session().prepare_shared(query(), &whole, &shared).await.unwrap();
        // The plan that preparing made serves the first run, the one that the second makes all others.
        for (epoch, rows) in [(1, 1000), (2, 10), (3, 20)] {
            cuts.send_replace(cut(epoch, rows));
            let session = session();
            let again = session.prepare_shared(query(), &whole, &shared).await.unwrap();
            assert!(Arc::ptr_eq(&first, &again));
            assert_eq!(count(&session, &again, 5).await, rows - 5);
        }
        assert!(first.kept.lock().is_some());
        let other = session().prepare_shared(query(), &[DataType::Int32], &shared).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let elsewhere = session();
        elsewhere.settings().lock().set("search_path", Some("silver"), false).unwrap();
        let again = elsewhere.prepare_shared(query(), &[DataType::Int32], &shared).await.unwrap();
        assert!(!Arc::ptr_eq(&other, &again));
    }
}
