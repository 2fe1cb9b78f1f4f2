//! Statements of many parts are planned beside the threads that serve connections: planning gives way to nobody, and
//! takes the longer the more there is to plan. Who waits for it can be cancelled, and its time can be over, meanwhile.

use super::Error;
use datafusion::sql::sqlparser::ast::{Query, visit_expressions};
use std::ops::ControlFlow;
use tokio::runtime::Handle;

/// A statement of so many expressions takes longer to plan than to hand to another thread.
const PARTS_MAX: usize = 256;

/// True for a query of many parts.
pub(super) fn has_many_parts(query: &Query) -> bool {
    let mut parts = 0;
    visit_expressions(query, |_| {
        parts += 1;
        if parts > PARTS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .is_break()
}

/// Does work on a thread of its own. Work that nobody waits for any more goes on to its end.
pub(super) async fn aside<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || runtime.block_on(work)).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::cancelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn parts_are_counted() {
        let of = |text: &str| match Parser::parse_sql(&PostgreSqlDialect {}, text).unwrap().pop() {
            Some(Statement::Query(query)) => has_many_parts(&query),
            other => panic!("{other:?}"),
        };
        assert!(!of("SELECT a, b + 1 FROM t WHERE c = 2"));
        assert!(of(&format!("SELECT 1{}", " + 1".repeat(PARTS_MAX))));
    }
}
