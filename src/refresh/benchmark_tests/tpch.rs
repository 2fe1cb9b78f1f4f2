//! TPC-H's eight tables, as dbgen makes them (by the crate `tpchgen`), and their refresh stream.
//!
//! Where this is not dbgen: comments are drawn from 1 MiB of its random text, not from 300; orders that come with the
//! stream have been taken out of the base (a sixteenth waits), so that the base has 15/16 of the orders. As with dbgen, the
//! key of `partsupp` is not unique below scale 0.01: a part's four suppliers are not always four.

use super::columns;
use super::stream::{Rows, Stream};
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;

/// Bytes of random text that comments are drawn from.
const TEXT: i32 = 1 << 20;

/// The benchmark's queries, with the parameters that its specification validates by.
pub const QUERIES: &[(&str, &str)] = &[
    ("q01", include_str!("tpch/q01.sql")),
    ("q02", include_str!("tpch/q02.sql")),
    ("q03", include_str!("tpch/q03.sql")),
    ("q04", include_str!("tpch/q04.sql")),
    ("q05", include_str!("tpch/q05.sql")),
    ("q06", include_str!("tpch/q06.sql")),
    ("q07", include_str!("tpch/q07.sql")),
    ("q08", include_str!("tpch/q08.sql")),
    ("q09", include_str!("tpch/q09.sql")),
    ("q10", include_str!("tpch/q10.sql")),
    ("q11", include_str!("tpch/q11.sql")),
    ("q12", include_str!("tpch/q12.sql")),
    ("q13", include_str!("tpch/q13.sql")),
    ("q14", include_str!("tpch/q14.sql")),
    ("q15", include_str!("tpch/q15.sql")),
    ("q16", include_str!("tpch/q16.sql")),
    ("q17", include_str!("tpch/q17.sql")),
    ("q18", include_str!("tpch/q18.sql")),
    ("q19", include_str!("tpch/q19.sql")),
    ("q20", include_str!("tpch/q20.sql")),
    ("q21", include_str!("tpch/q21.sql")),
    ("q22", include_str!("tpch/q22.sql")),
];

/// The benchmark at a scale; scale 1 has six million lines.
pub fn stream(scale: f64, seed: u64) -> Stream {
    let distributions = Distributions::static_default();
    let pool = TextPool::new(TEXT, distributions);
    let lines = lineitem(scale, distributions, &pool);
    let starts = starts(&lines);
    let orders = orders(scale, distributions, &pool);
    let count = orders.all.num_rows();
    let mut tables = dimensions(scale, distributions, &pool);
    let each_order = (0..=count).collect();
    tables.push(Rows { starts: Some(each_order), ..orders });
    tables.push(Rows { starts: Some(starts), ..lines });
    Stream::new(tables, count, seed)
}

/// The first line of each order, and how many lines there are.
fn starts(lines: &Rows) -> Vec<usize> {
    let keys = super::stream::key_columns(&lines.all, &["l_linenumber"]);
    let count = lines.all.num_rows();
    (0..count).filter(|row| keys.of(*row) == [1]).chain([count]).collect()
}

fn orders(scale: f64, distributions: &Distributions, pool: &TextPool) -> Rows {
    let rows = OrderGenerator::new_with_distributions_and_text_pool(scale, 1, 1, distributions, pool);
    let all = columns::of(rows.iter())
        .long("o_orderkey", |r| r.o_orderkey)
        .long("o_custkey", |r| r.o_custkey)
        .text("o_orderstatus", |r| r.o_orderstatus.to_string())
        .money("o_totalprice", |r| r.o_totalprice.0)
        .date("o_orderdate", |r| r.o_orderdate.to_unix_epoch())
        .text("o_orderpriority", |r| r.o_orderpriority.to_string())
        .text("o_clerk", |r| r.o_clerk.to_string())
        .int("o_shippriority", |r| r.o_shippriority)
        .text("o_comment", |r| r.o_comment.to_string())
        .batch();
    Rows { name: "orders", key: &["o_orderkey"], keeps: &[], all, starts: None }
}

fn lineitem(scale: f64, distributions: &Distributions, pool: &TextPool) -> Rows {
    let rows = LineItemGenerator::new_with_distributions_and_text_pool(scale, 1, 1, distributions, pool);
    let all = columns::of(rows.iter())
        .long("l_orderkey", |r| r.l_orderkey)
        .long("l_partkey", |r| r.l_partkey)
        .long("l_suppkey", |r| r.l_suppkey)
        .int("l_linenumber", |r| r.l_linenumber)
        .money("l_quantity", |r| r.l_quantity * 100)
        .money("l_extendedprice", |r| r.l_extendedprice.0)
        .money("l_discount", |r| r.l_discount.0)
        .money("l_tax", |r| r.l_tax.0)
        .text("l_returnflag", |r| r.l_returnflag.to_string())
        .text("l_linestatus", |r| r.l_linestatus.to_string())
        .date("l_shipdate", |r| r.l_shipdate.to_unix_epoch())
        .date("l_commitdate", |r| r.l_commitdate.to_unix_epoch())
        .date("l_receiptdate", |r| r.l_receiptdate.to_unix_epoch())
        .text("l_shipinstruct", |r| r.l_shipinstruct.to_string())
        .text("l_shipmode", |r| r.l_shipmode.to_string())
        .text("l_comment", |r| r.l_comment.to_string())
        .batch();
    Rows { name: "lineitem", key: &["l_orderkey", "l_linenumber"], keeps: &[], all, starts: None }
}

fn dimensions(scale: f64, distributions: &Distributions, pool: &TextPool) -> Vec<Rows> {
    let part = PartGenerator::new_with_distributions_and_text_pool(scale, 1, 1, distributions, pool);
    let part = columns::of(part.iter())
        .long("p_partkey", |r| r.p_partkey)
        .text("p_name", |r| r.p_name.to_string())
        .text("p_mfgr", |r| r.p_mfgr.to_string())
        .text("p_brand", |r| r.p_brand.to_string())
        .text("p_type", |r| r.p_type.to_string())
        .int("p_size", |r| r.p_size)
        .text("p_container", |r| r.p_container.to_string())
        .money("p_retailprice", |r| r.p_retailprice.0)
        .text("p_comment", |r| r.p_comment.to_string())
        .batch();
    let supplier = SupplierGenerator::new_with_distributions_and_text_pool(scale, 1, 1, distributions, pool);
    let supplier = columns::of(supplier.iter())
        .long("s_suppkey", |r| r.s_suppkey)
        .text("s_name", |r| r.s_name.to_string())
        .text("s_address", |r| r.s_address.to_string())
        .long("s_nationkey", |r| r.s_nationkey)
        .text("s_phone", |r| r.s_phone.to_string())
        .money("s_acctbal", |r| r.s_acctbal.0)
        .text("s_comment", |r| r.s_comment.to_string())
        .batch();
    let partsupp = PartSuppGenerator::new_with_text_pool(scale, 1, 1, pool);
    let partsupp = columns::of(partsupp.iter())
        .long("ps_partkey", |r| r.ps_partkey)
        .long("ps_suppkey", |r| r.ps_suppkey)
        .int("ps_availqty", |r| r.ps_availqty)
        .money("ps_supplycost", |r| r.ps_supplycost.0)
        .text("ps_comment", |r| r.ps_comment.to_string())
        .batch();
    let customer = CustomerGenerator::new_with_distributions_and_text_pool(scale, 1, 1, distributions, pool);
    let customer = columns::of(customer.iter())
        .long("c_custkey", |r| r.c_custkey)
        .text("c_name", |r| r.c_name.to_string())
        .text("c_address", |r| r.c_address.to_string())
        .long("c_nationkey", |r| r.c_nationkey)
        .text("c_phone", |r| r.c_phone.to_string())
        .money("c_acctbal", |r| r.c_acctbal.0)
        .text("c_mktsegment", |r| r.c_mktsegment.to_string())
        .text("c_comment", |r| r.c_comment.to_string())
        .batch();
    let nation = NationGenerator::new_with_distributions_and_text_pool(distributions, pool);
    let nation = columns::of(nation.iter())
        .long("n_nationkey", |r| r.n_nationkey)
        .text("n_name", |r| r.n_name.to_string())
        .long("n_regionkey", |r| r.n_regionkey)
        .text("n_comment", |r| r.n_comment.to_string())
        .batch();
    let region = RegionGenerator::new_with_distributions_and_text_pool(distributions, pool);
    let region = columns::of(region.iter())
        .long("r_regionkey", |r| r.r_regionkey)
        .text("r_name", |r| r.r_name.to_string())
        .text("r_comment", |r| r.r_comment.to_string())
        .batch();
    let rows = |name, key, keeps, all| Rows { name, key, keeps, all, starts: None };
    vec![
        rows("part", &["p_partkey"], &[], part),
        rows("supplier", &["s_suppkey"], &["s_name"], supplier),
        rows("partsupp", &["ps_partkey", "ps_suppkey"], &[], partsupp),
        rows("customer", &["c_custkey"], &["c_name"], customer),
        rows("nation", &["n_nationkey"], &["n_name"], nation),
        rows("region", &["r_regionkey"], &["r_name"], region),
    ]
}
