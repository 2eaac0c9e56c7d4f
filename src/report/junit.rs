//! A qualification as JUnit XML, which build servers show: one test case a metric and a finding.
//!
//! FAIL is a failure, INCONCLUSIVE an error, what is not judged is skipped; WARN is a failure only where the user asked
//! to fail on warnings, and else noted in the case's output. The form is that of the Ant and Maven schema
//! (`testsuites/testsuite/testcase`).

use std::borrow::Cow;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::qualify::Qualification;
use crate::qualify::rules::Verdict;
use crate::report::terminal::printable;

/// One case.
struct Case<'a> {
    class: &'a str,
    name: Cow<'a, str>,
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
        name: judgement.id.as_str().into(),
        outcome: outcome(judgement.verdict, fail_on_warn),
        text: format!("{}: {}", judgement.verdict.name(), judgement.reason),
    });
    let found = qualification.findings.iter().map(|finding| Case {
        class: "finding",
        // A rule may fire several times, and cases are told apart by name.
        name: format!("{}: {}", finding.rule, finding.what).into(),
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
        name: metric.id.as_str().into(),
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
    let (name, text) = (printable(&case.name), printable(&case.text));
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

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;
    use crate::qualify::NotJudged;
    use crate::qualify::findings::Finding;
    use crate::qualify::rules::Judgement;
    use crate::record::{MetricId, Part, Unit};

    fn judgement(verdict: Verdict) -> Judgement {
        Judgement {
            id: MetricId::new(["dram", verdict.name()]),
            part: Part::Dram,
            unit: Unit::GigaBytes,
            value: None,
            yardstick: None,
            share: None,
            share_at_clock: None,
            verdict,
            reason: "a < b & \"c\" \u{1b}[2J".into(),
            next: String::new(),
        }
    }

    fn document(fail_on_warn: bool) -> String {
        let finding = |what: &str| Finding {
            rule: "rule",
            severity: Verdict::Warn,
            what: what.into(),
            command: "see".into(),
            next: "do".into(),
        };
        let all = Qualification {
            runs: vec!["run<1>".into()],
            identified: Vec::new(),
            verdict: Verdict::Fail,
            judgements: Verdict::ALL.map(judgement).to_vec(),
            findings: vec![finding("one"), finding("two")],
            not_judged: vec![NotJudged { id: MetricId::new(["x"]), why: "unknown".into() }],
        };
        qualification(&all, fail_on_warn).unwrap()
    }

    #[test]
    fn every_outcome_is_a_case_of_its_own() {
        let xml = document(false);
        assert!(xml.contains("tests=\"7\" failures=\"1\" errors=\"1\" skipped=\"1\""), "{xml}");
        assert!(
            xml.contains(
                "<testcase classname=\"dram\" name=\"dram/FAIL\">\n      <failure message="
            )
        );
        assert!(xml.contains("name=\"rule: one\"") && xml.contains("name=\"rule: two\""), "{xml}");
        assert!(document(true).contains("failures=\"4\""));
    }

    /// Names and reasons are outside input: they can't break the document, nor carry what XML can't hold.
    #[test]
    fn the_document_is_well_formed() {
        let xml = document(false);
        let mut reader = Reader::from_str(&xml);
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => break,
                Event::Start(tag) | Event::Empty(tag) => {
                    tag.attributes().for_each(|attribute| _ = attribute.unwrap());
                }
                _ => {}
            }
        }
        assert!(!xml.contains('\u{1b}') && !xml.contains("< b"), "{xml}");
    }
}
