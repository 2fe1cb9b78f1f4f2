//! The README's definitions are copied by people who begin: every one must pass `sluice check`.

use crate::support::delta::DeltaTable;
use crate::support::{Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![trial("readme::definitions_pass_check", definitions_pass_check)]
}

fn definitions_pass_check() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.contains("CREATE "))
        .collect();
    let (models, outside): (Vec<&str>, Vec<&str>) =
        blocks.iter().partition(|block| block.starts_with("-- sql/"));
    assert!(outside.len() >= 4 && models.len() >= 2, "the README shows fewer definitions than it did");
    // Two examples define the same source, so each gets a project of its own; the models read the first.
    for (number, block) in outside.iter().enumerate() {
        let warehouse = Warehouse::new();
        warehouse.write("catalog/readme.sql", block);
        DeltaTable::of_rows(&warehouse.project().join("lake/customers"));
        if number == 0 {
            for model in &models {
                let path = model.lines().next().unwrap().trim_start_matches("-- ");
                warehouse.write(path, model);
            }
        }
        warehouse.sluice(&["check"]).expect(0, &[]);
    }
}
