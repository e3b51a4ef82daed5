//! The figures for OpenTelemetry.

use opentelemetry::metrics::{AsyncInstrument, Meter};
use ordered_by_group::Monitor;

use crate::figures::{FIGURES, Kind};

/// Lets the meter observe what the monitor shows: gauges and counters that are read when they are exported.
///
/// Each has a callback of its own, so two figures of one export may be a few microseconds apart.
pub fn observe(meter: &Meter, monitor: &Monitor) {
    for figure in &FIGURES {
        let monitor = monitor.clone();
        let callback = move |instrument: &dyn AsyncInstrument<f64>| {
            instrument.observe((figure.value)(&monitor.snapshot()), &[]);
        };
        let name = format!("ordered_by_group.{}", figure.name);
        match figure.kind {
            Kind::Gauge => {
                meter
                    .f64_observable_gauge(name)
                    .with_description(figure.help)
                    .with_unit(figure.unit)
                    .with_callback(callback)
                    .build();
            }
            Kind::Counter => {
                meter
                    .f64_observable_counter(name)
                    .with_description(figure.help)
                    .with_unit(figure.unit)
                    .with_callback(callback)
                    .build();
            }
        }
    }
}
