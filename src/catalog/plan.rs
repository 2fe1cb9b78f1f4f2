//! Plans every model of a project without touching data.
