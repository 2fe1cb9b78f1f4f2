//! `sluice docs`: pages whose links lead somewhere, and a manifest that dbt itself reads.

use crate::support::{Warehouse, needs, trial};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("docs::pages_say_what_there_is", pages_say_what_there_is),
        trial("docs::the_manifest_is_the_project", the_manifest_is_the_project),
    ];
    trials.extend(needs::python(
        "dbt.artifacts",
        vec![trial("docs::dbt_reads_the_manifest", dbt_reads_the_manifest)],
    ));
    trials
}

/// The shop, with an audit, a key, a tag and a comment that would be markup.
fn shop() -> (Warehouse, PathBuf) {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/by_city.sql",
        "CREATE MATERIALIZED VIEW gold.by_city (city TEXT NOT NULL TAG place, orders BIGINT, PRIMARY KEY (city))\n\
         AS SELECT city, sum(orders) AS orders FROM gold.customer_sales WHERE city IS NOT NULL GROUP BY city;\n\
         COMMENT ON COLUMN gold.by_city.orders IS 'a <b>count</b> & more';\n\
         CREATE AUDIT some ON gold.by_city BLOCKING AS SELECT * FROM this WHERE orders < 1;\n\
         EXECUTE UNIT TEST one FOR gold.by_city\n  \
         MOCK gold.customer_sales(city TEXT, orders BIGINT) AS (VALUES ('Rome', 2))\n  \
         EXPECTED(orders BIGINT) AS (VALUES (2));\n",
    );
    let site = warehouse.folder().join("site");
    let out = site.to_str().unwrap();
    warehouse.sluice(&["docs", "--out", out, "--name", "The Shop"]).expect(0, &["8 tables", "index.html"]);
    (warehouse, site)
}

fn links(html: &str) -> BTreeSet<&str> {
    html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn check_links(page: &Path) {
    let html = fs::read_to_string(page).unwrap();
    for link in links(&html) {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = page.parent().unwrap().join(path);
        let text = fs::read_to_string(&target).unwrap_or_else(|_| panic!("{}: {link}", page.display()));
        assert!(
            anchor.is_empty() || text.contains(&format!("id=\"{anchor}\"")),
            "{}: {link}",
            page.display()
        );
    }
}

fn pages_say_what_there_is() {
    let (_warehouse, site) = shop();
    let page = |path: &str| fs::read_to_string(site.join(path)).unwrap();
    for path in ["index.html", "gold/by_city.html", "silver/orders.html", "bronze/customers.html"] {
        check_links(&site.join(path));
    }
    let index = page("index.html");
    for words in ["<h1>The Shop</h1>", "gold/by_city.html", "Sales of each customer", "<svg"] {
        assert!(index.contains(words), "{words}");
    }
    let city = page("gold/by_city.html");
    for words in [
        "a &lt;b&gt;count&lt;/b&gt; &amp; more",
        "../gold/customer_sales.html#orders",
        "(aggregated)",
        "blocking",
        "unit test <b>one</b>",
        ">key</span>",
        ">place</span>",
    ] {
        assert!(city.contains(words), "{words} is missing in {city}");
    }
    assert!(page("silver/orders.html").contains("<code>amount &gt; 0</code> (drop)"));
}

fn the_manifest_is_the_project() {
    let (_warehouse, site) = shop();
    let text = fs::read_to_string(site.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let model = &manifest["nodes"]["model.the_shop.gold_by_city"];
    assert_eq!(model["depends_on"]["nodes"][0], "model.the_shop.gold_customer_sales");
    assert_eq!(model["columns"]["orders"]["description"], "a <b>count</b> & more");
    assert_eq!(model["columns"]["city"]["tags"][0], "place");
    assert_eq!(manifest["parent_map"]["model.the_shop.silver_orders"][0], "source.the_shop.bronze.orders");
    assert_eq!(manifest["nodes"]["test.the_shop.gold_by_city_some"]["resource_type"], "test");
}

fn dbt_reads_the_manifest() {
    let (_warehouse, site) = shop();
    let program = "import sys\n\
        from dbt.artifacts.schemas.manifest import WritableManifest\n\
        manifest = WritableManifest.read_and_check_versions(sys.argv[1])\n\
        print(len(manifest.nodes), len(manifest.sources), len(manifest.unit_tests))\n\
        print(manifest.nodes['model.the_shop.gold_by_city'].primary_key)\n";
    let python = needs::python_path();
    let output = Command::new(python).args(["-c", program]).arg(site.join("manifest.json")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "7 2 1\n['city']\n", "{}", String::from_utf8_lossy(&output.stderr));
}
