//! What a statement's names mean: one cut, the search path, the session's functions and settings.

use super::Session;
use super::plans::Meaning;
use super::search_path::{self, SearchPath};
use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::engine::{self, CutCatalog, DATABASE};
use crate::lake::ReadsAgain;
use crate::ops::opaque::Opaque;
use crate::serve::functions;
use crate::serve::guard::{Guard, GuardedCatalog};
use crate::serve::postgres::catalog::Catalog;
use crate::serve::postgres::encode::Forms;
use crate::serve::{Error, dialect};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList as _, MemoryCatalogProvider, MemoryCatalogProviderList,
};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry as _, TaskContext};
use datafusion::functions::datetime::now::NowFunc;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock, Weak};

/// The engine over one cut, for one statement.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Scope {
    /// The engine.
    pub(in crate::serve) state: Opaque<SessionState>,
    /// In which form values become text, and dates are read.
    pub(in crate::serve) forms: Forms,
    /// Where its plans run, and where those over small tables do: made when first asked for.
    rooms: Arc<[OnceLock<Room>; 2]>,
}

/// What to lay a plan out in, and to run it in.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Room {
    pub(in crate::serve) state: Opaque<SessionState>,
    /// Holds a copy of all functions: one for all plans of a room.
    pub(in crate::serve) task: Arc<TaskContext>,
}

impl Room {
    fn new(state: Opaque<SessionState>) -> Self {
        let task = state.task_ctx();
        Self { state, task }
    }
}

/// What a plan was made for: one cut, one role, its rights.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    cut: Weak<Cut>,
    access: Weak<Access>,
    role: String,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.cut, &other.cut)
            && Weak::ptr_eq(&self.access, &other.access)
            && self.role == other.role
    }
}

impl Scope {
    /// What to lay out and run a plan in.
    pub(in crate::serve) fn room_for(&self, plan: &LogicalPlan) -> Result<&Room, Error> {
        let [whole, alone] = &*self.rooms;
        Ok(match engine::is_small(plan)? {
            true => alone.get_or_init(|| Room::new(Opaque::new(engine::alone(&self.state)))),
            false => whole.get_or_init(|| Room::new(self.state.clone())),
        })
    }

    /// The plan of a statement. Boxed, because the engine's planning futures are large, and so that callers' futures do
    /// not hold the tree.
    pub(in crate::serve) fn plan(
        &self,
        statement: ast::Statement,
    ) -> BoxFuture<'_, Result<Opaque<LogicalPlan>, Error>> {
        let planning = engine::plan(&self.state, EngineStatement::Statement(Box::new(statement.clone())));
        let zone = self.state.config_options().execution.time_zone.as_deref().unwrap_or("UTC");
        let manner = dialect::Manner { forms: self.forms, zone };
        async move {
            let plan = match planning.await {
                Ok(plan) => plan,
                Err(error) => return Err(dialect::explained(&self.state, statement, error).await),
            };
            dialect::check(&plan, &statement, &*self.state)?;
            Ok(Opaque::new(dialect::as_postgresql(plan, &manner)?))
        }
        .boxed()
    }
}

impl Session {
    /// What a plan is made for, beside a query.
    pub(super) fn seen(&self, cut: &Arc<Cut>) -> Seen {
        Seen { cut: Arc::downgrade(cut), access: Arc::downgrade(&self.access()), role: self.role() }
    }

    /// What statements that see `cut` mean.
    pub(super) fn meaning(&self, cut: &Arc<Cut>) -> Result<Meaning, Error> {
        let (access, role) = (self.access(), self.role());
        let catalog = Arc::downgrade(&self.readers.catalogs.get(cut, &access, &role)?);
        let settings = self.settings().lock();
        let forms = format!("{:?}", Forms::of(&settings)?);
        let settings = [settings.get("search_path")?, settings.time_zone(), forms];
        Ok(Meaning { catalog, role, access: Arc::downgrade(&access), settings })
    }

    /// The scope of a statement that sees `cut`.
    pub(super) fn scope(&self, cut: &Arc<Cut>) -> Result<Scope, Error> {
        let (access, role) = (self.access(), self.role());
        let catalog = self.readers.catalogs.get(cut, &access, &role)?;
        let mut state = self.state_over(&catalog, cut)?;
        let tables = CutCatalog::new(Arc::clone(cut), self.readers.engine.clone());
        let tables = catalog.over(tables, &self.surroundings);
        let tables: Arc<dyn CatalogProvider> = match access.is_superuser(&role) {
            true => Arc::new(tables),
            false => {
                let (cut, engine) = (Arc::clone(cut), self.readers.engine.clone());
                let guard = Guard { access, role, cut, engine, state: Opaque::new(state.clone()) };
                Arc::new(GuardedCatalog::new(tables, guard))
            }
        };
        let path = functions::search_path(&self.surroundings);
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        catalogs.register_catalog(DATABASE.to_string(), Arc::new(SearchPath::over(tables, &path)));
        state.register_catalog_list(catalogs);
        let forms = Forms::of(&self.settings().lock())?;
        Ok(Scope { state: Opaque::new(state), forms, rooms: Arc::default() })
    }

    /// The guard of a statement that sees `cut`, for who checks a policy by it.
    pub(super) fn guard(&self, cut: &Arc<Cut>) -> Result<Guard, Error> {
        let (access, role) = (self.access(), self.role());
        let catalog = self.readers.catalogs.get(cut, &access, &role)?;
        let state = Opaque::new(self.state_over(&catalog, cut)?);
        Ok(Guard { access, role, cut: Arc::clone(cut), engine: self.readers.engine.clone(), state })
    }

    /// What kept plans are run in. These have their tables and functions with them, so it holds no cut: that would stay in
    /// memory as long as they do.
    pub(super) fn lasting_scope(&self, cut: &Arc<Cut>) -> Result<Scope, Error> {
        let catalog = self.readers.catalogs.get(cut, &self.access(), &self.role())?;
        let state = self.with_settings(SessionState::clone(&*self.engine_of(&catalog)?))?;
        let forms = Forms::of(&self.settings().lock())?;
        Ok(Scope { state: Opaque::new(state), forms, rooms: Arc::default() })
    }

    /// The engine with the session's functions and settings, over no tables.
    fn state_over(&self, catalog: &Arc<Catalog>, cut: &Arc<Cut>) -> Result<SessionState, Error> {
        let mut state = SessionState::clone(&*self.engine_of(catalog)?);
        catalog.equip_for(&mut state, cut)?;
        self.with_settings(state)
    }

    fn with_settings(&self, mut state: SessionState) -> Result<SessionState, Error> {
        let options = state.config_mut().options_mut();
        options.catalog.default_schema = search_path::SCHEMA.to_string();
        // Errors then tell where in the text they are.
        options.sql_parser.collect_spans = true;
        options.execution.time_zone = Some(self.settings().lock().time_zone());
        let now = NowFunc::new_with_config(state.config_options());
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(now)))?;
        state.mark_start_execution();
        Ok(state)
    }

    /// What all statements of a session have in common, made anew when definitions changed.
    fn engine_of(&self, catalog: &Arc<Catalog>) -> Result<Opaque<SessionState>, Error> {
        if let Some((of, engine)) = &self.state.lock().engine
            && Arc::ptr_eq(of, catalog)
        {
            return Ok(engine.clone());
        }
        let nothing = Arc::new(MemoryCatalogProvider::new());
        let context = self.readers.engine.session(nothing);
        for function in functions::all(&self.surroundings) {
            context.register_udf(function);
        }
        let mut engine = context.state();
        engine.config_mut().set_extension(Arc::new(ReadsAgain));
        engine = dialect::equip(engine)?;
        catalog.equip(&mut engine, &self.surroundings)?;
        let engine = Opaque::new(engine);
        self.state.lock().engine = Some((Arc::clone(catalog), engine.clone()));
        Ok(engine)
    }
}
