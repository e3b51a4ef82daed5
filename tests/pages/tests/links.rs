//! Every relative link in the pages at the root leads to a file, and to a heading where it names one.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "PERFORMANCE.md",
    "CHANGELOG.md",
];

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in PAGES {
        let text = read(&root().join(page));
        for link in relative_links(&text) {
            if !leads_somewhere(page, &link) {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn broken_links_are_found() {
    let text = "[a](b.md) ![c\nd](e.svg)\n<img src=\"f.svg\">\n[g]: h.md\n\n`[i](j)`\n```\n[k](l)\n```\n\
        [m](https://n.example) [o](#p)";
    let links: Vec<_> = relative_links(text).collect();
    assert_eq!(links, ["b.md", "e.svg", "#p", "f.svg", "h.md"]);
    assert!(leads_somewhere("README.md", "benches/rivals/src"));
    assert!(leads_somewhere("CHANGELOG.md", "README.md#the-contract"));
    assert!(leads_somewhere("README.md", "#the-contract"));
    assert!(!leads_somewhere("README.md", "#no-such-heading"));
    assert!(!leads_somewhere("README.md", "no-such-file.md"));
}

/// Those of the text outside code, without the ones that name a host.
fn relative_links(text: &str) -> impl Iterator<Item = String> {
    let text = without_code(text);
    let after = |mark: &str, end: char| {
        let parts = text.split(mark).skip(1);
        let links = parts.map(|rest| rest.split(end).next().unwrap_or_default().to_owned());
        links.collect::<Vec<_>>()
    };
    [
        after("](", ')'),
        after("src=\"", '"'),
        after("srcset=\"", '"'),
        after("href=\"", '"'),
        after("]: ", '\n'),
    ]
    .into_iter()
    .flatten()
    .filter(|link| !link.contains("://"))
}

fn without_code(text: &str) -> String {
    let outside_fences = text.split("```").step_by(2).collect::<String>();
    outside_fences.split('`').step_by(2).collect()
}

fn leads_somewhere(page: &str, link: &str) -> bool {
    let (file, heading) = match link.split_once('#') {
        Some((file, heading)) => (file, Some(heading)),
        None => (link, None),
    };
    let file = if file.is_empty() { page } else { file };
    let path = root().join(file);
    path.exists() && heading.is_none_or(|heading| anchors(&read(&path)).contains(heading))
}

/// As GitHub makes them from the headings.
fn anchors(text: &str) -> HashSet<String> {
    let outside_fences = text.split("```").step_by(2);
    let headings = outside_fences
        .flat_map(str::lines)
        .filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                _ => c.is_alphanumeric().then_some(c),
            });
            kept.collect()
        })
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
