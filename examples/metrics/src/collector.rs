//! The figures for Prometheus.

use std::fmt;

use ordered_by_group::Monitor;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::figures::{FIGURES, Kind};

/// A registry with the figures of a monitor. An application would register its other metrics there, too.
pub fn registry(monitor: Monitor) -> Registry {
    let mut registry = Registry::with_prefix("ordered_by_group");
    registry.register_collector(Box::new(Figures { monitor }));
    registry
}

#[derive(Debug)]
struct Figures {
    monitor: Monitor,
}

impl Collector for Figures {
    /// Reads one snapshot for each scrape, so its figures are of the same moment.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.monitor.snapshot();
        for figure in &FIGURES {
            let value = (figure.value)(&now);
            let metric: &dyn EncodeMetric = match figure.kind {
                Kind::Gauge => &ConstGauge::new(value),
                Kind::Counter => &ConstCounter::new(value),
            };
            let unit = (figure.unit == "s").then_some(Unit::Seconds);
            metric.encode(encoder.encode_descriptor(
                figure.name,
                figure.help,
                unit.as_ref(),
                metric.metric_type(),
            )?)?;
        }
        Ok(())
    }
}
