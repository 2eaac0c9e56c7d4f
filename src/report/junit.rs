//! A qualification as JUnit XML, which build servers show: one test case a metric and a finding.
//!
//! FAIL is a failure, INCONCLUSIVE an error, what is not judged is skipped; WARN is a failure only where the user asked
//! to fail on warnings, and else noted in the case's output. The form is that of the Ant and Maven schema
//! (`testsuites/testsuite/testcase`).

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::qualify::Qualification;
use crate::qualify::rules::Verdict;
use crate::report::terminal::printable;

/// One case.
struct Case<'a> {
    class: &'a str,
    name: &'a str,
    outcome: Outcome,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Passed,
    Noted,
    Failure,
    Error,
    Skipped,
}

fn outcome(verdict: Verdict, fail_on_warn: bool) -> Outcome {
    match verdict {
        Verdict::Pass => Outcome::Passed,
        Verdict::Warn if fail_on_warn => Outcome::Failure,
        Verdict::Warn => Outcome::Noted,
        Verdict::Inconclusive => Outcome::Error,
        Verdict::Fail => Outcome::Failure,
    }
}

fn cases(qualification: &Qualification, fail_on_warn: bool) -> Vec<Case<'_>> {
    let judged = qualification.judgements.iter().map(|judgement| Case {
        class: judgement.part.name(),
        name: judgement.id.as_str(),
        outcome: outcome(judgement.verdict, fail_on_warn),
        text: format!("{}: {}", judgement.verdict.name(), judgement.reason),
    });
    let found = qualification.findings.iter().map(|finding| Case {
        class: "finding",
        name: finding.rule,
        outcome: outcome(finding.severity, fail_on_warn),
        text: format!(
            "{}: {}. See `{}`. {}",
            finding.severity.name(),
            finding.what,
            finding.command,
            finding.next
        ),
    });
    let rest = qualification.not_judged.iter().map(|metric| Case {
        class: "not judged",
        name: metric.id.as_str(),
        outcome: Outcome::Skipped,
        text: metric.why.clone(),
    });
    judged.chain(found).chain(rest).collect()
}

/// The document.
///
/// # Errors
/// Never for a buffer in memory; the writer's form asks for it.
pub fn qualification(qualification: &Qualification, fail_on_warn: bool) -> io::Result<String> {
    let cases = cases(qualification, fail_on_warn);
    let count = |wanted: Outcome| cases.iter().filter(|c| c.outcome == wanted).count().to_string();
    let name = format!("hostdyno qualify {}", qualification.runs.join(" "));
    let name = printable(&name);
    let (tests, failures) = (cases.len().to_string(), count(Outcome::Failure));
    let (errors, skipped) = (count(Outcome::Error), count(Outcome::Skipped));
    let counts = [
        ("name", &*name),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
    ];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.create_element("testsuites").with_attributes(counts).write_inner_content(|writer| {
        let suite = writer.create_element("testsuite").with_attributes(counts);
        suite
            .write_inner_content(|writer| cases.iter().try_for_each(|case| write(writer, case)))?;
        Ok(())
    })?;
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

fn write(writer: &mut Writer<Vec<u8>>, case: &Case<'_>) -> io::Result<()> {
    // A record is outside input, and XML has no way to write control characters.
    let (name, text) = (printable(case.name), printable(&case.text));
    let element = writer
        .create_element("testcase")
        .with_attributes([("classname", case.class), ("name", &name)]);
    let inner = match case.outcome {
        Outcome::Passed | Outcome::Noted => "system-out",
        Outcome::Failure => "failure",
        Outcome::Error => "error",
        Outcome::Skipped => "skipped",
    };
    element.write_inner_content(|writer| {
        let inner = writer.create_element(inner);
        match case.outcome {
            Outcome::Passed | Outcome::Noted => inner.write_text_content(BytesText::new(&text))?,
            _ => inner.with_attribute(("message", &*text)).write_empty()?,
        };
        Ok(())
    })?;
    Ok(())
}
