//! What a bench ran on: ratios hold from run to run, but not from one family of processors to another.

/// The processor as Linux tells it: vendor, name, family and model; how many there are.
pub fn processor() -> String {
    let all = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let of_name = |line: &str| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        };
        all.lines().find_map(of_name).unwrap_or("unknown".into())
    };
    let count = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!(
        "{} ({}, family {}, model {}), {count} cores",
        field("model name"),
        field("vendor_id"),
        field("cpu family"),
        field("model"),
    )
}
