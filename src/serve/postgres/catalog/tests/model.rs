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
    let users = ["anna".to_string()];
    let (a, b) = (Model::new(&whole, &users), Model::new(&smaller, &[]));
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
    let users = ["anna".to_string()];
    let first = cut();
    let later = Cut { epoch: 8, ..Cut::clone(&first) };
    let other = Cut { shape: 2, ..Cut::clone(&first) };
    let built = cache.get(&first, users.iter()).unwrap();
    assert!(Arc::ptr_eq(&built, &cache.get(&later, users.iter()).unwrap()));
    assert!(!Arc::ptr_eq(&built, &cache.get(&later, [].iter()).unwrap()));
    assert!(!Arc::ptr_eq(&built, &cache.get(&other, users.iter()).unwrap()));
}
