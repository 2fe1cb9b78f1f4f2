//! What came of unit tests, as JUnit XML. Pure.

use super::test::Ran;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// One suite a model, one case a test.
pub(super) fn report(ran: &[Ran], took: Duration) -> String {
    let mut suites: BTreeMap<String, Vec<&Ran>> = BTreeMap::new();
    for ran in ran {
        suites.entry(ran.test.of.to_string()).or_default().push(ran);
    }
    let failures = |ran: &[&Ran]| ran.iter().filter(|ran| ran.failure.is_some()).count();
    let all: Vec<&Ran> = ran.iter().collect();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failed, seconds) = (ran.len(), failures(&all), took.as_secs_f64());
    let _ = writeln!(
        text,
        "<testsuites name=\"sluice\" tests=\"{tests}\" failures=\"{failed}\" time=\"{seconds:.3}\">"
    );
    for (model, ran) in suites {
        let (tests, failed) = (ran.len(), failures(&ran));
        let seconds: f64 = ran.iter().map(|ran| ran.took.as_secs_f64()).sum();
        let model = escaped(&model);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{model}\" tests=\"{tests}\" failures=\"{failed}\" time=\"{seconds:.3}\">"
        );
        ran.iter().for_each(|ran| text.push_str(&case(ran, &model)));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(ran: &Ran, model: &str) -> String {
    let (name, seconds) = (escaped(&ran.test.name), ran.took.as_secs_f64());
    let origin = &ran.test.origin;
    let (file, line) = (escaped(&origin.file.to_string_lossy()), origin.line);
    let head = format!(
        "    <testcase name=\"{name}\" classname=\"{model}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.3}\""
    );
    match &ran.failure {
        None => format!("{head}/>\n"),
        Some(failure) => {
            let message = escaped(failure.lines().next().unwrap_or_default());
            format!(
                "{head}>\n      <failure message=\"{message}\">{}</failure>\n    </testcase>\n",
                escaped(failure)
            )
        }
    }
}

/// Text that may stand in XML: what it has signs for is written with them, what it does not allow is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && !"\n\t".contains(c) => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definition, parse_file};
    use std::sync::Arc;

    fn ran(failure: Option<&str>) -> Ran {
        let text = "EXECUTE UNIT TEST late FOR gold.x EXPECTED(k INT) AS (VALUES (1))";
        let test = match parse_file("sql/gold/x.sql".as_ref(), text).unwrap().pop() {
            Some(Definition::UnitTest(test)) => Arc::new(test),
            other => panic!("{other:?}"),
        };
        Ran { test, took: Duration::from_millis(1500), failure: failure.map(str::to_string) }
    }

    #[test]
    fn failures_are_told_whatever_they_hold() {
        let text = report(&[ran(None), ran(Some("- a < \"b\"\n+ \u{1}& c"))], Duration::from_secs(2));
        let wanted = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"sluice\" tests=\"2\" failures=\"1\" time=\"2.000\">
  <testsuite name=\"gold.x\" tests=\"2\" failures=\"1\" time=\"3.000\">
    <testcase name=\"late\" classname=\"gold.x\" file=\"sql/gold/x.sql\" line=\"1\" time=\"1.500\"/>
    <testcase name=\"late\" classname=\"gold.x\" file=\"sql/gold/x.sql\" line=\"1\" time=\"1.500\">
      <failure message=\"- a &lt; &quot;b&quot;\">- a &lt; &quot;b&quot;\n+ &amp; c</failure>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(text, wanted);
    }
}
