//! Numbers stay, and the catalogs are built once a shape.

use super::fixture::cut;
use crate::catalog::cut::Cut;
use crate::lake::TableName;
use crate::serve::postgres::catalog::CatalogCache;
use crate::serve::postgres::catalog::model::Model;
use std::sync::Arc;

#[test]
fn numbers_do_not_depend_on_other_relations() {
    let whole = cut();
    let mut smaller = Cut::clone(&whole);
    smaller.tables.remove(&TableName::new("sales", "daily"));
    let access = Arc::default();
    let (a, b) = (Model::new(&whole, &access, "anna"), Model::new(&smaller, &access, "anna"));
    let orders = TableName::new("sales", "orders");
    let (a, b) = (a.class_named(&orders).unwrap(), b.class_named(&orders).unwrap());
    assert_eq!((a.oid, a.namespace), (b.oid, b.namespace));
    // Clients keep numbers across restarts and upgrades: this one may not change.
    assert_eq!(a.oid, 1_682_814_356);
    assert!(a.oid >= 16_384);
}

#[test]
fn catalogs_are_built_once_a_shape() {
    let cache = CatalogCache::default();
    let (access, others) = (Arc::default(), Arc::default());
    let first = cut();
    let later = Arc::new(Cut { epoch: 8, ..Cut::clone(&first) });
    let other = Arc::new(Cut { shape: 2, ..Cut::clone(&first) });
    let built = cache.get(&first, &access, "anna").unwrap();
    assert!(Arc::ptr_eq(&built, &cache.get(&later, &access, "anna").unwrap()));
    assert!(!Arc::ptr_eq(&built, &cache.get(&later, &access, "bert").unwrap()));
    assert!(!Arc::ptr_eq(&built, &cache.get(&later, &others, "anna").unwrap()));
    assert!(!Arc::ptr_eq(&built, &cache.get(&other, &access, "anna").unwrap()));
}
