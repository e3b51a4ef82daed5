//! The first program in the README compiles as printed, in a new package with the dependencies that the README adds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// GitHub's column shows this many characters of a line of code without scrolling.
const COLUMN: usize = 90;

#[test]
fn the_first_program_compiles_in_a_new_package() {
    let readme = readme();
    let (before, program) = first_program(&readme);
    for command in [
        "cargo add ordered-by-group futures\n",
        "cargo add tokio -F full\n",
    ] {
        assert!(before.contains(command), "not above the program: {command}");
    }

    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first_program");
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("src/main.rs"), program).unwrap();
    fs::write(package.join("Cargo.toml"), manifest()).unwrap();
    // The versions that this test was built with are downloaded, so nothing else has to be.
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

    let end = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&end.stderr);
    assert!(end.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn the_first_program_fits_into_the_column() {
    let readme = readme();
    let (_, program) = first_program(&readme);
    for line in program.lines() {
        assert!(line.chars().count() <= COLUMN, "too wide: {line}");
    }
}

/// What is above it, and the program itself.
fn first_program(readme: &str) -> (&str, &str) {
    let (before, rest) = readme.split_once("```rust\n").unwrap();
    let (program, _) = rest.split_once("```\n").unwrap();
    (before, program)
}

fn manifest() -> String {
    let root = root();
    format!(
        "[package]\n\
         name = \"first_program\"\n\
         edition = \"2024\"\n\
         \n\
         [dependencies]\n\
         ordered-by-group = {{ path = {root:?} }}\n\
         futures = \"0.3\"\n\
         tokio = {{ version = \"1\", features = [\"full\"] }}\n\
         \n\
         [workspace]\n"
    )
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The workspace's own, so that what is built for one run is there for the next.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}
