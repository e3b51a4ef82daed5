//! The guide can be found and followed: the search of the documentation knows the words that users type, every link to a
//! heading leads to one, and the first page names every page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules with a page of their own that has headings.
const MODULES: [&str; 2] = ["kafka", "positions"];

/// What users type, and what they must find.
const FOUND: &[(&str, &str)] = &[
    ("ack", "acknowledgements"),
    ("ack", "then_unordered"),
    ("ack", "settle"),
    ("back_pressure", "look_ahead"),
    ("backoff", "retry"),
    ("backoff", "without_slot"),
    ("backpressure", "look_ahead"),
    ("backpressure", "stalls"),
    ("batch", "alongside"),
    ("batch", "batches"),
    ("batch", "offsets"),
    ("batch", "drive_chunks"),
    ("batch", "try_drive_chunks"),
    ("box", "boxed_running"),
    ("box", "handing_on"),
    ("buffer", "look_ahead"),
    ("buffer_unordered", "ordered_by_group"),
    ("bulk", "batches"),
    ("buffer_unordered", "then_unordered"),
    ("chunks", "drive_chunks"),
    ("chunks", "try_drive_chunks"),
    ("checkpoint", "positions"),
    ("circuit_breaker", "retry"),
    ("circuit_breaker", "without_slot"),
    ("coalesce", "batches"),
    ("compile_error", "closures"),
    ("concurrency", "ordered_by_group"),
    ("concurrency", "sizing"),
    ("ctrl_c", "shutdown"),
    ("dead_letter", "recipes"),
    ("dead_letter", "retry"),
    ("deadlock", "stalls"),
    ("dlq", "retry"),
    ("drain", "shutdown"),
    ("dyn", "boxed_running"),
    ("exactly_once", "delivery"),
    ("exactly_once", "positions"),
    ("fence", "positions"),
    ("filter", "offsets"),
    ("for_each", "drive"),
    ("for_each_concurrent", "ordered_by_group"),
    ("gauge", "in_flight"),
    ("gauge", "Monitor"),
    ("gauge", "metrics"),
    ("gauge", "unfinished"),
    ("generic", "handing_on"),
    ("graceful", "shutdown"),
    ("group_by", "ordered_by_group"),
    ("group_commit", "drive_chunks"),
    ("group_commit", "offsets"),
    ("group_commit", "try_drive_chunks"),
    ("hash", "keys"),
    ("idempotent", "delivery"),
    ("in_flight", "look_ahead"),
    ("in_flight", "running"),
    ("kafka", "offsets"),
    ("kafka", "positions"),
    ("kafka", "partitions"),
    ("key_by", "ordered_by_group"),
    ("lag", "Monitor"),
    ("lag", "metrics"),
    ("lag", "unfinished"),
    ("liveness", "metrics"),
    ("low_watermark", "frontier"),
    ("max_parallel", "ordered_by_group"),
    ("metadata", "encode"),
    ("metrics", "Monitor"),
    ("metrics", "finished"),
    ("metrics", "running"),
    ("metrics", "unfinished"),
    ("metrics", "waiting"),
    ("oldest", "unfinished"),
    ("outbox", "positions"),
    ("opentelemetry", "Monitor"),
    ("opentelemetry", "logs"),
    ("opentelemetry", "metrics"),
    ("partition_by", "ordered_by_group"),
    ("pause", "recipes"),
    ("poison", "failures"),
    ("read_ahead", "prefetch"),
    ("priority", "order_of_results"),
    ("priority", "recipes"),
    ("progress", "Monitor"),
    ("progress", "metrics"),
    ("prometheus", "Monitor"),
    ("prometheus", "metrics"),
    ("queue", "look_ahead"),
    ("rate_limit", "retry"),
    ("rate_limit", "without_slot"),
    ("ready_chunks", "drive_chunks"),
    ("rebalance", "many_queues"),
    ("rebalance", "offsets"),
    ("rebalance", "kafka"),
    ("rebalance", "positions"),
    ("retry", "without_slot"),
    ("revoke", "fence"),
    ("run", "drive"),
    ("rwlock", "Access"),
    ("rwlock", "ordered_by_access"),
    ("select", "alongside"),
    ("sequential", "ordered_by_group"),
    ("serial", "ordered_by_group"),
    ("sink", "drive"),
    ("sleep", "without_slot"),
    ("spawn", "in_tokio"),
    ("spawn", "spawned"),
    ("sqs", "acknowledgements"),
    ("struct", "handing_on"),
    ("span", "logs"),
    ("test", "testing"),
    ("timeout", "recipes"),
    ("timeout", "retry"),
    ("tower", "recipes"),
    ("transaction", "several_keys"),
    ("try_buffered", "try_then"),
    ("try_ready_chunks", "try_drive_chunks"),
    ("tracing", "logs"),
    ("watchdog", "Monitor"),
    ("watchdog", "metrics"),
    ("watermark", "frontier"),
    ("window", "look_ahead"),
    ("yield", "without_slot"),
];

#[test]
fn the_search_finds_what_users_type() {
    let mut aliases = BTreeSet::new();
    for (_, source) in files("rs") {
        aliases.extend(aliases_in(&source));
    }
    for (word, item) in FOUND {
        let alias = (word.to_string(), item.to_string());
        assert!(aliases.contains(&alias), "{word} does not lead to {item}");
    }
}

#[test]
fn every_link_to_a_heading_leads_to_one() {
    let mut headings = BTreeMap::new();
    for page in pages() {
        let text = fs::read_to_string(page_file(&page)).unwrap();
        headings.insert(format!("crate::guide::{page}"), headings_in(&text));
    }
    headings.insert("crate".to_string(), headings_in(&first_page().join("\n")));
    for module in MODULES {
        let text = module_docs(&format!("{module}.rs")).join("\n");
        headings.insert(format!("crate::{module}"), headings_in(&text));
    }

    let mut links = 0;
    for (path, text) in files("rs").into_iter().chain(files("md")) {
        let own = match path.rsplit_once('.') {
            Some((page, "md")) => format!("crate::guide::{page}"),
            Some((module, "rs")) if MODULES.contains(&module) => format!("crate::{module}"),
            _ => "crate".to_string(),
        };
        for link in text.split("](").skip(1) {
            let Some((link, _)) = link.split_once(')') else {
                continue;
            };
            let Some((page, heading)) = link.split_once('#') else {
                continue;
            };
            if page.starts_with("http") || heading.starts_with("method.") {
                continue;
            }
            let page = match page {
                "" => own.clone(),
                page if page.starts_with("guide::") => format!("crate::{page}"),
                page => page.to_string(),
            };
            let headings = headings.get(&page);
            let is_there = headings.is_some_and(|headings| headings.contains(heading));
            assert!(is_there, "{path}: {link}");
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn the_first_page_names_every_page() {
    let first_page = first_page().join("\n");
    for page in pages() {
        let row = format!("](guide::{page}) |");
        assert!(first_page.contains(&row), "{page}");
    }
}

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

fn page_file(page: &str) -> std::path::PathBuf {
    source().join("guide").join(page).with_extension("md")
}

/// The pages of the guide. Each file is one.
fn pages() -> Vec<String> {
    let modules = fs::read_to_string(source().join("guide.rs")).unwrap();
    let names = modules.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?.strip_suffix(" {}")?;
        Some(name.to_string())
    });
    let mut pages: Vec<_> = names.collect();
    pages.sort();
    let mut written: Vec<_> = files("md")
        .into_iter()
        .map(|(name, _)| name.trim_end_matches(".md").to_string())
        .collect();
    written.sort();
    assert_eq!(pages, written);
    pages
}

fn first_page() -> Vec<String> {
    module_docs("lib.rs")
}

fn module_docs(file: &str) -> Vec<String> {
    let text = fs::read_to_string(source().join(file)).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_string())
        .collect()
}

/// The names and texts of the files with an extension, in all folders.
fn files(extension: &str) -> Vec<(String, String)> {
    let mut folders = vec![source().to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.file_name().unwrap().to_str().unwrap();
                files.push((name.to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// Pairs of an alias and the item that has it.
fn aliases_in(source: &str) -> Vec<(String, String)> {
    let mut aliases = Vec::new();
    let mut waiting: Vec<&str> = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(alias) = line.strip_prefix("#[doc(alias = \"") {
            waiting.push(alias.strip_suffix("\")]").unwrap());
            continue;
        }
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let item = ["fn ", "mod ", "enum ", "struct ", "trait "]
            .iter()
            .find_map(|kind| line.strip_prefix(kind));
        if let Some(item) = item {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let name = item.split(|c| !is_part(c)).next().unwrap();
            aliases.extend(
                waiting
                    .drain(..)
                    .map(|alias| (alias.to_string(), name.to_string())),
            );
        }
    }
    assert!(waiting.is_empty(), "{waiting:?}");
    aliases
}

/// The headings of a page, as links name them.
fn headings_in(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut headings = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if !is_code && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            headings.insert(kept.collect::<String>().replace(' ', "-"));
        }
    }
    headings
}
