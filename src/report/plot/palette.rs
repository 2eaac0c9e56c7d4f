//! Colours and shapes that are told apart on paper, in the dark, and by readers who see fewer colours.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Colour of a series, or of the frame around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Series by number; numbers past the last begin again.
    Series(usize),
    /// Axes and their text.
    Frame,
    /// The grid.
    Grid,
}

/// Light and dark colours of the series. The light ones follow Okabe and Ito's palette ("Color Universal Design", 2008),
/// its pale members darkened, so that all have a contrast of 3:1 to the page at least (WCAG 2.2, criterion 1.4.11).
const SERIES: [([u8; 3], [u8; 3]); 6] = [
    ([0x00, 0x72, 0xB2], [0x56, 0xB4, 0xE9]),
    ([0xD5, 0x5E, 0x00], [0xF2, 0x8E, 0x3C]),
    ([0x00, 0x85, 0x62], [0x2F, 0xC9, 0x9C]),
    ([0x9A, 0x3B, 0x86], [0xE2, 0x9A, 0xCB]),
    ([0x6B, 0x5B, 0x00], [0xE6, 0xC8, 0x3C]),
    ([0x4A, 0x50, 0x5C], [0xB4, 0xBC, 0xC8]),
];
const FRAME: ([u8; 3], [u8; 3]) = ([0x4B, 0x55, 0x63], [0xAE, 0xB8, 0xC6]);
const GRID: ([u8; 3], [u8; 3]) = ([0xDF, 0xE3, 0xE8], [0x33, 0x3B, 0x47]);

impl Ink {
    const ALL: [Self; 8] = [
        Self::Series(0),
        Self::Series(1),
        Self::Series(2),
        Self::Series(3),
        Self::Series(4),
        Self::Series(5),
        Self::Frame,
        Self::Grid,
    ];

    fn colors(self) -> ([u8; 3], [u8; 3]) {
        match self {
            Self::Series(number) => SERIES[number % SERIES.len()],
            Self::Frame => FRAME,
            Self::Grid => GRID,
        }
    }

    /// For `plotters`: the light colour, which the style replaces in the dark.
    pub fn rgb(self) -> RGBColor {
        let [red, green, blue] = self.colors().0;
        RGBColor(red, green, blue)
    }

    /// Class of elements in this colour.
    pub fn class(self) -> String {
        match self {
            Self::Series(number) => format!("s{}", number % SERIES.len()),
            Self::Frame => "frame".to_owned(),
            Self::Grid => "grid".to_owned(),
        }
    }
}

/// The rules that give every ink its colour, light by default, dark where the reader's screen is.
pub fn style() -> String {
    let hex = |[red, green, blue]: [u8; 3]| format!("#{red:02X}{green:02X}{blue:02X}");
    let (mut light, mut dark, mut rules) = (String::new(), String::new(), String::new());
    for ink in Ink::ALL {
        let (class, (by_day, by_night)) = (ink.class(), ink.colors());
        // Writing to a String can't fail.
        let _ = write!(light, "--{class}:{};", hex(by_day));
        let _ = write!(dark, "--{class}:{};", hex(by_night));
        let drawn = hex(by_day);
        let _ = writeln!(
            rules,
            ".{class}{{color:var(--{class})}}svg [stroke=\"{drawn}\"]{{stroke:var(--{class})}}\
             svg [fill=\"{drawn}\"]{{fill:var(--{class})}}"
        );
    }
    format!(
        ":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}"
    )
}

/// Outline of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle on its base.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle on its tip.
    Wedge,
    /// Two crossing bars.
    Plus,
}

impl Shape {
    /// The shape of series `number`: as many as there are colours.
    pub fn of(number: usize) -> Self {
        let all =
            [Self::Circle, Self::Square, Self::Triangle, Self::Diamond, Self::Wedge, Self::Plus];
        all[number % all.len()]
    }

    /// Path of the outline around `x`, `y`, `r` from the middle to its edge.
    pub fn path(self, x: f64, y: f64, r: f64) -> String {
        let corners = |corners: &[(f64, f64)]| {
            let points: Vec<String> = corners
                .iter()
                .map(|(dx, dy)| format!("{:.1} {:.1}", x + dx * r, y + dy * r))
                .collect();
            format!("M{}Z", points.join("L"))
        };
        match self {
            Self::Circle => {
                let (left, width) = (x - r, 2.0 * r);
                format!("M{left:.1} {y:.1}a{r} {r} 0 1 0 {width} 0a{r} {r} 0 1 0 -{width} 0Z")
            }
            Self::Square => corners(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Self::Triangle => corners(&[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)]),
            Self::Diamond => corners(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
            Self::Wedge => corners(&[(0.0, 1.15), (1.1, -0.85), (-1.1, -0.85)]),
            Self::Plus => {
                let (a, b) = (0.4, 1.1);
                corners(&[
                    (-a, -b),
                    (a, -b),
                    (a, -a),
                    (b, -a),
                    (b, a),
                    (a, a),
                    (a, b),
                    (-a, b),
                    (-a, a),
                    (-b, a),
                    (-b, -a),
                    (-a, -a),
                ])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as WCAG 2.2 defines them.
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |rgb: [u8; 3]| {
            let linear = rgb.map(|channel| {
                let c = f64::from(channel) / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_series_stands_out_on_both_pages() {
        let pages = ([0xFF; 3], [0x12, 0x16, 0x1C]);
        for (light, dark) in SERIES {
            assert!(contrast(light, pages.0) >= 3.0, "{light:x?} {}", contrast(light, pages.0));
            assert!(contrast(dark, pages.1) >= 3.0, "{dark:x?} {}", contrast(dark, pages.1));
        }
        assert!(contrast(FRAME.0, pages.0) >= 4.5 && contrast(FRAME.1, pages.1) >= 4.5, "text");
    }

    #[test]
    fn every_ink_has_its_rule_in_both_schemes() {
        let style = style();
        for ink in Ink::ALL {
            let class = ink.class();
            assert_eq!(style.matches(&format!("--{class}:")).count(), 2, "{class}");
        }
        assert!(style.contains("svg [stroke=\"#0072B2\"]{stroke:var(--s0)}"), "{style}");
    }
}
