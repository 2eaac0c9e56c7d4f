//! Where text goes: how wide it is, whether it shows colour, and what of a record may be printed on it.

use std::borrow::Cow;

use comfy_table::{Attribute, Cell, Color};
use console::Style;

use crate::record::State;

/// Width where output goes to a file or a pipe: nothing has to wrap there, but paragraphs should.
const PIPED_WIDTH: usize = 120;
/// Narrower than this no table is readable.
const NARROWEST: usize = 40;

/// The place to print on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether to use colour and bold.
    pub color: bool,
}

/// What a piece of text means; the screen decides how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading or a figure to look at first.
    Strong,
    /// Trustworthy.
    Good,
    /// Doubtful.
    Doubtful,
    /// Wrong.
    Bad,
    /// Secondary.
    Quiet,
}

impl From<State> for Tone {
    fn from(state: State) -> Self {
        match state {
            State::Ok => Self::Good,
            State::Noisy | State::Throttled => Self::Doubtful,
            State::Invalid => Self::Bad,
            State::Skipped => Self::Quiet,
        }
    }
}

impl Screen {
    /// Standard output as it is now: `COLUMNS` before the terminal's own width; colour only on a terminal that
    /// shows it, and not where `no_color` or `NO_COLOR` (<https://no-color.org>) forbids it.
    pub fn stdout(no_color: bool) -> Self {
        let terminal = console::Term::stdout();
        let from_environment =
            std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
        let own = || terminal.size_checked().map(|(_, columns)| usize::from(columns));
        let width = from_environment.or_else(own).unwrap_or(PIPED_WIDTH).max(NARROWEST);
        let forbidden = no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { width, color: terminal.is_term() && !forbidden && !dumb }
    }

    /// `text` in `tone`.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Strong => Style::new().bold(),
            Tone::Good => Style::new().green(),
            Tone::Doubtful => Style::new().yellow(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Quiet => Style::new().dim(),
        };
        style.force_styling(self.color).apply_to(text).to_string()
    }

    /// A heading with the rule below it.
    pub fn heading(self, title: &str) -> String {
        format!("{}\n", self.paint(Tone::Strong, title))
    }

    /// `text` wrapped to the screen, its first line after `first` and the others indented as far.
    pub fn paragraph(self, first: &str, text: &str) -> String {
        let indent = " ".repeat(console::measure_text_width(first));
        // Wrapped without `first`, whose colour codes would count as width.
        let room = self.width.saturating_sub(indent.len()).max(20);
        let clean = printable(text);
        // Names and commands are broken at spaces only, or they can't be searched for and copied.
        let options = textwrap::Options::new(room)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let lines = textwrap::wrap(&clean, options);
        let mut paragraph = String::new();
        for (index, line) in lines.iter().enumerate() {
            paragraph += if index == 0 { first } else { &indent };
            paragraph += line;
            paragraph.push('\n');
        }
        paragraph
    }
}

/// A table cell in `tone`; the table drops the tone where the screen has no colour.
pub fn cell(tone: Tone, text: impl Into<String>) -> Cell {
    let cell = Cell::new(text.into());
    match tone {
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Good => cell.fg(Color::Green),
        Tone::Doubtful => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Tone::Quiet => cell.add_attribute(Attribute::Dim),
    }
}

/// `text` without control characters: a record is outside input, and an escape sequence in it would command
/// the reader's terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Bidirectional overrides (U+202A to U+202E, U+2066 to U+2069) reorder what the reader sees.
    let unsafe_here =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(unsafe_here) {
        Cow::Owned(text.replace(unsafe_here, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Screen = Screen { width: 40, color: false };

    #[test]
    fn escape_sequences_of_a_record_never_reach_the_terminal() {
        let hostile = "cpu/\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}avx2\nsecond";
        let shown = printable(hostile);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert!(shown.contains("avx2") && shown.contains("second"));
        assert!(matches!(printable("±2.0 % (Genoa)"), Cow::Borrowed(_)));
    }

    #[test]
    fn paragraphs_wrap_with_a_hanging_indent() {
        let text = PLAIN.paragraph("1. ", &"word ".repeat(20));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() >= 3 && lines.iter().all(|l| l.len() <= 40), "{text}");
        assert!(lines[0].starts_with("1. word") && lines[1].starts_with("   word"));
    }

    #[test]
    fn colour_only_where_the_screen_has_it() {
        assert_eq!(PLAIN.paint(Tone::Bad, "invalid"), "invalid");
        let colored = Screen { color: true, ..PLAIN }.paint(Tone::Bad, "invalid");
        assert!(colored.contains('\u{1b}') && colored.contains("invalid"));
    }
}
