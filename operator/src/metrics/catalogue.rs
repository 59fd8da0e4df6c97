//! The registry, and beside it what people are told of each metric.

use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::labelled::{Labelled, LabelledFamily};

/// A counter of what is no whole number, such as seconds.
pub type Sum = Counter<f64, AtomicU64>;

/// A gauge of what is no whole number.
pub type Level = Gauge<f64, AtomicU64>;

/// A label and what it may say.
#[derive(Clone, Debug)]
pub struct Label {
    name: &'static str,
    values: String,
}

impl Label {
    /// A label whose values these are.
    pub fn of(name: &'static str, values: &[&str]) -> Self {
        let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        Label {
            name,
            values: quoted.join(", "),
        }
    }

    /// A label whose values are described in words.
    pub fn described(name: &'static str, values: &str) -> Self {
        Label {
            name,
            values: values.to_owned(),
        }
    }
}

/// Every metric there is.
#[derive(Debug, Default)]
pub struct Catalogue {
    registry: Registry,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    section: &'static str,
    name: String,
    kind: &'static str,
    labels: Vec<Label>,
    help: &'static str,
}

/// The part of a catalogue that one module fills.
pub struct Section<'a> {
    catalogue: &'a mut Catalogue,
    title: &'static str,
}

impl Catalogue {
    /// The part under this heading.
    pub fn section(&mut self, title: &'static str) -> Section<'_> {
        Section {
            catalogue: self,
            title,
        }
    }

    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A table for each section.
    pub fn reference(&self) -> String {
        let mut text = PREAMBLE.to_owned();
        let mut section = "";
        for entry in &self.entries {
            if entry.section != section {
                section = entry.section;
                let _ = write!(text, "\n## {section}\n{TABLE}");
            }
            let labels: Vec<String> = entry
                .labels
                .iter()
                .map(|label| format!("`{}`: {}", label.name, label.values))
                .collect();
            let Entry {
                name, kind, help, ..
            } = entry;
            let _ = writeln!(
                text,
                "| `{name}` | {kind} | {} | {help} |",
                labels.join("; ")
            );
        }
        text
    }
}

const PREAMBLE: &str = "\
<!-- Made by cargo xtask gen from operator/src/metrics: edit it there. -->
# Metrics

Served at `/metrics` on the port of the probes (8080), as OpenMetrics text. Every
replica serves them; those of passes, requests and the ledger stand still on one
that does not lead. Labels have few values: no name and no namespace of an EtlJob
is among them, `kubectl describe` and the log tell of single ones.

The chart brings a PodMonitor (`metrics.podMonitor`) and alerts
(`metrics.rules`) for the Prometheus operator.
";

const TABLE: &str = "
| metric | kind | labels | what it says |
|---|---|---|---|
";

impl Section<'_> {
    /// A counter; `name` is without its suffix `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.keep(name, "counter", Vec::new(), help, Counter::default())
    }

    /// A counter of what is no whole number.
    pub fn sum(&mut self, name: &'static str, help: &'static str) -> Sum {
        self.keep(name, "counter", Vec::new(), help, Sum::default())
    }

    /// Counters that differ in labels.
    pub fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [Label; N],
        help: &'static str,
    ) -> Labelled<Counter, N> {
        self.family(name, "counter", labels, help, Counter::default)
    }

    /// The same of what is no whole number.
    pub fn sums<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [Label; N],
        help: &'static str,
    ) -> Labelled<Sum, N> {
        self.family(name, "counter", labels, help, Sum::default)
    }

    /// Gauges that differ in labels.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [Label; N],
        help: &'static str,
    ) -> Labelled<Gauge, N> {
        self.family(name, "gauge", labels, help, Gauge::default)
    }

    /// The same of what is no whole number.
    pub fn levels<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [Label; N],
        help: &'static str,
    ) -> Labelled<Level, N> {
        self.family(name, "gauge", labels, help, Level::default)
    }

    /// Any kind of gauge.
    pub fn gauge<M: Metric + Clone + Default>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> M {
        self.keep(name, "gauge", Vec::new(), help, M::default())
    }

    /// A histogram, made by `make`.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        make: fn() -> Histogram,
    ) -> Histogram {
        self.keep(name, "histogram", Vec::new(), help, make())
    }

    /// Histograms that differ in labels.
    pub fn histograms<const N: usize>(
        &mut self,
        name: &'static str,
        labels: [Label; N],
        help: &'static str,
        make: fn() -> Histogram,
    ) -> Labelled<Histogram, N> {
        self.family(name, "histogram", labels, help, make)
    }

    fn family<M, const N: usize>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: [Label; N],
        help: &'static str,
        make: fn() -> M,
    ) -> Labelled<M, N>
    where
        M: Clone + fmt::Debug + EncodeMetric + TypedMetric + Send + Sync + 'static,
    {
        let labelled = Labelled::new(labels.each_ref().map(|label| label.name), make);
        let family: LabelledFamily<M, N> = labelled.family();
        self.add(name, kind, labels.into(), help, family);
        labelled
    }

    fn keep<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: Vec<Label>,
        help: &'static str,
        metric: M,
    ) -> M {
        self.add(name, kind, labels, help, metric.clone());
        metric
    }

    /// Any metric; OpenMetrics gives counters their suffix by itself.
    pub fn add(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: Vec<Label>,
        help: &'static str,
        metric: impl Metric,
    ) {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        self.catalogue.entries.push(Entry {
            section: self.title,
            name: format!("{name}{suffix}"),
            kind,
            labels,
            help,
        });
        // The registry ends the sentence itself.
        let help = help.trim_end_matches('.');
        self.catalogue.registry.register(name, help, metric);
    }
}
