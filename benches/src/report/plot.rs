//! Line charts as SVG: no background, so that they do on light and dark pages.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{
    AsRangedCoord, DefaultFormatting, KeyPointHint, Ranged, ValueFormatter,
};
use plotters::prelude::*;

use crate::arms::title;
use crate::results::Point;

const SIZE: (u32, u32) = (760, 420);
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Of about equal weight on white and on black.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x2e, 0x86, 0xde),
    RGBColor(0xe4, 0x57, 0x2e),
    RGBColor(0x27, 0xae, 0x60),
    RGBColor(0xa5, 0x5e, 0xea),
    RGBColor(0xd4, 0x92, 0x08),
    RGBColor(0x16, 0xa0, 0x85),
    RGBColor(0xd6, 0x33, 0x84),
];

/// One chart.
#[derive(Debug)]
pub(super) struct Plot {
    /// Of its points and its file.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// Of whole numbers, from the smallest.
    Counts,
    Logarithmic,
}

/// A line's name and its points.
type Line<'p> = (&'p str, Vec<(f64, f64)>);

impl Plot {
    /// Draws the points of this plot into `<name>.svg`, if there are any.
    pub(super) fn draw(&self, points: &[Point], folder: &Path) -> Result<bool> {
        use Scale::{Counts, Linear, Logarithmic};

        let lines = self.lines(points);
        if lines.is_empty() {
            return Ok(false);
        }
        let all = lines.iter().flat_map(|(_, points)| points);
        let x = self.x.range(all.clone().map(|point| point.0));
        let y = self.y.range(all.map(|point| point.1));
        let path = folder.join(format!("{}.svg", self.name));
        match (self.x.scale, self.y.scale) {
            (Logarithmic, Logarithmic) => self.draw_on(&path, x.log_scale(), y.log_scale(), &lines),
            (Logarithmic, Linear | Counts) => self.draw_on(&path, x.log_scale(), y, &lines),
            (Counts | Linear, Logarithmic) => {
                self.draw_on(&path, Counted(x), y.log_scale(), &lines)
            }
            (Counts | Linear, Linear | Counts) => self.draw_on(&path, Counted(x), y, &lines),
        }?;
        Ok(true)
    }

    fn lines<'p>(&self, points: &'p [Point]) -> Vec<Line<'p>> {
        let mut lines: Vec<Line> = Vec::new();
        for point in points.iter().filter(|point| point.plot == self.name) {
            let at = (point.x, point.y);
            match lines.iter_mut().find(|(line, _)| *line == point.line) {
                Some((_, points)) => points.push(at),
                None => lines.push((&point.line, vec![at])),
            }
        }
        lines
    }

    fn draw_on<X, Y>(&self, path: &Path, x: X, y: Y, lines: &[Line]) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        let text = ("sans-serif", 14).into_font().color(&GREY);
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 16).into_font().color(&GREY))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)
            .map_err(problem)?;
        chart
            .configure_mesh()
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.25))
            .light_line_style(TRANSPARENT)
            .label_style(text.clone())
            .axis_desc_style(text.clone())
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|value| label(*value))
            .y_label_formatter(&|value| label(*value))
            .draw()
            .map_err(problem)?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let marked = LineSeries::new(points.iter().copied(), style).point_size(3);
            chart
                .draw_series(marked)
                .map_err(problem)?
                .label(title(name))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(text)
            .draw()
            .map_err(problem)?;
        area.present().map_err(problem)
    }
}

fn problem(error: impl Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

impl Axis {
    fn range(&self, values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        match self.scale {
            // Room for the legend above the lines.
            Scale::Linear => 0.0..most * 1.25,
            Scale::Counts => least - 0.2..most + 0.2,
            Scale::Logarithmic => least * 0.8..most * 1.25,
        }
    }
}

/// `1000000` as `1M`, and no more digits than a reader wants.
fn label(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", short(value / 1e6)),
        value if value >= 1e3 => format!("{}k", short(value / 1e3)),
        value => short(value),
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An axis with marks at whole numbers only.
struct Counted(Range<f64>);

impl Ranged for Counted {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.0.start) / (self.0.end - self.0.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let (first, last) = (self.0.start.ceil() as i32, self.0.end.floor() as i32);
        (first..=last).map(f64::from).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        let labels = [0.25, 1.0, 250.0, 1_000.0, 2_500_000.0].map(label);
        assert_eq!(labels, ["0.25", "1", "250", "1k", "2.5M"]);
    }

    #[test]
    fn a_plot_names_its_lines_and_has_no_background() {
        let folder = tempfile::tempdir().unwrap();
        let axis = |label| Axis {
            label,
            scale: Scale::Logarithmic,
        };
        let plot = Plot {
            name: "demo",
            title: "Demo",
            x: axis("columns"),
            y: axis("seconds"),
        };
        let point = |line: &str, x, y| Point {
            plot: "demo".into(),
            line: line.into(),
            x,
            y,
        };
        let points = [
            point("one", 1.0, 2.0),
            point("one", 100.0, 30.0),
            point("etl", 1.0, 3.0),
        ];
        assert!(plot.draw(&points, folder.path()).unwrap());
        let svg = std::fs::read_to_string(folder.path().join("demo.svg")).unwrap();
        for text in ["Demo", "columns", "seconds", "one", "etl-engine"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text} in {svg}");
        }
        assert!(!svg.contains("#FFFFFF"), "{svg}");
        let none = Plot {
            name: "other",
            ..plot
        };
        assert!(!none.draw(&points, folder.path()).unwrap());
    }
}
