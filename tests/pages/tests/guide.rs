//! The README names the pages of the guide as the guide does.

use std::fs;

#[test]
fn the_readme_names_every_page_of_the_guide() {
    let readme = fs::read_to_string("../../README.md").unwrap();
    let (_, rest) = readme.split_once("| page | read it when |\n").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let named: Vec<_> = table.lines().skip(1).map(first_cell).collect();

    let first_page = fs::read_to_string("../../src/lib.rs").unwrap();
    let pages: Vec<_> = first_page
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix("//! ")?;
            let (name, rest) = first_cell(line).strip_prefix('[')?.split_once(']')?;
            rest.starts_with("(guide::").then_some(name)
        })
        .collect();
    assert!(!pages.is_empty());
    assert_eq!(named, pages);
}

fn first_cell(line: &str) -> &str {
    let cell = line.split('|').nth(1);
    cell.map_or("", str::trim)
}
